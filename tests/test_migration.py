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
    """Of all expressions, from one program that makes one step of each: a scan takes longer."""
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
    """Of the functions that are called in an expression; of an argument of two, the first one's."""
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
    assert len(both) > 40
    assert {k for k in both if f"optax.{k}(" not in PAGE} == set()
    of_contrib = {k for k in optimizers_of(optax.contrib) if hasattr(aj, k)}
    assert {k for k in of_contrib if f"`optax.contrib.{k}(" not in PAGE} == set()


def test_what_is_said_not_to_be_here_is_not():
    start = PAGE.index("Not here, and used from Optax")
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
