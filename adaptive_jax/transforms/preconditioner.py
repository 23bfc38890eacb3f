"""The algebra: a Preconditioner is direction × scale, a ScaleModifier changes the scale."""

from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn, Self

import jax
import optax

from adaptive_jax.transforms import trees
from adaptive_jax.typing import Params, State, Updates
from adaptive_jax.validation import map_leaves


# Static in trees, or JAX would rebuild it like any NamedTuple: from `init` and `update` alone.
@jax.tree_util.register_static
class Preconditioner(optax.GradientTransformationExtraArgs):
    """An Optax transformation whose update is a direction times a scale per coordinate.

    `update = direction · scale` where `(direction, scale) = factor(grads, accumulate(...))`.
    Keeping the two apart is what lets a `ScaleModifier` such as `bound_lr` act on the scale
    alone. All bias corrections belong to the scale; the direction is the plain moment.

    Args:
      init: `params -> state`.
      accumulate: `(grads, state, params, **extra) -> state`, the state after this step.
      factor: `(grads, state) -> (direction, scale)`, from the state after this step, both in
        the dtype of the arithmetic (`numerics.compute_dtype`), the scale real and not negative.
      store: `state -> state`, how `update` keeps the state until the next step, as `init` gives
        it; as it is by default. See `with_storage`.

    `update(updates, state, params=None, **extra)` takes gradients and returns updates in the
    parameters' dtypes (the gradients' where no parameters are given). Raises ValueError, naming
    the path, where gradients, state and parameters do not match.

    >>> import jax, jax.numpy as jnp
    >>> def inverse_size(eps):  # normalizes every coordinate by the largest value it ever had
    ...     def accumulate(grads, state, params, **extra):
    ...         return jax.tree.map(lambda g, s: jnp.maximum(jnp.abs(g), s), grads, state)
    ...     def factor(grads, state):
    ...         return grads, jax.tree.map(lambda s: 1 / (s + eps), state)
    ...     return Preconditioner(optax.tree.zeros_like, accumulate, factor)
    >>> tx = inverse_size(eps=0.0)
    >>> state = tx.init(jnp.zeros(2))
    >>> updates, state = tx.update(jnp.array([2.0, -4.0]), state)
    >>> updates
    Array([ 1., -1.], dtype=float32)
    """

    accumulate: Callable[..., State]
    factor: Callable[[Updates, State], tuple[Updates, Updates]]
    store: Callable[[State], State]

    def __new__(
        cls,
        init: optax.TransformInitFn,
        accumulate: Callable[..., State],
        factor: Callable[[Updates, State], tuple[Updates, Updates]],
        store: Callable[[State], State] = lambda state: state,
    ) -> Self:
        def update(updates, state, params=None, **extra):
            state = accumulate(updates, state, params, **extra)
            direction, scale = factor(trees.again(updates), state)
            product = map_leaves(_multiply, direction=direction, scale=scale)
            return trees.cast_updates(product, updates, params), store(state)

        self = super().__new__(cls, *trees.tolerant(init, update))
        self.accumulate = accumulate
        self.factor = factor
        self.store = store
        return self

    def __getnewargs__(self) -> tuple[Callable[..., Any], ...]:
        return self.init, self.accumulate, self.factor, self.store


def _multiply(direction, scale):
    return direction * scale.astype(direction.dtype)


class ScaleModifierState(NamedTuple):
    """`inner`, the modified preconditioner's state, and `modifier`, the modifier's own."""

    inner: State
    modifier: State


class ScaleModifier:
    """Changes the scale of the Preconditioner before it and gives a Preconditioner back.

    In `chain` it binds to the stage before it; anywhere else call it:
    `bound_lr(...)(scale_by_adam())`.

    Args:
      modify: `(scale, state) -> scale`, on trees.
      init: `params -> state` of the modifier itself; none by default.
      accumulate: `(scale, state) -> state`, once a step, before `modify`.

    Raises:
      ValueError: it is used as an optimizer of its own, or given no Preconditioner.

    >>> import jax, jax.numpy as jnp
    >>> from adaptive_jax import chain, scale_by_adam
    >>> at_most = lambda limit: ScaleModifier(
    ...     lambda scale, _: jax.tree.map(lambda s: jnp.minimum(s, limit), scale))
    >>> tx = chain(scale_by_adam(), at_most(100.0))
    >>> updates, _ = tx.update(jnp.array([1.0, 1e-4]), tx.init(jnp.zeros(2)))
    >>> print(f"{updates[0]:.3f} {updates[1]:.3f}")  # without the limit both are 1
    1.000 0.001
    """

    def __init__(
        self,
        modify: Callable[[Updates, State], Updates],
        init: Callable[[Params], State] = lambda params: optax.EmptyState(),
        accumulate: Callable[[Updates, State], State] | None = None,
    ) -> None:
        self._modify = modify
        self._init = init
        self._accumulate = accumulate or (lambda scale, state: state)

    def __call__(self, preconditioner: Preconditioner) -> Preconditioner:
        """The same preconditioner with its scale modified."""
        if not isinstance(preconditioner, Preconditioner):
            raise ValueError(
                "a ScaleModifier changes the scale of a Preconditioner such as scale_by_adam(), "
                f"got {type(preconditioner).__name__}"
            )

        def init(params: Params):
            return ScaleModifierState(preconditioner.init(params), self._init(params))

        def accumulate(grads, state, params, **extra):
            inner = preconditioner.accumulate(grads, state.inner, params, **extra)
            _, scale = preconditioner.factor(grads, inner)
            return ScaleModifierState(inner, self._accumulate(scale, state.modifier))

        def factor(grads, state):
            direction, scale = preconditioner.factor(grads, state.inner)
            return direction, self._modify(scale, state.modifier)

        def store(state):
            return state._replace(inner=preconditioner.store(state.inner))

        return Preconditioner(init, accumulate, factor, store)

    @property
    def init(self) -> NoReturn:
        """Raises a ValueError that says what to write instead."""
        raise ValueError(
            "a ScaleModifier such as bound_lr(...) is no optimizer by itself: use "
            "adaptive_jax.chain(scale_by_adam(), bound_lr(...), ...) in place of optax.chain, "
            "or bind it by hand: bound_lr(...)(scale_by_adam())"
        )

    update = init


@jax.tree_util.register_static  # as Preconditioner
class Chain(optax.GradientTransformationExtraArgs):
    """What `optax.chain` returns, and the `stages` that it is made of."""

    stages: tuple[optax.GradientTransformation, ...]

    def __new__(cls, *stages: optax.GradientTransformation) -> Self:
        self = super().__new__(cls, *optax.chain(*stages))
        self.stages = stages
        return self

    def __getnewargs__(self) -> tuple[optax.GradientTransformation, ...]:
        return self.stages


def chain(*stages: optax.GradientTransformation | ScaleModifier) -> Chain:
    """`optax.chain` in which a ScaleModifier binds to the Preconditioner before it.

    Args:
      *stages: transformations of this library, of Optax, or ScaleModifiers.

    Returns:
      What `optax.chain` returns, with the (bound) stages as `stages`; the state is a tuple with
      one entry for each of them.

    Raises:
      ValueError: there is no stage, or a ScaleModifier follows no Preconditioner.

    >>> from adaptive_jax import bound_lr, scale_by_adam, scale_by_learning_rate
    >>> tx = chain(scale_by_adam(), bound_lr(base_lr=1e-3), scale_by_learning_rate(1e-3))
    >>> len(tx.init({"w": 0.0}))
    2
    """
    bound = []
    for position, stage in enumerate(stages):
        if isinstance(stage, ScaleModifier):
            if not bound or not isinstance(bound[-1], Preconditioner):
                before = f"stage {position - 1} is none" if bound else "it comes first"
                raise ValueError(
                    f"stage {position} of the chain is a ScaleModifier (such as bound_lr), which "
                    f"must follow a Preconditioner (such as scale_by_adam()); {before}"
                )
            stage = stage(bound.pop())
        bound.append(stage)
    if not bound:
        raise ValueError("chain needs at least one stage; optax.identity() does nothing")
    return Chain(*bound)
