"""Masks that select parameters by name or shape, and a transformation for each part of a tree."""

import fnmatch
import operator
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.tree_util import KeyPath

from adaptive_jax.algebra import Transformation, constructor
from adaptive_jax.typing import Params, PyTree
from adaptive_jax.validation import leaf_names, same_structure, steps

__all__ = ["mask_by_ndim", "mask_by_path", "partition_by_mask"]

Mask = PyTree | Callable[[Params], PyTree]


"""A tree of booleans like the parameters (or a prefix of it), or a function that returns one."""


def mask_by_path(*patterns: str, invert: bool = False) -> Callable[[Params], PyTree]:
    """Returns a mask that is True where a parameter's path matches one of the patterns.

    A path consists of names joined by "/": keys, indices or attributes. For example,
    `{"layers": [{"bias": …}]}` has the path "layers/0/bias". A pattern is names joined by "/", in
    which `*`, `?` and `[…]` have their meaning in file names. It matches if it matches consecutive
    names of the path: "bias" matches every bias, "encoder" everything in an encoder, "layers/0" the
    first layer, and "norm*/scale" the scale of "norm1". (So the ".value" that Flax NNX has at the
    end of some paths makes no difference.)

    Args:
      *patterns: one or more patterns.
      invert: True selects all other parameters, for example to exempt some from weight decay.
        Default False.

    Returns:
      A function from the parameters to a tree of booleans, which can be passed wherever a mask is
      accepted: `add_decayed_weights(mask=…)`, `muon(muon_mask=…)`, `optax.masked(tx, …)`.

    Raises:
      ValueError: there is no pattern; in use: a pattern matches nothing (not checked if a part of
        the tree is hidden: within `optax.masked` and `optax.partition`, or by None).

    >>> params = {"embed": {"table": 0.0}, "head": {"kernel": 0.0, "bias": 0.0}}
    >>> mask_by_path("bias", "embed", invert=True)(params)
    {'embed': {'table': False}, 'head': {'bias': False, 'kernel': True}}
    >>> mask_by_path("biases")(params)
    Traceback (most recent call last):
      ...
    ValueError: no parameter matches 'biases'; the paths are embed/table, head/bias, head/kernel
    """
    if not patterns:
        raise ValueError("mask_by_path needs at least one pattern")

    def mask(params):
        leaves = jax.tree_util.tree_leaves_with_path(params)
        paths = {key: leaf_names(key) for key, _ in leaves}
        hits = {p: {k for k, names in paths.items() if _matches(p, names)} for p in patterns}
        unused = [pattern for pattern, keys in hits.items() if not keys]
        if unused and paths and not _has_hidden_parts(params):
            raise ValueError(
                f"no parameter matches {' or '.join(map(repr, unused))}; the paths are "
                f"{_shown(paths.values())}"
            )
        chosen = set().union(*hits.values())
        return jax.tree_util.tree_map_with_path(lambda key, _: (key in chosen) != invert, params)

    return mask


def mask_by_ndim(minimum: int = 2) -> Callable[[Params], PyTree]:
    """Returns a mask that is True for parameters with at least `minimum` axes.

    By default these are all but the biases and the scales of normalizations: the parameters that
    usually decay. Some of those have more axes than one, such as the biases of Flax's attention
    (heads, dim) and any bias of layers that are stacked for a scan. They are recognized by name: an
    array named "bias", "…_bias" or "scale" counts as having at most one axis.

    Args:
      minimum: number of axes, not negative. Default 2. For other rules by name, see `mask_by_path`.

    Returns:
      A function from the parameters to a tree of booleans, as `mask_by_path` does.

    Raises:
      ValueError: `minimum` is not a whole number of at least 0.

    >>> query = {"kernel": jnp.ones((8, 2, 4)), "bias": jnp.ones((2, 4))}
    >>> mask_by_ndim(2)({"query": query, "norm": {"scale": jnp.ones(8)}})
    {'norm': {'scale': False}, 'query': {'bias': False, 'kernel': True}}
    """
    minimum = steps("minimum", minimum, minimum=0)
    return lambda params: jax.tree_util.tree_map_with_path(
        lambda path, p: axes(path, p) >= minimum, params
    )


def axes(path: KeyPath, p: Any) -> int:
    """The number of axes of a parameter; at most one if its name is that of a bias or a scale."""
    name = (leaf_names(path) or ("",))[-1]
    is_vector = name in ("bias", "scale") or name.endswith("_bias")
    return min(np.ndim(p), 1) if is_vector else np.ndim(p)


@constructor
def partition_by_mask(
    mask: Mask, chosen: optax.GradientTransformation, rest: optax.GradientTransformation
) -> optax.GradientTransformationExtraArgs:
    """Applies one transformation to the parameters where `mask` is True, and another to the rest.

    This is `optax.partition` for two parts, with a mask in place of labels and with errors that
    name the path at which gradients and parameters do not match.

    Args:
      mask: a tree of booleans like the parameters (or a prefix of it), or a function from the
        parameters to one. A tree that is also callable, such as an Equinox module, is a tree.
      chosen: transformation where `mask` is True; it sees `optax.MaskedNode()` elsewhere.
      rest: transformation where `mask` is False, likewise.

    State: a pair of `optax.MaskedState`, of `chosen` and of `rest`.

    Raises:
      ValueError: in use: trees do not match; the message names the path.

    >>> from adaptive_jax import scale_by_sign
    >>> tx = partition_by_mask(mask_by_path("a"), scale_by_sign(), optax.identity())
    >>> params = {"a": jnp.array(3.0), "b": jnp.array(3.0)}
    >>> updates, _ = tx.update(params, tx.init(params))
    >>> print(updates["a"], updates["b"])
    1.0 3.0
    """
    choose = as_function(mask)

    def others(params):
        return jax.tree.map(operator.not_, choose(params))

    both = optax.chain(masked(chosen, choose), masked(rest, others))
    return Transformation(both.init, both.update)


def masked(tx: optax.GradientTransformation, mask: Mask) -> optax.GradientTransformationExtraArgs:
    """`optax.masked` with the masks that `as_function` accepts, and errors that name the path."""
    inner = optax.masked(tx, as_function(mask))

    def update(updates, state, params=None, **extra):
        if params is not None:
            same_structure(gradients=updates, parameters=params)
        return inner.update(updates, state, params, **extra)

    return Transformation(inner.init, update)


def as_function(mask: Mask) -> Callable[[Params], PyTree]:
    """Returns the mask as a function from the parameters to a tree with a boolean for each of them.

    A tree of booleans is a tree even if it is callable, as an Equinox module can be. Its leaves
    belong to the parameters with the same path, and those below it, whatever the containers are: a
    mask made from `nnx.state(model)` also fits the arrays that `nnx.Optimizer` passes to `update`,
    and one made from a dict fits a `FrozenDict`.

    Args:
      mask: a tree of booleans like the parameters (or a prefix of it), or a function.

    Raises:
      ValueError: in use: the mask has no entry for a parameter; the message names the path.

    >>> as_function({"encoder": False, "head": True})({"encoder": [1.0, 2.0], "head": 3.0})
    {'encoder': [False, False], 'head': True}
    """
    is_function = callable(mask) and not _is_tree_of_booleans(mask)

    def chosen(params):
        tree = mask(params) if is_function else mask
        leaves = jax.tree_util.tree_leaves_with_path(tree)
        hits = {leaf_names(path): hit for path, hit in leaves}

        def leaf(path, _):
            names = leaf_names(path)
            for end in range(len(names), -1, -1):
                if names[:end] in hits:
                    return hits[names[:end]]
            raise ValueError(
                f"the mask has no entry for {jax.tree_util.keystr(path)}; it must have the "
                f"parameters' structure or a prefix of it, and has {_shown(hits)}"
            )

        return jax.tree_util.tree_map_with_path(leaf, params)

    return chosen


def _has_hidden_parts(tree) -> bool:
    nodes = jax.tree.leaves(tree, is_leaf=lambda x: x is None or isinstance(x, optax.MaskedNode))
    return any(x is None or isinstance(x, optax.MaskedNode) for x in nodes)


def _is_tree_of_booleans(tree):
    leaves = jax.tree.leaves(tree)
    return bool(leaves) and all(
        isinstance(x, bool) or getattr(x, "dtype", None) == jnp.bool_ for x in leaves
    )


def _shown(paths) -> str:
    """The first few paths, as the user writes them in a pattern."""
    shown = ", ".join("/".join(names) for names in [*paths][:8])
    return shown + (", …" if len(paths) > 8 else "")


def _matches(pattern: str, path: tuple[str, ...]) -> bool:
    parts, names = pattern.split("/"), "/".join(path).split("/")
    return any(
        all(map(fnmatch.fnmatchcase, names[start:], parts))
        for start in range(len(names) - len(parts) + 1)
    )
