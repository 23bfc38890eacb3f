"""Arguments of other libraries: they are checked, ignored or corrected under their own names."""

import functools
import inspect
import numbers
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from adaptive_jax.validation import is_traced, near_misses, number, number_or_schedule

Built = TypeVar("Built")  # the type of the result: an optimizer or a scheduler

SYNONYMS = (
    {"lr", "learning_rate", "initial_learning_rate"},
    {"betas", "beta_1", "beta_2", "b1", "b2"},
    {"eps", "epsilon"},
    {"alpha", "rho"},
    {"gamma", "decay_rate"},
    {"T_max", "decay_steps", "total_iters"},
    {"initial_accumulator_value", "initial_accumulator"},
)
"""Sets of names that PyTorch, Keras and Optax use for the same argument."""


def verbatim(
    library: str,
    intervals: Mapping[str, str],
    schedules: Collection[str] = (),
    optional: Collection[str] = (),
    ignored: Mapping[str, Any] | None = None,
    hints: Mapping[str, str] | None = None,
    positional: Collection[str] = (),
    per_group: Collection[str] = (),
    first: str = "",
    check: Callable[[str, dict[str, Any]], None] = lambda constructor, values: None,
) -> Callable[[Callable[..., Built]], Callable[..., Built]]:
    """Decorates a function that takes another library's arguments.

    Numbers may be 0-d arrays, including those of NumPy and PyTorch. They are checked under their
    own names, so the error for a wrong `alpha` says `alpha`. An unknown argument raises a TypeError
    that suggests the right one.

    Args:
      library: the library's name, for messages.
      intervals: a map from an argument's name to the interval it must lie in.
      schedules: the names among those that may also be schedules.
      optional: the names that may also be None, in addition to those with a default of None.
      ignored: keyword arguments and their defaults; they are accepted and not passed on.
      hints: a map from the name of an argument that only the other library has to advice.
      positional: the names, in order, that the library takes by position after the function's own.
      per_group: the names for which torch takes a list, with one value per parameter group.
      first: the error message if the first positional argument is neither a number nor a schedule.
      check: `(name of the function, arguments) -> None`; raises if the arguments are inconsistent.
    """
    hints, ignored, per_group = hints or {}, ignored or {}, set(per_group)

    def decorate(function: Callable[..., Built]) -> Callable[..., Built]:
        signature = _signature(function, ignored, positional)
        defaults = {name: p.default for name, p in signature.parameters.items()}

        @functools.wraps(function)
        def construct(*args, **kwargs):
            for name in kwargs:
                if name not in defaults:
                    advice = hints.get(name) or _advice(
                        name, [k for k in defaults if k not in ignored]
                    )
                    raise TypeError(f"{library}.{function.__name__} has no {name!r}: {advice}")
            args = [_plain(value) for value in args]
            kwargs = {name: _plain(value) for name, value in kwargs.items()}
            if first and args:
                leads = next(iter(defaults))
                leading = _of_one_group(leads, args[0]) if leads in per_group else args[0]
                if not _is_scalar_or_schedule(leading):
                    raise TypeError(f"{first}, got {type(leading).__name__}")
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            for name in per_group & bound.arguments.keys():
                bound.arguments[name] = _of_one_group(name, bound.arguments[name])
            for name in intervals.keys() & defaults.keys():
                if name in optional and bound.arguments[name] is None:
                    continue
                bound.arguments[name] = _checked(
                    number_or_schedule if name in schedules else number,
                    name,
                    bound.arguments[name],
                    defaults[name],
                    intervals[name],
                )
            values = {k: v for k, v in bound.arguments.items() if k not in ignored}
            check(function.__name__, values)
            return function(**values)

        return with_signature(construct, signature)

    return decorate


def with_signature(
    function: Callable[..., Built], signature: inspect.Signature
) -> Callable[..., Built]:
    """Gives the function a signature for `help` and `inspect`."""
    vars(function)["__signature__"] = signature
    return function


def is_zero(value: Any) -> bool:
    """Returns True if a hyperparameter is the number 0, so that its stage can be left out."""
    return isinstance(value, float) and value == 0


def explain_missing(
    module: str, name: str, known: Collection[str], instead: Mapping[str, str]
) -> AttributeError:
    """Returns the AttributeError for a name that a module of presets does not have."""
    if name in instead:
        return AttributeError(f"{module} has no {name}: {instead[name]}")
    return AttributeError(f"{module} has no {name!r}: {near_misses(name, known)}")


def _signature(function, ignored, positional):
    """Returns the function's signature with the ignored arguments, in the library's order."""
    own = dict(inspect.signature(function).parameters)
    kind = inspect.Parameter.KEYWORD_ONLY
    added = {name: inspect.Parameter(name, kind, default=d) for name, d in ignored.items()}
    every = own | added
    by_position = [p for p in own.values() if p.kind is not kind]
    by_position += [every[k].replace(kind=by_position[0].kind) for k in positional]
    names = {p.name for p in by_position}
    return inspect.Signature([*by_position, *(p for k, p in every.items() if k not in names)])


def _plain(value):
    """Converts concrete numbers of other libraries to Python numbers, also in tuples and lists."""
    if type(value) in (tuple, list):
        return type(value)(_plain(x) for x in value)
    if is_traced(value) or not hasattr(value, "item"):
        return value
    if isinstance(value, jax.Array):
        whole = value.ndim == 0 and jnp.issubdtype(value.dtype, jnp.integer)
        return value.item() if whole else value  # a float array may belong to a compiled program
    one = getattr(value, "shape", None) == () or getattr(value, "numel", lambda: 0)() == 1
    return value.item() if one else value


def _of_one_group(name, value):
    if not isinstance(value, (list, tuple)):
        return value
    if len(value) != 1:
        raise TypeError(
            f"{name} must be one value, got {len(value)}: for torch's parameter groups, use "
            "optax.partition with an optimizer for each"
        )
    return value[0]


def _advice(name, known):
    meant = [k for k in known for group in SYNONYMS if {name, k} <= group]
    return f"did you mean {meant[0]!r}?" if meant else near_misses(name, known)


def _is_scalar_or_schedule(value):
    if isinstance(value, (jax.Array, np.ndarray)):
        return value.ndim == 0
    return callable(value) or isinstance(value, numbers.Number)


def _checked(read, name, value, default, interval):
    if value is None and default is None:
        return None
    if isinstance(default, tuple):
        if not isinstance(value, (tuple, list)) or len(value) != len(default):
            raise TypeError(f"{name} must be {len(default)} numbers, got {value!r}")
        return tuple(
            _checked(read, f"{name}[{i}]", v, d, interval)
            for i, (v, d) in enumerate(zip(value, default, strict=True))
        )
    checked = read(name, value, interval)
    # An array is returned as is: is_zero then gives the same answer as for its traced value.
    return value if isinstance(value, jax.Array) else checked
