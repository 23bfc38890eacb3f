"""Which parameters a stage is for: masks by name and by shape, and two stages that share a tree."""

import fnmatch
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from adaptive_jax import trees
from adaptive_jax.algebra import constructor
from adaptive_jax.typing import Params, PyTree
from adaptive_jax.validation import map_leaves, steps

Mask = PyTree | Callable[[Params], PyTree]
"""A tree of booleans like the parameters (or a prefix of it), or a function to one from them."""


def mask_by_path(*patterns: str, invert: bool = False) -> Callable[[Params], PyTree]:
    r"""A mask that is True where the parameter's path matches one of the patterns.

    A path is names joined by "/", whatever they are the names of: `{"layers": [{"bias": …}]}`
    has the path "layers/0/bias", as has the attribute of an object. A pattern is one or more
    names joined by "/", in which `*`, `?` and `[…]` stand for what they do in file names. It
    matches if it fits some successive names of the path: "bias" matches every bias, "encoder"
    all that is in an encoder, "layers/0" the first layer, "norm*/scale" the scale of "norm1".
    (So the ".value" that Flax NNX shows at the end of some paths makes no difference.)

    Args:
      *patterns: one or more.
      invert: True everywhere else instead, as for what weight decay is kept from.

    Returns:
      A function from the parameters to a tree of booleans, to be passed wherever a mask is
      taken: `add_decayed_weights(mask=…)`, `muon(muon_mask=…)`, `optax.masked(tx, …)`.

    Raises:
      ValueError: there is no pattern; in use, one matches nothing (which is not checked within
        `optax.masked` and `optax.partition`, where part of the tree is hidden).

    >>> params = {"embed": {"table": 0.0}, "head": {"kernel": 0.0, "bias": 0.0}}
    >>> mask_by_path("bias", "embed", invert=True)(params)
    {'embed': {'table': False}, 'head': {'bias': False, 'kernel': True}}
    >>> mask_by_path("biases")(params)
    Traceback (most recent call last):
      ...
    ValueError: no parameter matches 'biases'; there are embed/table, head/bias, head/kernel
    """
    if not patterns:
        raise ValueError("mask_by_path needs at least one pattern")

    def mask(params):
        paths = {key: _names(key) for key, _ in jax.tree_util.tree_leaves_with_path(params)}
        hits = {p: {k for k, names in paths.items() if _matches(p, names)} for p in patterns}
        unused = [pattern for pattern, keys in hits.items() if not keys]
        if unused and paths and not trees.nodes_of(optax.MaskedNode, params):
            shown = ", ".join("/".join(names) for names in [*paths.values()][:8])
            raise ValueError(
                f"no parameter matches {' or '.join(map(repr, unused))}; there are {shown}"
                + (", …" if len(paths) > 8 else "")
            )
        chosen = set().union(*hits.values())
        return jax.tree_util.tree_map_with_path(lambda key, _: (key in chosen) != invert, params)

    return mask


def mask_by_ndim(minimum: int = 2) -> Callable[[Params], PyTree]:
    """A mask that is True for parameters of `minimum` axes or more.

    With the default that is all but biases and the scales of normalizations, the parameters that
    commonly decay.

    Args:
      minimum: default 2.

    Returns:
      A function from the parameters to a tree of booleans, as `mask_by_path` does.

    Raises:
      ValueError: `minimum` is not a whole number of at least 0.

    >>> mask_by_ndim(2)({"kernel": jnp.ones((3, 2)), "bias": jnp.ones(2)})
    {'bias': False, 'kernel': True}
    """
    minimum = steps("minimum", minimum, minimum=0)
    return lambda params: jax.tree.map(lambda p: jnp.ndim(p) >= minimum, params)


@constructor
def partition_by_mask(
    mask: Mask, chosen: optax.GradientTransformation, rest: optax.GradientTransformation
) -> optax.GradientTransformationExtraArgs:
    """One transformation for the parameters where `mask` is True, another for the rest.

    `optax.partition` for two, with masks in place of labels and with errors that name the path
    where gradients and parameters do not match.

    Args:
      mask: a tree of booleans like the parameters (or a prefix of it), or a function from the
        parameters to one.
      chosen, rest: transformations; each sees `optax.MaskedNode()` in place of the other's part.

    State: a pair of `optax.MaskedState`, of `chosen` and of `rest`.

    Raises:
      ValueError: in use, trees do not match; the message names the path.

    >>> from adaptive_jax import scale_by_sign
    >>> tx = partition_by_mask(mask_by_path("a"), scale_by_sign(), optax.identity())
    >>> params = {"a": jnp.array(3.0), "b": jnp.array(3.0)}
    >>> updates, _ = tx.update(params, tx.init(params))
    >>> print(updates["a"], updates["b"])
    1.0 3.0
    """

    def others(params):
        return jax.tree.map(lambda m: not m, mask(params) if callable(mask) else mask)

    both = optax.chain(optax.masked(chosen, mask), optax.masked(rest, others))

    def update(updates, state, params=None, **extra):
        if params is not None:
            map_leaves(lambda g, p: None, gradients=updates, parameters=params)
        return both.update(updates, state, params, **extra)

    return optax.GradientTransformationExtraArgs(both.init, update)


def _names(path) -> list[str]:
    """The names in a path of JAX: keys of dicts, indices of sequences, attributes."""
    return jax.tree_util.keystr(path, simple=True, separator="/").split("/")


def _matches(pattern: str, names: list[str]) -> bool:
    parts = pattern.split("/")
    return any(
        all(map(fnmatch.fnmatchcase, names[start:], parts))
        for start in range(len(names) - len(parts) + 1)
    )
