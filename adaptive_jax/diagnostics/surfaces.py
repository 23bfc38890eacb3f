"""Test functions of two variables, and the trajectories of optimizers on them."""

import dataclasses
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import optax

from adaptive_jax import validation
from adaptive_jax.validation import near_misses

Point = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Surface:
    """A function of two variables with a minimum value of 0.

    Attributes:
      name: the name of the surface.
      function: a differentiable function from an array of shape (2,) to a scalar.
      start: the starting point of optimizers.
      minima: all points where the value is 0.
      limits: the ranges of x and y to plot.
      steps: a number of updates after which good optimizers are visibly ahead of others.
      reference: the source of the function.

    >>> ravine = get_surface("ravine")
    >>> ravine.start, ravine.function(ravine.start)
    ((-4.0, 1.0), 33.0)
    """

    name: str
    function: Callable[[jax.Array], jax.Array]
    start: Point
    minima: tuple[Point, ...]
    limits: tuple[Point, Point]
    steps: int
    reference: str


def _ravine(p):
    return 0.5 * (p[0] ** 2 + 50 * p[1] ** 2)


def _rosenbrock(p):
    return (1 - p[0]) ** 2 + 100 * (p[1] - p[0] ** 2) ** 2


def _beale(p):
    x, y = p
    return (1.5 - x * (1 - y)) ** 2 + (2.25 - x * (1 - y**2)) ** 2 + (2.625 - x * (1 - y**3)) ** 2


def _himmelblau(p):
    return (p[0] ** 2 + p[1] - 11) ** 2 + (p[0] + p[1] ** 2 - 7) ** 2


def _rastrigin(p):
    return jnp.sum(p**2 + 10 * (1 - jnp.cos(2 * jnp.pi * p)))


def _saddle(p):
    return 0.5 * p[0] ** 2 + 0.25 * (p[1] ** 2 - 1) ** 2


_ALL = (
    Surface(
        "ravine",
        _ravine,
        start=(-4.0, 1.0),
        minima=((0.0, 0.0),),
        limits=((-4.7, 2.3), (-2.0, 2.0)),
        steps=100,
        reference="a bowl 50 times as steep across as along: Polyak 1964",
    ),
    Surface(
        "rosenbrock",
        _rosenbrock,
        start=(-1.2, 1.0),
        minima=((1.0, 1.0),),
        limits=((-2.0, 2.0), (-0.9, 2.6)),
        steps=400,
        reference="a curved valley: Rosenbrock 1960, doi 10.1093/comjnl/3.3.175",
    ),
    Surface(
        "beale",
        _beale,
        start=(1.0, 1.0),
        minima=((3.0, 0.5),),
        limits=((0.2, 4.2), (-1.2, 1.4)),
        steps=200,
        reference="plateaus between steep walls: Moré et al. 1981, doi 10.1145/355934.355936",
    ),
    Surface(
        "himmelblau",
        _himmelblau,
        start=(0.0, 0.0),
        minima=(
            (3.0, 2.0),
            (-2.805118086952745, 3.131312518250573),
            (-3.779310253377747, -3.283185991286170),
            (3.584428340330492, -1.848126526964404),
        ),
        limits=((-5.0, 5.0), (-5.0, 5.0)),
        steps=100,
        reference="four minima: Himmelblau 1972",
    ),
    Surface(
        "rastrigin",
        _rastrigin,
        start=(-3.4, 2.2),
        minima=((0.0, 0.0),),
        limits=((-4.6, 4.6), (-4.6, 4.6)),
        steps=200,
        reference="a local minimum at every whole number: Mühlenbein et al. 1991",
    ),
    Surface(
        "saddle",
        _saddle,
        start=(-1.5, 1e-3),
        minima=((0.0, 1.0), (0.0, -1.0)),
        limits=((-1.9, 1.4), (-1.5, 1.7)),
        steps=100,
        reference="a ridge that ends in a saddle point of value 1/4: arXiv 1406.2572",
    ),
)

SURFACES: Mapping[str, Surface] = {surface.name: surface for surface in _ALL}
"""The surfaces by their names."""


def get_surface(name: str) -> Surface:
    """Returns the surface with a given name.

    Raises:
      ValueError: no surface has this name; the message suggests similar names.

    >>> get_surface("rosenbrok")
    Traceback (most recent call last):
      ...
    ValueError: no surface 'rosenbrok': did you mean 'rosenbrock'?
    """
    if name not in SURFACES:
        raise ValueError(f"no surface {name!r}: {near_misses(name, SURFACES)}")
    return SURFACES[name]


def trajectory(
    tx: optax.GradientTransformation,
    function: Callable[[jax.Array], jax.Array],
    start: jax.Array | Point,
    steps: int,
) -> tuple[jax.Array, jax.Array]:
    """Runs an optimizer on a function with exact gradients, and returns its trajectory.

    It supports `jit`, and `vmap` over the start or over hyperparameters of `tx`. If a trajectory
    diverges, its points are infinite or NaN. The points are those where gradients are taken, not
    the averages at which some methods are evaluated (`schedule_free_params`).

    Args:
      tx: any optimizer that needs no extra arguments.
      function: a function from an array like `start` to a scalar.
      start: an array, or numbers that form one.
      steps: the number of updates.

    Returns:
      `(points, values)`: the parameters before every update and after the last one, of shape
      `(steps + 1, *start.shape)`, and the values of the function there, of shape (steps + 1,).

    Raises:
      ValueError: `steps` is not a whole number of at least 1.

    >>> from adaptive_jax import sgd
    >>> points, values = trajectory(sgd(0.25), lambda p: jnp.sum(p**2), (4.0, 2.0), steps=2)
    >>> print(points, values)
    [[4.  2. ]
     [2.  1. ]
     [1.  0.5]] [20.    5.    1.25]
    """

    def step(carry, _):
        point, state = carry
        updates, state = tx.update(jax.grad(function)(point), state, point)
        return (jnp.asarray(optax.apply_updates(point, updates)), state), point

    start = jnp.asarray(start, jnp.result_type(float, *jax.tree.leaves(start)))
    steps = validation.steps("steps", steps)
    (last, _), points = jax.lax.scan(step, (start, tx.init(start)), length=steps)
    points = jnp.concatenate([points, last[None]])
    return points, jax.vmap(function)(points)
