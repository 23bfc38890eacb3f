"""Checks of what the user passes in, with errors that say what to write instead."""

import difflib
import numbers
from collections.abc import Callable, Iterable
from typing import Any, TypeGuard

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from adaptive_jax import numerics
from adaptive_jax.typing import PyTree, Scalar, ScalarOrSchedule

NO_ASCENT = "; to ascend, put optax.scale(-1.0) before it in a chain"


def number(name: str, value: Scalar, interval: str, hint: str = "") -> Scalar:
    """Returns `value` ready for use as a hyperparameter; raises if it is not in `interval`.

    A concrete value comes back as a Python float (so that `1 - b` is exact before it meets a
    float32 array); a traced value is not checked and comes back in float32 or wider, since a
    decay rate of 0.999 in bfloat16 is 1.

    Args:
      name: the argument's name, for the message.
      value: a Python number, a 0-d array or a traced value.
      interval: the allowed range as mathematicians write it, e.g. `"[0, 1)"`.
      hint: the end of the message about a value out of range: what to write instead.

    Raises:
      TypeError: the value is no real number.
      ValueError: the value lies outside the interval, is NaN, or is not a scalar.

    >>> number("b1", 0.9, "[0, 1)")
    0.9
    >>> number("b1", 1.0, "[0, 1)")
    Traceback (most recent call last):
      ...
    ValueError: b1 must be in [0, 1), got 1.0
    """
    if callable(value):
        raise ValueError(f"{name} must be a number in {interval}, got a schedule: {value!r}")
    if isinstance(value, (jax.Array, np.ndarray, np.generic)):
        if value.shape:
            raise ValueError(
                f"{name} must be a scalar in {interval}, got shape {value.shape}; "
                "to try several values at once, vmap the function that builds the optimizer"
            )
        if is_traced(value):
            return numerics.widen(value)
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a number in {interval}, got {value!r}")
    low, high = map(float, interval[1:-1].split(","))
    try:
        real = float(value)
    except OverflowError as error:
        raise ValueError(f"{name} must be no more than a float can hold, got {value!r}") from error
    above = real > low or (interval[0] == "[" and real == low)
    below = real < high or (interval[-1] == "]" and real == high)
    if not (above and below):
        raise ValueError(f"{name} must be in {interval}, got {value!r}{hint}")
    return real


def is_traced(value: Any) -> TypeGuard[jax.Array]:
    """Whether the value is known only when a compiled program runs."""
    return isinstance(value, Tracer)


def number_or_schedule(
    name: str, value: ScalarOrSchedule, interval: str, hint: str = ""
) -> ScalarOrSchedule:
    """Like `number`, but lets a schedule (a callable of the step) through."""
    return value if callable(value) else number(name, value, interval, hint)


def steps(name: str, value: Any, minimum: int = 1, maximum: int | None = None) -> int:
    """Returns `value` if it is a whole number of steps, from `minimum` to `maximum`.

    Raises:
      ValueError: it is no whole number, or out of range.

    >>> steps("decay_steps", 0)
    Traceback (most recent call last):
      ...
    ValueError: decay_steps must be a whole number of at least 1, got 0
    """
    expected = f"{name} must be a whole number of at least {minimum}"
    if is_traced(value):
        raise ValueError(
            f"{expected} that is known when the program is compiled, got {value}: pass a Python "
            "integer, by functools.partial or static_argnames"
        )
    if isinstance(value, (jax.Array, np.ndarray, np.generic)) and value.shape == ():
        value = value.item()
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float))
        or not minimum <= value < 1e300
        or value != int(value)
    ):
        raise ValueError(f"{expected}, got {value!r}")
    if maximum is not None and value > maximum:
        raise ValueError(f"{name} must be at most {maximum}, got {value!r}")
    return int(value)


def near_misses(name: str, known: Iterable[str]) -> str:
    """The end of an error message about a name that is not among the known ones.

    >>> near_misses("adm", ["adam", "sgd"]), near_misses("lr", ["learning_rate", "b1"])
    ("did you mean 'adam'?", "did you mean 'learning_rate'?")
    """
    known = list(known)
    initials = [k for k in known if "".join(word[:1] for word in k.split("_")) == name]
    close = initials or difflib.get_close_matches(name, known, cutoff=0.5)
    if close:
        return f"did you mean {' or '.join(map(repr, close))}?"
    return f"known are {', '.join(known)}"


def require_params(stage: str, params: PyTree) -> None:
    """Raises if `params` is None where `stage` reads the parameters."""
    if params is None:
        raise ValueError(
            f"{stage} reads the parameters: call update(gradients, state, params), "
            "not update(gradients, state)"
        )


def same_structure(**trees: PyTree) -> None:
    """Raises if the named trees differ in structure, with the path of what is missing."""
    try:
        jax.tree.map(lambda *leaves: None, *trees.values())
    except (ValueError, TypeError) as error:
        raise ValueError(_explain_mismatch(trees)) from error


def map_leaves(fn: Callable[..., Any], **trees: PyTree) -> PyTree:
    """`jax.tree.map` over the named trees, whose mismatch is an error that names the path.

    >>> map_leaves(lambda g, m: g + m, gradients={"w": 1.0}, state={"v": 1.0})
    Traceback (most recent call last):
      ...
    ValueError: gradients and state do not match: state has nothing at ['w']
    """
    same_structure(**trees)

    def leaf(path, *leaves):
        shapes = [jnp.shape(x) for x in leaves]
        if any(shape != shapes[0] for shape in shapes):
            raise ValueError(
                f"shapes differ at {jax.tree_util.keystr(path) or 'the only leaf'}: "
                + ", ".join(f"{name} {shape}" for name, shape in zip(trees, shapes, strict=True))
            )
        return fn(*leaves)

    return jax.tree_util.tree_map_with_path(leaf, *trees.values())


def check_inexact(params: PyTree) -> None:
    """Raises if a leaf of `params` is neither floating-point nor complex."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        dtype = jnp.result_type(leaf)
        if not jnp.issubdtype(dtype, jnp.inexact):
            raise ValueError(
                f"parameters must be floating-point or complex, got {dtype} at "
                f"{jax.tree_util.keystr(path) or 'the only leaf'}; "
                "leave such leaves out with optax.masked or optax.partition"
            )


def _explain_mismatch(trees: dict[str, PyTree]) -> str:
    paths = {
        name: [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(tree)]
        for name, tree in trees.items()
    }
    (first, expected), *others = paths.items()
    for name, found in others:
        for has, lacks, lacking in ((expected, found, name), (found, expected, first)):
            missing = [path for path in has if path not in lacks]
            if missing:
                where = missing[0] or "the root, where the other is a single array"
                return f"{first} and {name} do not match: {lacking} has nothing at {where}"
    structures = ", ".join(f"{name} {jax.tree.structure(tree)}" for name, tree in trees.items())
    return f"tree structures do not match: {structures}"
