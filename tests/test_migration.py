"""The tables of notebooks/docs/migration.md: both sides of every row do what the row says."""

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
from tests import test_exactness, test_pages

pytestmark = pytest.mark.relaxed
PAGE = test_pages.text_of("migration")
NAMES = {"aj": aj, "jax": jax, "jnp": jnp, "keras": keras, "optax": optax, "torch": torch}
CALLS = ("aj.", "jax.", "keras.", "lambda ", "optax.", "torch.")
STEPS = 5
# Optax takes Adafactor's decay rate in float32, and corrects Muon's norm before it adds eps.
ROUNDED = ("adafactor", "factored_rms", "muon")


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


TRANSFORMATIONS = [*pairs(OPTIMIZERS), *pairs(TRANSFORMS), *pairs(PRESETS)]


def inputs():
    """Gradients from far below every eps to far above 1, so that its place makes a difference."""
    rng = np.random.default_rng(0)
    params = {"w": rng.normal(size=(3, 4)), "b": rng.normal(size=4)}
    sizes = {"w": np.logspace(-10, 1, 12).reshape(3, 4), "b": 1.0}
    grads = {k: sizes[k] * rng.normal(size=(STEPS, *p.shape)) for k, p in params.items()}
    return params, grads


@functools.cache
def trajectories():
    """Of all expressions, in one program."""
    expressions = {e for left, right, _ in TRANSFORMATIONS for e in (left, right)}
    makes = {e: functools.partial(build, e) for e in sorted(expressions)}
    return test_exactness.run(makes, *inputs())


@pytest.mark.parametrize(("left", "right", "equal"), TRANSFORMATIONS)
def test_both_sides_make_the_same_steps(left, right, equal):
    params, _ = inputs()
    tolerance = 1e-6 if any(name in left for name in ROUNDED) else 1e-9
    differences = []
    for leaf, start in params.items():
        a, b = (trajectories()[expression][leaf] for expression in (left, right))
        way = np.cumsum(np.abs(np.diff(a, axis=0, prepend=start[None])), axis=0)
        differences.append(np.max(np.abs(a - b) / (tolerance * way + 1e-14)))
    assert (max(differences) <= 1) == equal, max(differences)
