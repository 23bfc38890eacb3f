"""Checks of user input, with errors that say what to write instead."""

import difflib
import numbers
from collections.abc import Callable, Iterable
from typing import Any, TypeGuard

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.tree_util import GetAttrKey, KeyPath

from adaptive_jax import numerics
from adaptive_jax.typing import PyTree, Scalar, ScalarOrSchedule

NO_ASCENT = "; to ascend, put optax.scale(-1.0) before it in a chain"


def number(name: str, value: Scalar, interval: str, hint: str = "") -> Scalar:
    """Returns `value` ready for use as a hyperparameter; raises if it is not in `interval`.

    A concrete value is returned as a Python float, so that `1 - b` is computed in double precision
    before it meets a float32 array. A traced value is not checked. It is returned in float32 or
    wider, since a decay rate of 0.999 in bfloat16 is 1.

    Args:
      name: the argument's name, for the error message.
      value: a Python number, a 0-d array or a traced value.
      interval: the allowed range in mathematical notation, e.g. `"[0, 1)"`.
      hint: text appended to the error about a value out of range; it says what to write instead.

    Raises:
      TypeError: the value is not a real number.
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
        raise ValueError(f"{name} must fit in a float, got {value!r}") from error
    above = real > low or (interval[0] == "[" and real == low)
    below = real < high or (interval[-1] == "]" and real == high)
    if not (above and below):
        raise ValueError(f"{name} must be in {interval}, got {value!r}{hint}")
    return real


def is_traced(value: Any) -> TypeGuard[jax.Array]:
    """Returns True if `value` is known only when the compiled program runs."""
    return isinstance(value, Tracer)


def number_or_schedule(
    name: str, value: ScalarOrSchedule, interval: str, hint: str = ""
) -> ScalarOrSchedule:
    """Like `number`, but returns a schedule (a callable of the step) unchanged."""
    return value if callable(value) else number(name, value, interval, hint)


def steps(name: str, value: Any, minimum: int = 1, maximum: int | None = None) -> int:
    """Returns `value` if it is a whole number of steps, from `minimum` to `maximum`.

    Raises:
      ValueError: it is not a whole number, or it is out of range.

    >>> steps("decay_steps", 0)
    Traceback (most recent call last):
      ...
    ValueError: decay_steps must be a whole number of at least 1, got 0
    """
    value = static(name, value)
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float))
        or not minimum <= value < 1e300
        or value != int(value)
    ):
        raise ValueError(f"{name} must be a whole number of at least {minimum}, got {value!r}")
    if maximum is not None and value > maximum:
        raise ValueError(f"{name} must be at most {maximum}, got {value!r}")
    return int(value)


def static(name: str, value: Any) -> Any:
    """Returns `value`, as a Python number if it is a 0-d array; raises if it is traced."""
    if is_traced(value):
        raise ValueError(
            f"{name} must be known when the program is traced, got a traced array: pass a Python "
            "number, by functools.partial or static_argnames; under optax.inject_hyperparams make "
            f"it static: static_args=({name!r},)"
        )
    if isinstance(value, (jax.Array, np.ndarray, np.generic)) and not value.shape:
        return value.item()
    return value


def near_misses(name: str, known: Iterable[str]) -> str:
    """Returns the end of an error message about an unknown name.

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


class MismatchError(ValueError):
    """Trees that must have the same structure differ in structure."""


def same_structure(**trees: PyTree) -> None:
    """Raises a `MismatchError` that names the first path where the trees differ in structure."""
    first, *others = map(jax.tree.structure, trees.values())
    if any(structure != first for structure in others):
        raise MismatchError(_explain_mismatch(trees))


def map_leaves(fn: Callable[..., Any], **trees: PyTree) -> PyTree:
    """Calls `jax.tree.map` on the named trees; the error for a mismatch names the path.

    >>> map_leaves(lambda a, b: a + b, a={"w": 1.0}, b={"v": 1.0})
    Traceback (most recent call last):
      ...
    adaptive_jax.validation.MismatchError: a and b do not match: b has nothing at ['w']
    """
    # No generators, and no paths but for an error: in eager updates these take most of the time.
    (first, structure), *others = map(jax.tree.flatten, trees.values())
    for _, other in others:
        if other != structure:
            raise MismatchError(_explain_mismatch(trees))
    columns, shapes = [first], [*map(jnp.shape, first)]
    for leaves, _ in others:
        if [*map(jnp.shape, leaves)] != shapes:
            raise ValueError(_explain_shapes(trees))
        columns.append(leaves)
    return structure.unflatten([*map(fn, *columns)])


def is_inexact(x: Any) -> bool:
    """Returns True if `x` is a floating-point or complex number, or has such a dtype."""
    if isinstance(x, (float, complex)):
        return True
    return hasattr(x, "dtype") and jnp.issubdtype(x.dtype, jnp.inexact)


def check_inexact(**trees: PyTree) -> None:
    """Raises if a leaf of a named tree is neither floating-point nor complex.

    >>> check_inexact(gradients={"n": jnp.arange(2)})  # doctest: +ELLIPSIS
    Traceback (most recent call last):
      ...
    ValueError: gradients must be floating-point or complex, got int32 at ['n']; for ...
    """
    for name, tree in trees.items():
        if all(map(is_inexact, jax.tree.leaves(tree))):
            continue  # paths are built for an error only: they take most of the time
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
            if not is_inexact(leaf):
                raise ValueError(_explain_type(name, path, leaf))


def leaf_names(path: KeyPath) -> tuple[str, ...]:
    """Returns a path as names, without the `.value` that a Flax NNX Variable adds at its end.

    Trees of different structure can have the same names: a `FrozenDict` and a dict, an `nnx.State`
    of Variables and one of arrays, a model and its gradients with None in them.

    >>> [(path, _)] = jax.tree_util.tree_leaves_with_path({"layers": [{"bias": 0.0}]})[:1]
    >>> leaf_names(path)
    ('layers', '0', 'bias')
    """
    if path and path[-1] == GetAttrKey("value"):
        path = path[:-1]
    return tuple(jax.tree_util.keystr((key,), simple=True) for key in path)


def _explain_type(name: str, path: KeyPath, leaf: Any) -> str:
    kind = leaf.dtype if hasattr(leaf, "dtype") else type(leaf).__name__
    where = jax.tree_util.keystr(path) or "the only leaf"
    return (
        f"{name} must be floating-point or complex, got {kind} at {where}; for parameters that are "
        "not trained, pass None as the gradient, as eqx.filter_grad does, or leave them out with "
        "eqx.filter, optax.masked or optax.partition"
    )


def _explain_shapes(trees: dict[str, PyTree]) -> str:
    """The path and the shapes of the first leaves of which two differ."""
    first = next(iter(trees.values()))
    paths = [path for path, _ in jax.tree_util.tree_leaves_with_path(first)]
    shapes = zip(*(map(jnp.shape, jax.tree.leaves(tree)) for tree in trees.values()), strict=True)
    path, differing = next((p, s) for p, s in zip(paths, shapes, strict=True) if len({*s}) > 1)
    shown = ", ".join(f"{name} {shape}" for name, shape in zip(trees, differing, strict=True))
    return f"shapes differ at {jax.tree_util.keystr(path) or 'the only leaf'}: {shown}"


def _explain_mismatch(trees: dict[str, PyTree]) -> str:
    leaves = {name: jax.tree_util.tree_leaves_with_path(tree) for name, tree in trees.items()}
    (first, expected), *others = leaves.items()
    for name, found in others:
        for owner, has, lacks, lacking in (
            (first, expected, found, name),
            (name, found, expected, first),
        ):
            present = {leaf_names(path) for path, _ in lacks}
            missing = [(path, leaf) for path, leaf in has if leaf_names(path) not in present]
            if missing:
                path, leaf = missing[0]
                if owner == "gradients" and not is_inexact(leaf):
                    return _explain_type(owner, path, leaf)
                where = jax.tree_util.keystr(path) or "the root, where the other is a single array"
                reason = (
                    "; init creates state for floating-point and complex arrays only"
                    if lacking == "state"
                    else ""
                )
                return f"{first} and {name} do not match: {lacking} has nothing at {where}{reason}"
    kinds = " and ".join(f"{name} {_first_node_types(tree)}" for name, tree in trees.items())
    return f"{' and '.join(trees)} have the same leaves in different containers: {kinds}"


def _first_node_types(tree: PyTree) -> str:
    """Returns the class names on the way from a tree's root to its first leaf."""
    types = []
    while True:
        types.append(type(tree).__name__)
        below = jax.tree.leaves(tree, is_leaf=lambda node, tree=tree: node is not tree)
        if not below or below[0] is tree:
            return " > ".join(types)
        tree = below[0]
