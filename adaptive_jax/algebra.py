"""The algebra: a Preconditioner is direction × scale; a ScaleModifier changes the scale."""

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, NoReturn, ParamSpec, Self, TypeVar

import jax
import jax.numpy as jnp
import optax

from adaptive_jax import trees
from adaptive_jax.calls import Call
from adaptive_jax.typing import Params, State, Updates
from adaptive_jax.validation import map_leaves

__all__ = [
    "Chain",
    "Preconditioner",
    "ScaleModifier",
    "ScaleModifierState",
    "Step",
    "Transformation",
    "chain",
    "constructor",
]

P = ParamSpec("P")
T = TypeVar("T")

FIRST_ORDER = ("mu",)
"""Optax's name for a first moment."""
SQUARES = ("nu",)
"""Optax's name for a second moment."""


# Registered as static: JAX would otherwise rebuild it like any NamedTuple, from `init` and `update`
# alone, and lose `call` and `parts`.
@jax.tree_util.register_static
class Transformation(optax.GradientTransformationExtraArgs):
    """An Optax transformation whose repr is the call that built it.

    Args:
      init: `params -> state`.
      update: `(updates, state, params, **extra) -> (updates, state)`.

    Attributes:
      call: the function that built it, and its arguments.
      parts: the transformations it consists of, if it is a chain or wraps others.
      strict: `init` and `update` as they were given. A chain calls those of its stages: it checks
        trees once, not in every stage.

    Copying returns the transformation itself. A copied `TrainState` therefore has the same tree
    structure, and functions compiled for one work for the other without recompiling. It can be
    pickled if the function that built it can be imported and its arguments can be pickled.
    `_replace` returns a plain Optax transformation. A Python number in a state, which
    `optax.tree.set(state, count=0)` leaves there, is treated as an array.

    >>> import adaptive_jax as aj
    >>> aj.adam(1e-3, b1=0.95)
    adam(learning_rate=0.001, b1=0.95)
    """

    call: Call
    parts: tuple[optax.GradientTransformation, ...] = ()
    strict: optax.GradientTransformationExtraArgs

    def __new__(cls, init: optax.TransformInitFn, update: Callable[..., Any]) -> Self:
        self = super().__new__(cls, *trees.tolerant(init, update))
        self.strict = optax.GradientTransformationExtraArgs(init, update)
        self.call = Call(cls, (init, update), {})
        return self

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[()]]:
        return self.call.again()

    def _replace(self, **fields: Any) -> optax.GradientTransformationExtraArgs:
        return optax.GradientTransformationExtraArgs(*self)._replace(**fields)

    def __repr__(self) -> str:
        return repr(self.call)


def constructor(build: Callable[P, T]) -> Callable[P, T]:
    """Decorates a function that builds a transformation, so that the result records the call.

    The repr of the result is the call, and unpickling the result repeats it.

    Args:
      build: a function that returns a transformation or a ScaleModifier.

    >>> @constructor
    ... def double():
    ...     return optax.stateless(lambda updates, params: jax.tree.map(lambda u: 2 * u, updates))
    >>> double()
    double()
    """

    @functools.wraps(build)
    def built(*args: P.args, **kwargs: P.kwargs) -> Any:
        tx: Any = build(*args, **kwargs)
        if isinstance(tx, optax.GradientTransformation) and not isinstance(tx, Transformation):
            tx = Transformation(*optax.with_extra_args_support(tx))
        if isinstance(tx, Transformation) and not tx.parts:
            given = (*args, *kwargs.values())
            tx.parts = tuple(x for x in given if isinstance(x, optax.GradientTransformation))
        tx.call = Call(built, args, kwargs)
        return tx

    return built


class Step(NamedTuple):
    """The result of a Preconditioner's step.

    Attributes:
      direction: a tree like the gradients, in the dtype of the arithmetic.
      scale: a tree of nonnegative real arrays with the same shapes.
      state: the state after the step.
      back: a function that maps a tree from the basis of `direction` and `scale` to the axes of
        the parameters, or None in the standard basis. It exists only while a step is traced.
    """

    direction: Updates
    scale: Updates
    state: State
    back: Callable[[Updates], Updates] | None = None


@jax.tree_util.register_static
class Preconditioner(Transformation):
    r"""An Optax transformation whose update is a direction times a per-coordinate scale.

    .. math::
        u_t = back(direction_t \cdot scale_t)

    Because the two are separate, a `ScaleModifier` such as `bound_lr` can act on the scale alone.
    All bias corrections belong to the scale; the direction is the plain moment.

    Args:
      init: `params -> state`.
      step: `(grads, state, params, **extra) -> Step`. The direction and the scale are in the
        dtype of the arithmetic (`numerics.compute_dtype`).
      first_order: names of the fields of the state that are linear in the gradients. Default
        `FIRST_ORDER`, which is `("mu",)`.
      squares: names of the nonnegative fields that the step is divided by. Default `SQUARES`,
        which is `("nu",)`. `with_storage` rejects signed codecs for them.

    `update(updates, state, params=None, **extra)` takes gradients and returns updates in the
    parameters' dtypes, or in the gradients' if no parameters are given. It raises a ValueError that
    names the path if gradients, state and parameters do not match.

    >>> import jax, jax.numpy as jnp
    >>> def inverse_size(eps):  # normalizes every coordinate by the largest value it ever had
    ...     def step(grads, state, params=None, **extra):
    ...         largest = jax.tree.map(lambda g, s: jnp.maximum(jnp.abs(g), s), grads, state)
    ...         return Step(grads, jax.tree.map(lambda s: 1 / (s + eps), largest), largest)
    ...     return Preconditioner(optax.tree.zeros_like, step)
    >>> tx = inverse_size(eps=0.0)
    >>> state = tx.init(jnp.zeros(2))
    >>> updates, state = tx.update(jnp.array([2.0, -4.0]), state)
    >>> updates
    Array([ 1., -1.], dtype=float32)
    """

    step: Callable[..., Step]
    first_order: tuple[str, ...]
    squares: tuple[str, ...]

    def __new__(
        cls,
        init: optax.TransformInitFn,
        step: Callable[..., Step],
        *,
        first_order: tuple[str, ...] = FIRST_ORDER,
        squares: tuple[str, ...] = SQUARES,
    ) -> Self:
        def update(updates, state, params=None, **extra):
            direction, scale, state, back = step(updates, state, params, **extra)
            if back is not None:
                product = back(map_leaves(_multiply, direction=direction, scale=scale))
                return trees.cast_updates(product, updates, params), state
            like = trees.update_dtypes(updates, params)
            return map_leaves(_multiply, direction=direction, scale=scale, **like), state

        self = super().__new__(cls, init, update)
        self.step, self.first_order, self.squares = step, first_order, squares
        self.call = Call(cls, (init, step), {"first_order": first_order, "squares": squares})
        return self


def _multiply(direction, scale, like=None):
    """The product, in the dtype of `like` if it is given."""
    scale = scale if scale.dtype == direction.dtype else scale.astype(direction.dtype)
    product = jax.lax.mul(direction, scale)
    return product if like is None else trees.cast_to_dtype_of(product, like)


def preconditioners(tx: optax.GradientTransformation) -> Iterator[Preconditioner]:
    """Yields every Preconditioner in a transformation, in the order they are applied.

    It cannot see those inside Optax's wrappers, which do not expose what they wrap.
    """
    if isinstance(tx, Preconditioner):
        yield tx
    elif isinstance(tx, Transformation):
        for part in tx.parts:
            yield from preconditioners(part)


def _with_finite_product(scale, direction):
    """The scale, at most so large that its product with a finite direction is finite.

    A Preconditioner's own scale never overflows, but a modifier may return any: a bound over a
    learning rate of 1e-30, for example. The limit is a constant to derivatives.
    """
    info = jnp.finfo(scale.dtype)
    limit = float(info.max) * (1 - float(info.eps)) / jnp.abs(direction)
    return jnp.minimum(scale, jax.lax.stop_gradient(limit))


class ScaleModifierState(NamedTuple):
    """The state of the modified preconditioner (`inner`) and of the modifier (`modifier`)."""

    inner: State
    modifier: State


class ScaleModifier:
    """Changes the scale of a Preconditioner; the result is a Preconditioner.

    In `chain` it binds to the stage before it. Elsewhere, call it on a Preconditioner:
    `bound_lr(...)(scale_by_adam())`.

    Args:
      init: `params -> state` of the modifier itself; `optax.init_empty_state` if it has none.
      modify: `(scale, state) -> (scale, state)`, on trees, called once per step.

    Raises:
      ValueError: it is used as an optimizer by itself, or called on something other than a
        Preconditioner.

    >>> import jax, jax.numpy as jnp
    >>> from adaptive_jax import chain, scale_by_adam
    >>> def at_most(limit):
    ...     def modify(scale, state):
    ...         return jax.tree.map(lambda s: jnp.minimum(s, limit), scale), state
    ...     return ScaleModifier(optax.init_empty_state, modify)
    >>> tx = chain(scale_by_adam(), at_most(100.0))
    >>> updates, _ = tx.update(jnp.array([1.0, 1e-4]), tx.init(jnp.zeros(2)))
    >>> print(f"{updates[0]:.3f} {updates[1]:.3f}")  # without the limit both are 1
    1.000 0.001
    """

    def __init__(
        self,
        init: Callable[[Params], State],
        modify: Callable[[Updates, State], tuple[Updates, State]],
    ) -> None:
        self.init_modifier = init
        self.modify = modify
        self.call = Call(ScaleModifier, (init, modify), {})

    def __call__(self, preconditioner: Preconditioner, /) -> Preconditioner:
        """Returns the same preconditioner with its scale modified."""
        if not isinstance(preconditioner, Preconditioner):
            raise ValueError(
                "a ScaleModifier changes the scale of a Preconditioner such as scale_by_adam(), "
                f"got {type(preconditioner).__name__}"
            )

        def init(params: Params):
            return ScaleModifierState(preconditioner.init(params), self.init_modifier(params))

        def step(grads, state, params=None, **extra):
            result = preconditioner.step(grads, state.inner, params, **extra)
            scale, modifier = self.modify(result.scale, state.modifier)
            scale = jax.tree.map(_with_finite_product, scale, result.direction)
            return result._replace(scale=scale, state=ScaleModifierState(result.state, modifier))

        bound = Preconditioner(
            init, step, first_order=preconditioner.first_order, squares=preconditioner.squares
        )
        bound.call = Call(self, (preconditioner,), {})
        return bound

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[()]]:
        return self.call.again()

    def __repr__(self) -> str:
        return repr(self.call)

    @property
    def init(self) -> NoReturn:
        """Raises a ValueError that says what to write instead."""
        raise ValueError(
            "a ScaleModifier such as bound_lr(...) is not an optimizer by itself: use "
            "adaptive_jax.chain(scale_by_adam(), bound_lr(...), ...) instead of optax.chain, "
            "or bind it explicitly: bound_lr(...)(scale_by_adam())"
        )

    update = init


@jax.tree_util.register_static
class Chain(Transformation):
    """The result of `chain`: a transformation that applies its `stages` in order."""

    def __new__(cls, *stages: optax.GradientTransformation) -> Self:
        strict = (s.strict if isinstance(s, Transformation) else s for s in stages)
        self = super().__new__(cls, *optax.chain(*strict))
        self.parts = stages
        self.call = Call(chain, stages, {})
        return self

    @property
    def stages(self) -> tuple[optax.GradientTransformation, ...]:
        """The stages; ScaleModifiers are bound to the Preconditioners before them."""
        return self.parts


def chain(*stages: optax.GradientTransformation | ScaleModifier) -> Chain:
    """Like `optax.chain`, but a ScaleModifier binds to the Preconditioner before it.

    Args:
      *stages: transformations of this library or of Optax, or ScaleModifiers.

    Returns:
      A transformation like that of `optax.chain`, with the (bound) stages as `stages`. Its state is
      a tuple with one entry per stage.

    Raises:
      ValueError: there is no stage, or a ScaleModifier does not follow a Preconditioner.

    >>> from adaptive_jax import bound_lr, scale_by_adam, scale_by_learning_rate
    >>> tx = chain(scale_by_adam(), bound_lr(base_lr=1e-3), scale_by_learning_rate(1e-3))
    >>> len(tx.init({"w": 0.0}))
    2
    """
    bound = []
    for position, stage in enumerate(stages):
        if isinstance(stage, ScaleModifier):
            if not bound or not isinstance(bound[-1], Preconditioner):
                before = f"stage {position - 1} is not one" if bound else "it comes first"
                raise ValueError(
                    f"stage {position} of the chain is a ScaleModifier (such as bound_lr), which "
                    f"must follow a Preconditioner (such as scale_by_adam()); {before}"
                )
            stage = stage(bound.pop())
        bound.append(stage)
    if not bound:
        raise ValueError("chain needs at least one stage; optax.identity() does nothing")
    return Chain(*bound)
