"""Figures of comparisons: what is drawn is what the records say."""

import dataclasses
import math

import numpy as np
import pytest

from adaptive_jax.lab.analysis import analyze
from adaptive_jax.lab.report import figures
from adaptive_jax.registry import OPTIMIZERS
from tests import synthetic
from tests.test_report import EPOCHS, SIX, made

pytestmark = pytest.mark.relaxed


def line_of(axes, label):
    return next(line for line in axes.get_lines() if line.get_label() == label)


def test_styles_differ_for_all_optimizers():
    palette = [
        tuple(map(str, style.values())) for style in figures.make_palette(OPTIMIZERS).values()
    ]
    assert len({style[1:] for style in palette}) == len(OPTIMIZERS)


def test_learning_curves_are_medians():
    runs = [run for run in made(SIX[:3], seeds=5, diverged={}) if run.phase == "final"]
    axes = figures.learning_curves(runs)
    mine = [run.curve for run in runs if run.optimizer == "adam"]
    median = np.median([[point["validation_accuracy"] for point in curve] for curve in mine], 0)
    line = line_of(axes, "adam")
    np.testing.assert_allclose(line.get_ydata(), median)
    np.testing.assert_array_equal(line.get_xdata(), np.arange(1, EPOCHS + 1))
    given = figures.learning_curves(runs, "train_loss", [SIX[0]], axes=axes)
    assert given is axes and axes.get_title() == "training loss"


def test_a_diverged_curve_leaves_the_axes_at_the_top():
    runs = made(["adam", "rmsprop"], diverged={("digits", "rmsprop"): [0, 1, 2]})
    axes = figures.learning_curves(runs, "train_loss")
    assert line_of(axes, "rmsprop").get_ydata()[-1] > axes.get_ylim()[1]
    assert line_of(axes, "adam").get_ydata()[-1] < axes.get_ylim()[1] <= 2 * synthetic.INITIAL_LOSS


def test_tuning_curves_mark_what_was_chosen_and_what_diverged():
    runs = made(["adam"], diverged={})
    highest = max(run.hyperparameters["learning_rate"] for run in runs)
    runs = [
        dataclasses.replace(run, diverged=True)
        if run.hyperparameters["learning_rate"] == highest
        else run
        for run in runs
    ]
    axes = figures.tuning_curves(runs)
    marks = {line.get_marker(): line for line in axes.get_lines()}
    chosen = {run.hyperparameters["learning_rate"] for run in runs if run.phase == "final"}
    assert set(marks["o"].get_xdata()) == chosen and list(marks["x"].get_xdata()) == [highest]
    assert len(marks["."].get_xdata()) == 4 and list(marks["D"].get_xdata()) == [0.001]


def test_a_forest_plot_stays_legible_beside_a_failure():
    runs = made(["adam", "rmsprop", "adabound"], diverged={})
    axes = figures.differences(analyze(runs).workloads[0].differences)
    assert axes.get_xscale() == "linear"
    (mine,) = analyze(made(["adam", "rmsprop", "adabound", "sgd"], diverged={})).workloads
    failed = [dataclasses.replace(mine.differences[0], mean=0.7, low=0.6, high=0.8)]
    axes = figures.differences([*mine.differences, *failed])
    assert axes.get_xscale() == "symlog" and axes.get_xlim()[1] > 80
    points = [line.get_xdata()[0] for line in axes.get_lines() if line.get_marker() == "o"]
    np.testing.assert_allclose(points, [100 * d.mean for d in [*mine.differences, *failed]])


def test_trials_are_means_over_tuning_seeds():
    runs = [run for run in at_random(made(["adam"], diverged={})) if run.phase == "tune"]
    again = [
        dataclasses.replace(run, final={"validation_accuracy": 0.5, "validation_loss": 1.0})
        for run in runs
    ]
    (line, *_) = figures.tuning_curves([*runs, *again]).get_lines()
    expected = [(run.final["validation_accuracy"] + 0.5) / 2 for run in runs]
    np.testing.assert_allclose(line.get_ydata(), expected)
    line = line_of(figures.tuning_budget([*runs, *again]), "adam")
    assert len(line.get_ydata()) == 5
    assert line.get_ydata()[-1] == pytest.approx(max(expected))


def at_random(runs):
    return [dataclasses.replace(run, search="random") for run in runs]


def test_random_search_is_points_without_lines():
    runs = [
        dataclasses.replace(run, varied={**run.varied, "b1": 0.9})
        for run in made(["adam"], diverged={})
    ]
    assert line_of(figures.tuning_curves(runs), "adam").get_linestyle() == "None"


def test_missed_targets_are_crosses_and_costs_are_dots():
    rows = analyze(made(["adam", "rmsprop"], targets={"digits": 0.948})).workloads[0].summaries
    steps, _ = figures.dots(rows, figures.TO_TARGET)
    by_marker = {line.get_marker(): line for line in steps.get_lines()}
    assert math.isfinite(rows[0].steps_to_target) and math.isinf(rows[1].steps_to_target)
    assert by_marker["o"].get_xdata()[0] == rows[0].steps_to_target
    assert by_marker["x"].get_ydata()[0] == 1


def test_effective_learning_rates_show_the_median_parameter():
    runs = made(["adam"])
    axes = figures.effective_learning_rates(runs, "adam")
    (image,), (line,) = axes.get_images(), axes.get_lines()
    strength = image.get_array()[..., 3]
    assert strength.shape == (40, EPOCHS)
    assert set(np.argmax(strength, 0)) == {17} and (strength[:15] == 0).all()
    np.testing.assert_allclose(line.get_ydata(), -6 + 17.5 / 4)  # the middle of bin 17


def test_epochs_without_rates_have_no_median():
    runs = made(["adam"])
    empty = [[[0] * 40, *run.rates[1:]] for run in runs]
    runs = [dataclasses.replace(run, rates=r) for run, r in zip(runs, empty, strict=True)]
    (line,) = figures.effective_learning_rates(runs, "adam").get_lines()
    assert np.isnan(line.get_ydata()).tolist() == [True] + [False] * (EPOCHS - 1)


def test_performance_profiles_rise_in_steps():
    axes = figures.performance_profile(np.array([1.0, 2.0]), {"adam": [0.75, 1.0]})
    line = line_of(axes, "adam")
    assert line.get_drawstyle() == "steps-post"
    np.testing.assert_allclose(line.get_xydata(), [[1, 0.75], [2, 1], [2.2, 1]])


def test_the_best_of_a_budget():
    runs = at_random(made(["adam"], diverged={}))
    scores = [run.final["validation_accuracy"] for run in runs if run.phase == "tune"]
    line = line_of(figures.tuning_budget(runs), "adam")
    assert line.get_ydata()[0] == pytest.approx(np.median(scores))
    assert line.get_ydata()[-1] == pytest.approx(max(scores))


def test_a_grid_has_no_curve_by_trials():
    with pytest.raises(ValueError, match="needs runs of search='random'"):
        figures.tuning_budget(made(["adam"], diverged={}))
