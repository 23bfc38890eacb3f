"""The tables of notebooks/docs/migration.md: both sides of every row do what the row says."""

import collections
import functools
import inspect
import pkgutil
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adaptive_jax as aj
from adaptive_jax.presets import keras, torch
from tests import test_pages

pytestmark = pytest.mark.relaxed
PAGE = test_pages.text_of("migration")
NAMES = {"aj": aj, "jax": jax, "jnp": jnp, "keras": keras, "optax": optax, "torch": torch}
CALLS = ("aj.", "jax.", "keras.", "lambda ", "optax.", "torch.")
STEPS = 5
# Optax takes Adafactor's decay rate in float32, and corrects Muon's norm before it adds eps.
ROUNDED = ("adafactor", "factored_rms", "muon")
BY_SHAPE = ("adafactor", "muon", "sm3", "global_norm")


def table(heading):
    """The cells of every row of the first table below a heading."""
    lines = PAGE[PAGE.index(f"### {heading}\n") :].splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("|---")) + 1
    stop = next(i for i, line in enumerate(lines) if i > start and not line.startswith("|"))
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[start:stop]]


def code(cell):
    return re.findall(r"`([^`]+)`", cell)


def call(cell):
    (expression,) = code(cell)
    return expression


def build(expression):
    return eval(expression, dict(NAMES))


OPTIMIZERS, TRANSFORMS = table("Optimizers"), table("Transforms and wrappers")
PRESETS = table("Optimizers of PyTorch") + table("Optimizers of Keras")
SCHEDULES = table("Schedules")
PRESET_SCHEDULES = table("Schedulers of PyTorch") + table("Schedules of Keras")


def pairs(rows):
    """(an expression, one that does the same or does not, whether it does) of every row."""
    for left, here, remark in rows:
        if rows in (PRESETS, PRESET_SCHEDULES):
            if remark.startswith("`") and code(remark)[0].endswith(")"):
                yield call(here), code(remark)[0], True
        else:
            yield call(left), call(here), not remark.startswith("not equal")


SCHEDULE_PAIRS = [*pairs(SCHEDULES), *pairs(PRESET_SCHEDULES)]
TRANSFORMATIONS = [*pairs(OPTIMIZERS), *pairs(TRANSFORMS), *pairs(PRESETS)]


def inputs():
    """Gradients from far below every eps to far above 1, so that its place makes a difference."""
    rng = np.random.default_rng(0)
    params = {"w": rng.normal(size=(3, 4)), "b": rng.normal(size=4)}
    sizes = {"w": np.logspace(-10, 1, 12).reshape(3, 4), "b": 1.0}
    grads = {k: sizes[k] * rng.normal(size=(STEPS, *p.shape)) for k, p in params.items()}
    return jax.tree.map(jnp.asarray, (params, grads))


def seen_by(expression, tree):
    """A vector beside the matrix only where it makes a difference: it takes long to compile."""
    by_shape = any(name in expression.lower() for name in BY_SHAPE)
    return tree if by_shape else {"w": tree["w"]}


@functools.cache
def updates():
    """Returns a step of every expression, from one program; a scan takes longer to compile."""
    with jax.enable_x64(True):
        txs = {e: build(e) for left, right, _ in TRANSFORMATIONS for e in (left, right)}
        params, grads = inputs()
        start = {e: seen_by(e, params) for e in txs}

        @jax.jit
        def step(params, states, g):
            made = {e: tx.update(seen_by(e, g), states[e], params[e]) for e, tx in txs.items()}
            steps = {e: u for e, (u, _) in made.items()}
            return optax.apply_updates(params, steps), {e: s for e, (_, s) in made.items()}, steps

        states = jax.jit(lambda: {e: tx.init(start[e]) for e, tx in txs.items()})()
        path, params = [], start
        for i in range(STEPS):
            params, states, made = step(params, states, jax.tree.map(lambda g, i=i: g[i], grads))
            path.append(made)
        assert step._cache_size() == 1
    return jax.tree.map(lambda *u: np.stack(u), *path)


@pytest.mark.parametrize(("left", "right", "equal"), TRANSFORMATIONS)
def test_both_sides_make_the_same_steps(left, right, equal):
    """In float64, each coordinate of each step to nine digits."""
    tolerance = 1e-6 if any(name in left for name in ROUNDED) else 1e-9
    a, b = updates()[left], updates()[right]
    close = [np.allclose(a[k], b[k], rtol=tolerance, atol=1e-15) for k in a]
    assert all(close) == equal


@functools.cache
def rates():
    with jax.enable_x64(True):
        makes = {e: build(e) for left, right, _ in SCHEDULE_PAIRS for e in (left, right)}
        of_all = jax.vmap(lambda n: {e: jnp.asarray(make(n)) for e, make in makes.items()})
        return jax.jit(of_all)(jnp.arange(100))


@pytest.mark.parametrize(("left", "right", "equal"), SCHEDULE_PAIRS)
def test_both_schedules_are_the_same(left, right, equal):
    assert np.allclose(rates()[left], rates()[right], rtol=1e-9, atol=1e-15) == equal


# What the third column says of Optax's defaults.


def defaults(expression):
    """Returns the default arguments of the functions called in an expression."""
    found = {}
    for name in reversed(re.findall(r"((?:aj|optax)\.[\w.]+)\(", expression)):
        parameters = inspect.signature(build(name)).parameters.values()
        found |= {p.name: p.default for p in parameters if p.default is not p.empty}
    return found


def dotted(expression):
    """The name of the function that an expression calls, in its module."""
    return re.match(r"\w+\.([\w.]+)\(", expression)[1]


STATED = re.compile(r"`(\w+)` ([\w.-]+) there(?:, (?:`(\w+)` )?([\w.-]+) here)?")


@pytest.mark.parametrize("row", OPTIMIZERS + TRANSFORMS, ids=lambda row: call(row[0]))
def test_defaults_are_as_stated(row):
    left, here, remark = row
    theirs, ours = defaults(call(left)), defaults(call(here))
    for name, there, our_name, value in STATED.findall(remark):
        assert repr(theirs[name]) == there
        assert not value or repr(ours[our_name or name]) == value


def test_defaults_that_differ_are_stated():
    stated = collections.defaultdict(set)
    for left, _, remark in OPTIMIZERS + TRANSFORMS:
        stated[dotted(call(left))] |= {name for name, *_ in STATED.findall(remark)}
    for left, here, _ in OPTIMIZERS + TRANSFORMS:
        if dotted(call(left)).split(".")[-1] == dotted(call(here)):
            theirs, ours = defaults(call(left)), defaults(call(here))
            for name in theirs.keys() & ours.keys() - {"learning_rate"}:
                assert theirs[name] == ours[name] or name in stated[dotted(call(left))], left


# That no row is missing.


def optimizers_of(module):
    functions = {k: v for k, v in vars(module).items() if inspect.isfunction(v) and k[0] != "_"}
    return {k for k, v in functions.items() if "learning_rate" in inspect.signature(v).parameters}


def test_what_optax_and_we_have_under_one_name_is_there():
    both = {k for k in dir(optax) if k[0] != "_" and callable(getattr(aj, k, None))}
    both = {k for k in both if not k.endswith("State")}  # a paragraph says which states differ
    assert len(both) > 40
    assert {k for k in both if f"optax.{k}(" not in PAGE} == set()
    of_contrib = {k for k in optimizers_of(optax.contrib) if hasattr(aj, k)}
    assert {k for k in of_contrib if f"`optax.contrib.{k}(" not in PAGE} == set()


def test_what_is_said_not_to_be_here_is_not():
    start = PAGE.index("These are not included; use them from Optax")
    listed = set(code(PAGE[start : PAGE.index("###", start)])) - {"optax.contrib"}
    for name in listed:
        assert callable(pkgutil.resolve_name(name)), name
        assert not hasattr(aj, name.split(".")[-1]), name
    rows = {f"optax.{dotted(call(left))}" for left, *_ in OPTIMIZERS + TRANSFORMS}
    of_this_version = f"Optax {optax.__version__}" in PAGE  # a later one may have more
    for module in ("optax", "optax.contrib") if of_this_version else ():
        for name in optimizers_of(pkgutil.resolve_name(module)):
            if not name.startswith("scale_by_"):
                assert f"{module}.{name}" in listed | rows, name
    for module, name in re.findall(r"`(torch\.optim|keras\.optimizers)\.(\w+)` is not here", PAGE):
        with pytest.raises(AttributeError):
            getattr({"torch.optim": torch, "keras.optimizers": keras}[module], name)


def public(module):
    return {k for k, v in vars(module).items() if k[0].isupper() and inspect.isfunction(v)}


def test_every_preset_has_a_row():
    rows = {dotted(call(here)) for _, here, _ in PRESETS + PRESET_SCHEDULES}
    assert public(torch) | public(keras) <= rows
    assert {f"lr_scheduler.{k}" for k in public(torch.lr_scheduler)} <= rows
    assert {f"schedules.{k}" for k in public(keras.schedules)} <= rows


# PyTorch and Keras, which are not installed.


@pytest.mark.parametrize("row", PRESETS + PRESET_SCHEDULES, ids=lambda row: call(row[1]))
def test_the_call_is_copied(row):
    theirs, here, _ = row
    build(call(here))
    assert dotted(call(here)).split(".")[-1] == re.search(r"(\w+)\(", call(theirs))[1]
    if row in PRESETS:
        copied = call(theirs).replace("torch.optim", "torch").replace("keras.optimizers", "keras")
        assert re.sub(r"model\.parameters\(\)(, )?", "", copied) == call(here)


@pytest.mark.parametrize("library", ["PyTorch", "Keras"])
def test_the_rest_of_a_script_can_be_written_so(library):
    params = {"w": jnp.ones((2, 2)), "bias": jnp.ones(2)}
    trees = dict.fromkeys(("params", "grads", "updates", "average"), params)
    names = NAMES | trees
    for _, here in table(f"The rest of a {library} script"):
        for expression in code(here):
            if expression.startswith("adaptive_jax."):
                pkgutil.resolve_name(expression)
            if not expression.startswith(CALLS):
                continue
            value = eval(expression, names)
            if hasattr(value, "init"):  # what comes next in the row is of its state
                names |= {"tx": value, "state": value.init(params)}


@pytest.mark.parametrize("library", ["PyTorch", "Keras"])
def test_what_is_printed_is_what_the_library_prints(library, capsys):
    section = PAGE[PAGE.index(f"## From {library}") :]
    before, after = re.findall(r"```(?:text|python)\n(.*?)```", section, flags=re.DOTALL)[:2]
    imports = test_pages.blocks("migration")[0]
    names = {}
    x_and_y = re.findall(r"^[xy] = jnp.*$", PAGE, flags=re.MULTILINE)
    exec("\n".join([imports, *x_and_y, after]), names)
    printed = capsys.readouterr().out.strip()
    assert re.search(r"# ([\d.]+)\s*$", before)[1] == printed
    assert re.search(r"# ([\d.]+)\s*$", after)[1] == printed


# What the rows on the rest of a script say that their expressions do.


def rest_of(library, start):
    """The expressions in the row of "The rest of a script" that begins so."""
    rows = [here for left, here in table(f"The rest of a {library} script") if start in left]
    assert len(rows) == 1
    return code(rows[0])


def rates_of_keras(losses, patience, cooldown=0, factor=0.1, min_delta=1e-4):
    """Keras's callback ReduceLROnPlateau: the rate after each epoch, by a loop in Python."""
    rate, best, wait, cooling, after = 0.1, np.inf, 0, 0, []
    for loss in losses:
        if cooling:
            cooling, wait = cooling - 1, 0
        if loss < best - min_delta:
            best, wait = loss, 0
        elif not cooling:
            wait += 1
            if wait >= patience:
                rate, cooling, wait = rate * factor, cooldown, 0
        after.append(rate)
    return after


LOSSES = [3, 2, 2, 2.1, 1.99995, 2, 2, 2, 1, *[1.0] * 12, 0.5, *[-1.0] * 8, -2.0, -2.00005]


@pytest.mark.parametrize("cooldown", [0, 1, 3])
def test_the_plateau_of_keras_is_what_the_row_says(cooldown):
    expected = rates_of_keras(LOSSES, 5, cooldown)
    ours, optaxs = [e for e in rest_of("Keras", "ReduceLROnPlateau") if e.endswith(")")]
    given = {"cooldown": max(cooldown - 1, 0)}
    found = []
    with jax.enable_x64(True):
        # Ours reads no value at the first update, which comes before the end of an epoch.
        for expression, losses in [(ours, [np.nan, *LOSSES]), (optaxs, LOSSES)]:
            make, arguments = expression.rstrip(")").split("(", 1)
            tx = eval(f"{make}({arguments}, **given)", NAMES | {"given": given})
            rate = jnp.float64(0.1)

            def step(state, loss, tx=tx, rate=rate):
                updates, state = tx.update(rate, state, value=loss)
                return state, updates

            state = tx.init(rate)
            found.append(jax.lax.scan(step, state, jnp.asarray(losses, jnp.float64))[1])
    np.testing.assert_allclose(found[0][1:], expected, rtol=1e-12)
    np.testing.assert_allclose(found[1], expected, rtol=1e-12)


def assigned(expression, **names):
    """The value of what stands to the right of an expression's "="."""
    return eval(expression.split(" = ")[1], NAMES | names)


def test_the_means_of_pytorchs_averaged_model():
    paths = np.random.default_rng(0).normal(size=(5, 3))
    now_and_then, _ = rest_of("PyTorch", "now and then")[:2]
    exponential = rest_of("PyTorch", "get_ema_multi_avg_fn")[0]
    average = mean = paths[0]
    expected = paths[0]
    for n, params in enumerate(paths):
        average = assigned(now_and_then, params=params, average=average, n=n)
        if n > 0:  # at first PyTorch copies
            mean = assigned(exponential, params=params, average=mean)
            expected = 0.99 * expected + 0.01 * params
    np.testing.assert_allclose(average, paths.mean(0), rtol=1e-5)
    np.testing.assert_allclose(mean, expected, rtol=1e-5)
    state = aj.polyak_average().init(jnp.zeros(3))
    before = np.concatenate([np.zeros((1, 3)), paths[:-1]])
    for p, after in zip(before, paths, strict=True):
        _, state = aj.polyak_average().update(jnp.float32(after - p), state, jnp.float32(p))
    np.testing.assert_allclose(aj.averaged_params(state), paths.mean(0), rtol=1e-5, atol=1e-6)


def test_the_statistics_of_update_bn():
    (expression,) = (e for e in rest_of("PyTorch", "update_bn") if e.startswith("stats"))
    batches = np.random.default_rng(0).normal(size=(4, 3))
    stats = np.full(3, 100.0)  # what they were before does not count
    for i, batch_stats in enumerate(batches):
        stats = assigned(expression, batch_stats=batch_stats, stats=stats, i=i)
    np.testing.assert_allclose(stats, batches.mean(0), rtol=1e-5)


def test_the_loss_scale_of_keras_is_flaxs():
    scale_of_flax, skip = (e for e in rest_of("Keras", "LossScaleOptimizer") if e.endswith(")"))
    dynamic_scale = pytest.importorskip("flax.training.dynamic_scale")
    arguments = re.fullmatch(r"flax\.training\.dynamic_scale\.DynamicScale\((.*)\)", scale_of_flax)[
        1
    ]
    made = eval(f"dict({arguments})")
    # As in Keras: the scale doubles at the 2000th finite step in a row, and halves at another.
    assert (made["scale"], made["growth_interval"] + 1) == (2.0**15, 2000)
    scale, tx, params = dynamic_scale.DynamicScale(growth_interval=2, scale=8.0), build(skip), 1.0
    state, scales = tx.init(params), []
    for power in (1, 1, 1, 1e38, 1, 1, 1):
        scale, finite, _, grad = scale.value_and_grad(lambda p, power=power: p * power)(params)
        updates, state = tx.update(grad, state, params)
        assert finite == (power == 1) == bool(updates != 0)
        scales.append(float(scale.scale))
    assert scales == [8, 8, 16, 8, 8, 8, 16]
