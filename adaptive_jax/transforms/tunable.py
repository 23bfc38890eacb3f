"""Hyperparameters as leaves of the state: to be logged, changed, saved and mapped over."""

import dataclasses
import functools
import inspect
import numbers
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np
import optax

from adaptive_jax import numerics
from adaptive_jax.transforms import trees
from adaptive_jax.transforms.preconditioner import Preconditioner, ScaleModifier
from adaptive_jax.typing import Scalar, Schedule, State
from adaptive_jax.validation import is_traced, live


class TunableState(NamedTuple):
    """Updates made; live and scheduled values, factory -> name -> float32; the factory's state."""

    count: jax.Array
    values: dict[str, dict[str, jax.Array]]
    scheduled: dict[str, dict[str, jax.Array]]
    inner: State


class FactoryName(str):
    """A factory's name, with which its check of values goes wherever the state goes.

    It is a key of the state's dicts, so it passes through `jit`, `vmap` and `jax.tree.map`. It
    equals the plain string, as which it is pickled.
    """

    check: Callable[[Mapping[str, Any]], Any]

    def __new__(cls, name: str, check: Callable[[Mapping[str, Any]], Any]) -> Self:
        self = super().__new__(cls, name)
        self.check = check
        return self

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return str, (str(self),)


def tunable(factory: Callable[..., Any], /, **hyperparams: Any) -> Any:
    """`factory(**hyperparams)` with its numbers in the state, where they may change.

    There they are logged, saved and mapped over with the rest of the state, and changed between
    or within jitted steps without a recompilation: see `hyperparameters` and
    `set_hyperparameters`. Until they are changed, training a recipe of this library is the same
    to the last bit, unless the compiler rounds some a·b + c once in one program and twice in the
    other.

    A number is live whether given or a default, except an integer where the factory wants one,
    a default of 0 (a stage left out; give the 0 to have it in), and one that the factory
    branches on. A schedule stays a schedule: its value at the latest update can be read, and
    setting it is an error. Masks, flags and other arguments are what they are without `tunable`.

    Args:
      factory: a function that takes hyperparameters by name and builds an optimizer, a stage of
        one or a ScaleModifier: of this library, of Optax or your own. It is called again
        whenever an update is traced, with arrays for the live numbers. This library's functions
        know the Python floats behind them; to others, such as Optax's, 0.999 is float32.
      **hyperparams: its arguments.

    Returns:
      What the factory returns; a Preconditioner or ScaleModifier remains one.

    State: `values` and `scheduled`, float32; `count`, int32; `inner`, the factory's.

    Raises:
      ValueError, TypeError: those of `factory(**hyperparams)`.

    >>> import adaptive_jax as aj
    >>> tx = aj.tunable(aj.adam, learning_rate=0.1)
    >>> params = jnp.zeros(2)
    >>> state = tx.init(params)
    >>> for name, value in aj.hyperparameters(state).items():
    ...     print(name, value)
    adam/b1 0.9
    adam/b2 0.999
    adam/eps 1e-08
    adam/learning_rate 0.1
    >>> state = aj.set_hyperparameters(state, {"adam/learning_rate": 0.2})
    >>> print(tx.update(jnp.array([5.0, -1.0]), state, params)[0].round(3))
    [-0.2  0.2]
    """
    arguments, accepted = _arguments(factory, hyperparams)
    tx = factory(**arguments)
    values = {
        k: v if is_traced(v) else float(v)
        for k, v in arguments.items()
        if _is_number(v, accepted[k])
        and (k in hyperparams or v != 0)
        and not _branches_on(k, factory, arguments)
    }
    schedules = {k: v for k, v in arguments.items() if callable(v) and float in accepted[k]}
    exact = {k: v for k, v in values.items() if isinstance(v, float)}

    def build(leaves):
        with live(exact, leaves):
            return factory(**arguments | leaves)

    def check(leaves):
        def original(k, leaf):  # b2 = 1 - 1e-9 is allowed, though its leaf is 1
            known = k in exact and not is_traced(leaf)
            return exact[k] if known and leaf == jnp.float32(exact[k]) else leaf

        factory(**arguments | {k: original(k, leaf) for k, leaf in leaves.items()})

    parts = _Tunable(FactoryName(_name_of(factory), check), values, schedules, build)
    if isinstance(tx, ScaleModifier):
        return _TunableModifier(tx, parts)
    if isinstance(tx, Preconditioner):
        return Preconditioner(parts.init, parts.accumulate, parts.factor, parts.store)
    return Tunable(parts.init, parts.update, parts.built)


@jax.tree_util.register_static  # as Preconditioner
class Tunable(optax.GradientTransformationExtraArgs):
    """What `tunable` returns for an optimizer: `built(state)` is it, with the state's numbers."""

    built: Callable[[TunableState], optax.GradientTransformation]

    def __new__(
        cls,
        init: optax.TransformInitFn,
        update: optax.TransformUpdateExtraArgsFn,
        built: Callable[[TunableState], optax.GradientTransformation],
    ) -> Self:
        self = super().__new__(cls, init, update)
        self.built = built
        return self

    def __getnewargs__(self) -> tuple[Callable[..., Any], ...]:
        return self.init, self.update, self.built


@dataclasses.dataclass(frozen=True)
class _Tunable:
    """A transformation that is `build(leaves)` at each use, for the leaves in its state."""

    name: str  # a FactoryName
    values: Mapping[str, Scalar]
    schedules: Mapping[str, Schedule]
    build: Callable[[Mapping[str, jax.Array]], Any]

    def init(self, params):
        count = numerics.count_zero()
        leaves = {k: jnp.asarray(v, jnp.float32) for k, v in self.values.items()}
        inner = self.build(leaves).init(params)
        return TunableState(count, {self.name: leaves}, self._scheduled(count), inner)

    def accumulate(self, grads, state, params, **extra):
        inner = self.built(state).accumulate(grads, state.inner, params, **extra)
        return self._after(state, inner)

    def factor(self, grads, state):
        return self.built(state).factor(grads, state.inner)

    def store(self, state):
        return state._replace(inner=self.built(state).store(state.inner))

    def update(self, updates, state, params=None, **extra):
        tx = optax.with_extra_args_support(self.built(state))
        new, inner = tx.update(updates, state.inner, params, **extra)
        after = self._after(state, _cast_like(inner, state.inner))
        like = updates if params is None else trees.like(gradients=updates, parameters=params)
        return _cast_like(new, like), after

    def built(self, state):
        return self.build(state.values[self.name])

    def _after(self, state, inner):
        count = numerics.count_next(state.count)
        values = {self.name: state.values[self.name]}
        return TunableState(count, values, self._scheduled(state.count), inner)

    def _scheduled(self, count):
        now = {k: numerics.at_step(v, count) for k, v in self.schedules.items()}
        return {self.name: {k: jnp.asarray(v, jnp.float32) for k, v in now.items()}}


class _TunableModifier(ScaleModifier):
    """A ScaleModifier that binds as a tunable Preconditioner, in whose state the numbers are."""

    def __init__(self, modifier: ScaleModifier, parts: _Tunable):
        self._modifier = modifier
        self._parts = parts

    def __call__(self, preconditioner):
        self._modifier(preconditioner)  # which refuses what is no Preconditioner
        build = self._parts.build
        bound = dataclasses.replace(self._parts, build=lambda leaves: build(leaves)(preconditioner))
        return Preconditioner(bound.init, bound.accumulate, bound.factor, bound.store)


# The factory's arguments.


def _arguments(factory, given):
    """All arguments by name, defaults among them, and the types that each accepts."""
    try:
        signature = inspect.signature(factory, eval_str=True)
    except NameError:  # an annotation that only a type checker can resolve
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
    """Whether it is a real scalar; an integer only where a float would do."""
    if isinstance(value, (jax.Array, np.ndarray, np.generic)):
        real = jnp.issubdtype(value.dtype, jnp.floating)
        whole = jnp.issubdtype(value.dtype, jnp.integer)
        return not value.shape and (real or (whole and float in accepted))
    if isinstance(value, numbers.Integral):
        return not isinstance(value, bool) and float in accepted
    return isinstance(value, numbers.Real)


def _branches_on(name, factory, arguments):
    """Whether the factory needs the argument's value itself, for an `if` or for NumPy."""
    try:
        jax.eval_shape(
            lambda leaf: (factory(**arguments | {name: leaf}), None)[1],
            jax.ShapeDtypeStruct((), jnp.float32),
        )
    except TypeError:  # the class of JAX's errors for that
        return True
    return False


def _name_of(factory):
    while isinstance(factory, functools.partial):
        factory = factory.func
    return getattr(factory, "__name__", type(factory).__name__).strip("<>")


def _cast_like(tree, like):
    """With the dtypes of `like`; a float32 number widens the float16 state of other libraries."""
    return jax.tree.map(
        lambda x, y: x if x.dtype == y.dtype else numerics.cast(x, y.dtype), tree, like
    )
