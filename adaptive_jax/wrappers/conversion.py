"""Conversion of the states of Optax's optimizers to those of the same optimizers here."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from adaptive_jax.methods.ademamix import ScaleByAdemamixState
from adaptive_jax.methods.adopt import ScaleByAdoptState
from adaptive_jax.methods.rmsprop import ScaleByCorrectedRmsState
from adaptive_jax.typing import Params, State
from adaptive_jax.wrappers.schedule_free import ScheduleFreeState

__all__ = ["from_optax_state"]


def from_optax_state(tx: optax.GradientTransformation, params: Params, state: State) -> State:
    """Converts the state of an Optax optimizer to that of the same optimizer of this library.

    Most states are Optax's own classes and need no conversion: those of `adam`, `adamw`,
    `amsgrad`, `adagrad`, `adabelief`, `lamb`, `lion` and `sgd` have the same structure. This
    function also converts those of `adadelta`, `adamax`, `ademamix`, `adopt`, `radam`, `rmsprop`,
    `schedule_free` and `yogi`, and chains that differ in their stateless stages.

    Args:
      tx: the optimizer of this library.
      params: its parameters, arrays or `jax.ShapeDtypeStruct`.
      state: the state of Optax's optimizer with the same hyperparameters and parameters.

    Returns:
      A state with the structure of `tx.init(params)` and the values of `state`.

    Raises:
      ValueError: a part of the state has no counterpart in the other, or a shape differs.

    >>> import adaptive_jax as aj
    >>> params = jnp.ones(2)
    >>> theirs = optax.radam(0.1)
    >>> _, state = theirs.update(jnp.ones(2), theirs.init(params))
    >>> from_optax_state(aj.radam(0.1), params, state)[0].count
    Array(1, dtype=int32)
    """
    return _convert(jax.eval_shape(tx.init, params), state, "the state")


def _convert(like: Any, state: Any, where: str) -> Any:
    """`state` with the structure and the dtypes of `like`, which only has shapes."""
    if not jax.tree.leaves(like):
        return like
    if _is_chain(like) and _is_chain(state):
        return _convert_chain(like, state, where)
    if _is_record(like):
        return _convert_record(like, state, where)
    if jax.tree.structure(like) != jax.tree.structure(state):
        raise ValueError(f"{where} is {_shown(state)} in Optax's optimizer, {_shown(like)} here")

    def leaf(x, y):
        if x.shape != jnp.shape(y):
            raise ValueError(f"{where} has shape {jnp.shape(y)} in Optax's state, {x.shape} here")
        return jnp.asarray(y, x.dtype)

    return jax.tree.map(leaf, like, state)


def _is_record(x):
    return isinstance(x, tuple) and hasattr(x, "_fields")


def _is_chain(x):
    return isinstance(x, tuple) and not _is_record(x)


def _shown(x):
    return type(x).__name__


def _convert_chain(like, state, where):
    """Converts a chain stage by stage, ignoring stages without state."""
    theirs = [i for i, part in enumerate(state) if jax.tree.leaves(part)]
    ours = [i for i, part in enumerate(like) if jax.tree.leaves(part)]
    if len(theirs) != len(ours):
        shown = [
            ", ".join(_shown(x[i]) for i in at) or "none"
            for x, at in ((state, theirs), (like, ours))
        ]
        raise ValueError(
            f"{where} differs in the stages that have a state: {shown[0]} in Optax's optimizer, "
            f"{shown[1]} here"
        )
    new = list(like)
    for i, j in zip(ours, theirs, strict=True):
        if isinstance(like[i], optax.TraceState) and len(like) - i != len(state) - j:
            raise ValueError(
                f"stage {j} of {where} is the momentum of steps in Optax's optimizer, but that of "
                "gradients here: divide its trace by minus the learning rate, and build the state "
                "from the result"
            )
        new[i] = _convert(like[i], state[j], f"stage {j} of {where}")
    return tuple(new)


def _convert_record(like, state, where):
    kind = type(like)
    if _is_record(state) and (kind is type(state) or issubclass(kind, type(state))):
        fields = state._asdict()
    elif kind in _FIELDS and type(state).__name__ == _FIELDS[kind][0]:
        fields = _FIELDS[kind][1](state)
    else:
        raise ValueError(f"{where} is {_shown(state)} in Optax's optimizer, {_shown(like)} here")
    new = {
        name: _convert(part, fields[name], f"{name} of {where}")
        for name, part in like._asdict().items()
    }
    return kind(**new)


def _ademamix(state):
    return {"adam": optax.ScaleByAdamState(state.count, state.m1, state.nu), "mu_slow": state.m2}


def _schedule_free(state):
    return {**state._asdict(), "step_count": state.step_count - 1, "y": None}


_FIELDS: dict[type, tuple[str, Callable[[Any], dict[str, Any]]]] = {
    ScaleByAdemamixState: ("ScaleByAdemamixState", _ademamix),
    ScaleByAdoptState: ("ScaleByAdamState", lambda state: state._asdict()),
    ScaleByCorrectedRmsState: ("ScaleByRmsWithCountState", lambda state: state._asdict()),
    ScheduleFreeState: ("ScheduleFreeState", _schedule_free),
}


"""A state's class -> the name of Optax's class, and a function from its fields to ours."""
