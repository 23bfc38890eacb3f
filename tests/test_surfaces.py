"""Test surfaces and the paths over them: what is known of both; tuning, pictures and command."""

import io

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from PIL import Image, ImageSequence

import adaptive_jax as aj
from adaptive_jax import registry
from adaptive_jax.diagnostics import SURFACES, trajectory
from adaptive_jax.lab import cli
from adaptive_jax.lab.surfaces.pictures import (
    animate_trajectories,
    draw_gallery,
    draw_trajectories,
)
from adaptive_jax.lab.surfaces.trajectories import (
    Trajectory,
    rates_to_try,
    tune_on_surface,
    vary_on_surface,
)
from adaptive_jax.lab.training import OptimizerSpec

every_surface = pytest.mark.parametrize("surface", SURFACES.values(), ids=SURFACES)


@every_surface
def test_minima_are_minima(surface):
    with jax.enable_x64(True):
        minima = np.array(surface.minima)
        x, y = (np.linspace(*limits, 201) for limits in surface.limits)
        grid = np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)
        derivatives = surface.function, jax.grad(surface.function), jax.hessian(surface.function)

        @jax.jit
        def compute(minima, grid):
            at_minima = [jax.vmap(function)(minima) for function in derivatives]
            return at_minima, jax.vmap(surface.function)(grid)

        (at_minima, slopes, curvatures), values = jax.device_get(compute(minima, grid))
    assert np.abs(at_minima).max() < 1e-20 and np.abs(slopes).max() < 1e-10
    assert np.linalg.eigvalsh(curvatures).min() > 0.1
    assert values.min() >= 0
    distances = np.linalg.norm(grid[np.argmin(values)] - minima, axis=-1)
    assert distances.min() < 0.1  # and there are no others
    for place in (surface.start, *surface.minima):
        for coordinate, (low, high) in zip(place, surface.limits, strict=True):
            assert low < coordinate < high


def test_the_saddle_is_near_the_start():
    """Gradient descent goes to it first; at it the gradient is 0 and one curvature negative."""
    saddle = SURFACES["saddle"]
    _, values = trajectory(aj.sgd(0.5), saddle.function, saddle.start, saddle.steps)
    slow = np.abs(values - 0.25) < 1e-3
    assert slow.sum() > 3 and values[-1] < 1e-6
    curvatures = jnp.linalg.eigvalsh(jax.hessian(saddle.function)(jnp.zeros(2)))
    np.testing.assert_allclose(curvatures, [-1, 1])


def test_gradient_descent_in_the_ravine_is_two_geometric_series():
    ravine = SURFACES["ravine"]
    points, values = trajectory(aj.sgd(0.03), ravine.function, ravine.start, 20)
    t = np.arange(21)
    expected = np.stack([-4.0 * (1 - 0.03) ** t, (1 - 50 * 0.03) ** t], 1)
    np.testing.assert_allclose(points, expected, rtol=1e-5)
    np.testing.assert_allclose(values, expected**2 @ [0.5, 25], rtol=1e-5)


@pytest.mark.parametrize("tx", [aj.adabound(0.05), optax.adam(0.05)], ids=["ours", "Optax's"])
@pytest.mark.relaxed
def test_a_trajectory_is_a_loop(tx):
    beale = SURFACES["beale"]
    points, values = jax.jit(lambda: trajectory(tx, beale.function, beale.start, 10))()
    assert points.shape == (11, 2) and values.shape == (11,)
    point = jnp.array(beale.start)
    state = tx.init(point)
    for t in range(11):
        np.testing.assert_allclose(points[t], point, rtol=1e-5)
        np.testing.assert_allclose(values[t], beale.function(point), rtol=1e-4)
        updates, state = tx.update(jax.grad(beale.function)(point), state, point)
        point = optax.apply_updates(point, updates)


def test_trajectories_of_several_learning_rates_at_once_keep_what_diverges():
    rosenbrock = SURFACES["rosenbrock"]

    def path(rate):
        return trajectory(aj.sgd(rate), rosenbrock.function, rosenbrock.start, 30)

    points, values = jax.vmap(path)(jnp.array([1e-3, 1.0]))
    assert np.isfinite(points[0]).all() and values[0, -1] < values[0, 0]
    assert not np.isfinite(points[1, -1]).any() and not np.isfinite(values[1, -1])
    np.testing.assert_allclose(points[0], path(1e-3)[0], rtol=1e-5)


def test_no_steps_are_an_error():
    with pytest.raises(ValueError, match="steps must be a whole number of at least 1, got 0"):
        trajectory(aj.sgd(0.1), jnp.sum, (1.0, 1.0), 0)


# Tuning, pictures and the command.


def test_the_rate_is_the_one_that_ends_lowest():
    ravine = SURFACES["ravine"]
    (path,) = tune_on_surface(["sgd:momentum=0.9"], ravine, steps=25)
    rates = rates_to_try(OptimizerSpec("sgd"))
    assert len(rates) == 51 and min(rates) == 1e-4 and max(rates) == 10
    ends = {}
    for rate in rates:
        position, velocity, curvature = np.array([-4.0, 1.0]), np.zeros(2), np.array([1.0, 50.0])
        values = []
        for _ in range(26):
            values.append(curvature @ position**2 / 2)
            velocity = 0.9 * velocity + curvature * position
            position = position - rate * velocity
        ends[rate] = max(values[-3:])
    best = min(ends, key=ends.get)
    assert path.learning_rate == best and sum(end < 1.5 * ends[best] for end in ends.values()) < 5
    np.testing.assert_allclose(path.highest_at_end, ends[best], rtol=1e-3)
    assert path.points.shape == (26, 2) and path.values.shape == (26,)


def test_a_given_rate_is_not_tuned_and_the_steps_are_the_surface_s():
    saddle = SURFACES["saddle"]
    (path,) = tune_on_surface(["sgd:learning_rate=0.3"], saddle)
    assert path.learning_rate == 0.3 and len(path.values) == saddle.steps + 1
    points, _ = trajectory(aj.sgd(0.3), saddle.function, saddle.start, saddle.steps)
    np.testing.assert_allclose(path.points, points, rtol=1e-5, atol=1e-6)


def a_path(values, name="sgd"):
    points = np.stack([values, values], 1)
    return Trajectory(OptimizerSpec(name), 0.1, points, np.asarray(values, np.float32))


def test_what_is_reached_is_what_it_stays_below():
    lucky = a_path([8.0, 1e-9, *[4.0] * 16, 3.0, 1e-9])
    assert lucky.highest_at_end == 3 and lucky.steps_to(0.5) == 1 and lucky.steps_to(0.1) == 19
    assert lucky.steps_to(1e-12) is None
    diverged = a_path([1.0, 1e-9, np.inf, np.nan])
    assert np.isnan(diverged.highest_at_end) and diverged.steps_to(0.1) is None


def test_pictures_of_many_paths_and_of_one_that_diverges():
    """Nine of them, which is more than there are colors; warnings would be errors."""
    surface = SURFACES["himmelblau"]
    away = np.array([0.0, 1.0, -1e4, 1e12, -1e30, np.inf, np.nan, np.nan])
    paths = [a_path(away), *(a_path(np.linspace(0, i, 8), "adam") for i in range(8))]
    figure = draw_trajectories(surface, paths)
    (axes,) = figure.axes
    lines = axes.get_lines()[-9:]
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 9
    for line, path in zip(lines, paths, strict=True):
        np.testing.assert_array_equal(line.get_xydata(), path.points)
    assert (axes.get_xlim(), axes.get_ylim()) == surface.limits
    (legend,) = figure.legends
    assert legend.get_texts()[0].get_text() == "sgd, rate 0.1"
    for drawn in (figure, draw_gallery(surface, paths)):
        drawn.savefig(file := io.BytesIO())
        assert Image.open(file).size[0] > 500


def frames(file):
    with Image.open(file) as image:
        assert image.format == "GIF"
        return [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(image)]


def test_an_animation_grows_to_the_whole_paths(tmp_path):
    surface = SURFACES["ravine"]
    paths = tune_on_surface(["sgd", "adam:learning_rate=0.3"], surface, steps=9)
    animate_trajectories(surface, paths, tmp_path / "whole.gif")
    whole = frames(tmp_path / "whole.gif")
    assert len(whole) == 10  # every step
    changed = [np.mean(np.any(frame != whole[0], -1)) for frame in whole]
    assert changed[0] == 0 and 0 < changed[1] < changed[-1] < 0.2
    animate_trajectories(surface, paths, tmp_path / "short.gif", frames=4)
    assert len(frames(tmp_path / "short.gif")) == 4


def run(capsys, *argv):
    status = cli.main(("surfaces", *argv))
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.mark.relaxed
def test_the_command(capsys, tmp_path, monkeypatch):
    few = {name: registry.OPTIMIZERS[name] for name in ("sgd", "lion", "adabound")}
    monkeypatch.setattr(registry, "OPTIMIZERS", few)
    out_dir = tmp_path / "new" / "folder"
    arguments = ("--optimizers", "sgd:momentum=0.9", "lion:learning_rate=0.02", "--steps", "5")
    where = ("--surface", "saddle", "ravine", "saddle", "--out", str(out_dir))
    status, out, _ = run(capsys, *arguments, *where, "--gallery")
    assert status == 0
    expected = {f"{name}{end}" for name in ("saddle", "ravine") for end in ENDS}
    assert {file.name for file in out_dir.iterdir()} == expected
    for name in expected:
        with Image.open(out_dir / name) as image:
            assert image.format == name[-3:].upper() and min(image.size) > 100
        assert out.count(name) == 1
    assert out.count("sgd momentum=0.9") == 2 and out.count("0.02 ") >= 2


ENDS = (".png", ".gif", "_gallery.png")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("--surface", "rosenbrok"), "no surface 'rosenbrok': did you mean 'rosenbrock'?"),
        (("--optimizers", "adamm"), "no optimizer 'adamm': did you mean 'adam"),
        (("--optimizers", "sgd:momentum=2"), "sgd: momentum must be in [0, 1]"),
        (("--steps", "0"), "steps must be a whole number of at least 1, got 0"),
        (("--out", "/dev/null/x"), "cannot make the folder /dev/null/x"),
    ],
    ids=str,
)
def test_bad_input_is_one_line_and_exits_2(capsys, tmp_path, monkeypatch, argv, message):
    monkeypatch.chdir(tmp_path)
    status, out, err = run(capsys, *argv)
    assert status == 2 and out == "" and not list(tmp_path.iterdir())
    (line,) = err.splitlines()
    assert line.startswith("adaptive-jax: error:") and message in line


def test_varied_paths_are_those_of_each_setting_alone():
    ravine, rates, momenta = SURFACES["ravine"], [0.01, 0.02], [0.5, 0.9]
    varied = vary_on_surface("sgd", ravine, 20, learning_rate=rates, momentum=momenta)
    for path, rate, momentum in zip(varied, rates, momenta, strict=True):
        label = f"sgd:learning_rate={rate},momentum={momentum}"
        (alone,) = tune_on_surface([label], ravine, 20)
        assert path.optimizer.label == label and path.learning_rate == rate
        np.testing.assert_allclose(path.points, alone.points, rtol=1e-5, atol=1e-6)
