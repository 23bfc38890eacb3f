"""Hyperparameters as leaves of the state, to be logged, changed, saved and mapped over."""

import dataclasses
import inspect
import numbers
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
import optax

from adaptive_jax import numerics, trees
from adaptive_jax.algebra import Preconditioner, ScaleModifier, Transformation
from adaptive_jax.calls import Call
from adaptive_jax.typing import Scalar, State
from adaptive_jax.validation import is_traced, near_misses

__all__ = ["Tunable", "TunableState", "tunable"]

TunableState = optax.InjectStatefulHyperparamsState


@jax.tree_util.register_static
class Tunable(Transformation):
    """The result of `tunable` for an optimizer; `built(state)` has the numbers in the state."""

    built: Callable[[TunableState], optax.GradientTransformation]

    def __new__(
        cls,
        init: optax.TransformInitFn,
        update: Callable[..., Any],
        built: Callable[[TunableState], optax.GradientTransformation],
    ) -> Self:
        self = super().__new__(cls, init, update)
        self.built = built
        return self


def tunable(
    factory: Callable[..., Any], /, *, static_args: str | Iterable[str] = (), **hyperparams: Any
) -> Any:
    """Builds `factory(**hyperparams)` with its numbers in the state, where they can be changed.

    They are logged, saved and mapped over with the rest of the state, and can be changed between or
    within jitted steps without recompilation: `state.hyperparams["learning_rate"] = 0.1`, as with
    `optax.inject_hyperparams`, or `set_hyperparameters` for a state that is nested. Training is the
    same as without `tunable`, up to the rounding of the numbers to float32.

    Numbers are kept in the state, whether given or defaults. Exceptions are integers that the
    factory requires to be integers, and defaults of 0, which usually leave a stage out (to keep one
    in the state, pass the 0). A schedule remains a schedule: its latest value can be read in
    `hyperparams`, and setting it there has no effect. Masks, flags and other arguments are the same
    as without `tunable`.

    Args:
      factory: a function with named hyperparameters that returns an optimizer, a stage or a
        ScaleModifier: of this library, of Optax or your own. It is called again whenever an update
        is traced, with arrays for the numbers.
      static_args: names of the numbers that stay out of the state, such as those on which the
        factory branches. Default: none.
      **hyperparams: the arguments of `factory`.

    Returns:
      What the factory returns; a Preconditioner or ScaleModifier remains one.

    State: `optax.InjectStatefulHyperparamsState`: `count`, int32; `hyperparams`, name -> float32;
    `hyperparams_states`, the counts of the schedules; `inner_state`, that of the factory's result.

    Raises:
      ValueError, TypeError: those of `factory(**hyperparams)`; `static_args` has a name that is not
        an argument of the factory; or a number is out of its range once rounded to float32.

    >>> import adaptive_jax as aj
    >>> tx = aj.tunable(aj.adam, learning_rate=0.1)
    >>> params = jnp.zeros(2)
    >>> state = tx.init(params)
    >>> for name, value in state.hyperparams.items():
    ...     print(name, value)
    learning_rate 0.1
    b1 0.9
    b2 0.999
    eps 1e-08
    >>> state.hyperparams["learning_rate"] = 0.2
    >>> print(tx.update(jnp.array([5.0, -1.0]), state, params)[0].round(3))
    [-0.2  0.2]
    """
    arguments, accepted = _arguments(factory, hyperparams)
    static = {static_args} if isinstance(static_args, str) else {*static_args}
    for name in static - {*arguments}:
        raise ValueError(
            f"static_args has {name!r}, which is not an argument of the factory: "
            f"{near_misses(name, arguments)}"
        )
    tx = factory(**arguments)
    values = {
        k: v if is_traced(v) else float(np.float32(v))
        for k, v in arguments.items()
        if k not in static and _is_number(v, accepted[k]) and (k in hyperparams or v != 0)
    }
    schedules: dict[str, Any] = {
        k: v
        for k, v in arguments.items()
        if k not in static and callable(v) and float in accepted[k]
    }
    schedules = {k: optax.schedules.WrappedSchedule(v) for k, v in schedules.items()}
    made = _tunable(tx, _Hyperparameters(factory, arguments, values, schedules))
    if static:
        hyperparams = {"static_args": static_args, **hyperparams}
    made.call = Call(tunable, (factory,), hyperparams)
    return made


@dataclasses.dataclass(frozen=True)
class _Hyperparameters:
    """The arguments of a factory, and which of them are in the state."""

    factory: Callable[..., Any]
    arguments: Mapping[str, Any]
    values: Mapping[str, Scalar]
    schedules: Mapping[str, optax.schedules.WrappedSchedule]

    def __post_init__(self):
        try:
            self.build(self.values)
        except ValueError as error:
            raise ValueError(f"tunable keeps numbers in float32: {error}") from error

    def build(self, leaves: Mapping[str, Any]) -> Any:
        """The result of the factory for these numbers."""
        numbers = {k: jnp.asarray(leaves[k], jnp.float32) for k in self.values}
        try:
            return self.factory(**{**self.arguments, **numbers})
        except jax.errors.ConcretizationTypeError as error:
            raise TypeError(
                "the factory branches on a number that tunable keeps in the state; name it in "
                f"static_args: one of {', '.join(self.values)}"
            ) from error

    def built(self, state: TunableState) -> Any:
        """The result of the factory for the numbers in the state."""
        return self.build(state.hyperparams)

    def start(self, init: Callable[[Any], State]) -> TunableState:
        """The initial state, with `init` of the factory's result."""
        states = {k: schedule.init() for k, schedule in self.schedules.items()}
        leaves = self._leaves(self.values, states)
        return TunableState(numerics.count_zero(), leaves, states, init(self.build(leaves)))

    def after(self, state: TunableState, inner: State) -> TunableState:
        """The state after an update."""
        states = state.hyperparams_states
        leaves = self._leaves(state.hyperparams, states)
        states = {k: schedule.update(states[k]) for k, schedule in self.schedules.items()}
        return TunableState(numerics.count_next(state.count), leaves, states, inner)

    def _leaves(self, values, states) -> Any:
        """The numbers and the schedules' values at this update, in float32."""
        now = {k: values[k] for k in self.values}
        now |= {k: schedule(states[k]) for k, schedule in self.schedules.items()}
        return {k: jnp.asarray(v, jnp.float32) for k, v in now.items()}


def _tunable(tx: Any, hyper: _Hyperparameters) -> Any:
    """A transformation of the same kind as `tx`, built from the numbers in its state when used."""

    def step(grads, state, params=None, **extra):
        result = hyper.built(state).step(grads, state.inner_state, params, **extra)
        return result._replace(state=hyper.after(state, result.state))

    def modify(scale, state):
        scale, inner = hyper.built(state).modify(scale, state.inner_state)
        return scale, hyper.after(state, inner)

    def update(updates, state, params=None, **extra):
        inner_tx = optax.with_extra_args_support(hyper.built(state))
        new, inner = inner_tx.update(updates, state.inner_state, params, **extra)
        inner = _cast_like(inner, state.inner_state)
        like = updates if params is None else trees.like(gradients=updates, parameters=params)
        return _cast_like(new, like), hyper.after(state, inner)

    def init(params):
        return hyper.start(lambda built: built.init(params))

    if isinstance(tx, ScaleModifier):
        return ScaleModifier(
            lambda params: hyper.start(lambda built: built.init_modifier(params)), modify
        )
    if isinstance(tx, Preconditioner):
        return Preconditioner(init, step, first_order=tx.first_order, squares=tx.squares)
    made = Tunable(init, update, hyper.built)
    made.parts = (tx,)
    return made


# The arguments of the factory.


def _arguments(factory, given):
    """All arguments by name, including defaults, and the types that each accepts."""
    try:
        signature = inspect.signature(factory, eval_str=True)
    except NameError:  # an annotation under `if TYPE_CHECKING`
        signature = inspect.signature(factory)
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    parameters = {k: p for k, p in signature.parameters.items() if p.kind in by_name}
    defaults = {k: p.default for k, p in parameters.items() if p.default is not p.empty}
    arguments = defaults | given
    annotations = {k: p.annotation for k, p in parameters.items() if p.annotation is not p.empty}
    accepted = {}
    for k, value in arguments.items():
        if k in annotations:
            accepted[k] = _members(annotations[k])
        else:
            accepted[k] = {type(value if defaults.get(k) is None else defaults[k])}
    return arguments, accepted


def _members(annotation):
    union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    return set(typing.get_args(annotation)) if union else {annotation}


def _is_number(value, accepted):
    """Returns whether the value is a real scalar. An integer counts only if a float is accepted."""
    if isinstance(value, (jax.Array, np.ndarray, np.generic)):
        real = jnp.issubdtype(value.dtype, jnp.floating)
        whole = jnp.issubdtype(value.dtype, jnp.integer)
        return not value.shape and (real or (whole and float in accepted))
    if isinstance(value, numbers.Integral):
        return not isinstance(value, bool) and float in accepted
    return isinstance(value, numbers.Real)


def _cast_like(tree, like):
    """Casts to the dtypes of `like`: float32 numbers widen the float16 state of other libraries."""

    def leaf(x, y):
        dtype = y.dtype if isinstance(y, jax.Array) else jnp.result_type(y)
        return x if x.dtype == dtype else numerics.cast(x, dtype)

    return jax.tree.map(leaf, tree, like)
