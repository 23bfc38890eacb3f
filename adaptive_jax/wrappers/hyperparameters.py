"""Reading and setting the hyperparameters in a state, by name."""

import collections
from collections.abc import Iterator, Mapping

import jax
import jax.numpy as jnp
import optax
from jax.tree_util import GetAttrKey, KeyPath, keystr

from adaptive_jax.typing import PyTree, Scalar
from adaptive_jax.validation import near_misses

__all__ = ["hyperparameters", "set_hyperparameters"]


def hyperparameters(state: PyTree) -> dict[str, jax.Array]:
    """Returns the hyperparameters in a state by name, for example to log them.

    Args:
      state: the state of an optimizer that contains `tunable` (or `optax.inject_hyperparams`) at
        any depth, or a tree with such states: that of `chain`, `optax.partition`, Flax's
        `TrainState` or `nnx.Optimizer`.

    Returns:
      Name -> value, float32 (with more axes if the state was mapped over). The value of a schedule
      is that of the latest update, or of the first one before any update. If two states have a name
      in common, their location in the tree precedes it: "0/b1" for the first stage of a chain,
      "head/b1" for that label of a partition.

    >>> import adaptive_jax as aj
    >>> tx = aj.chain(aj.tunable(aj.clip_by_norm, max_norm=1.0), aj.tunable(aj.sign_sgd))
    >>> hyperparameters(tx.init(jnp.zeros(2)))["learning_rate"]
    Array(0.001, dtype=float32)
    """
    return {
        name: _array(node.hyperparams[k]) for name, (_, node, k) in sorted(_named(state).items())
    }


def set_hyperparameters(state: PyTree, values: Mapping[str, Scalar]) -> PyTree:
    """Returns the state with other hyperparameters, as if the optimizer had been built with them.

    So the bounds that AdaBound derives from its learning rate stay the same when that is set,
    unless `base_lr` is given; and values that only `init` reads, such as Adagrad's
    `initial_accumulator`, have no effect. A value out of its range raises at the next update that
    is not jitted.

    Args:
      state: as in `hyperparameters`.
      values: name, as in the result of `hyperparameters`, -> number, array or traced value; for a
        state that was mapped over, one value for all members or an array with one for each.

    Raises:
      ValueError: there is no hyperparameter with that name, it is driven by a schedule, or its
        shape does not fit.

    >>> import adaptive_jax as aj
    >>> state = aj.tunable(aj.adam).init(jnp.zeros(2))
    >>> state = set_hyperparameters(state, {"learning_rate": 1e-4, "b2": 0.99})
    >>> set_hyperparameters(state, {"beta1": 0.8})
    Traceback (most recent call last):
      ...
    ValueError: the state has no hyperparameter 'beta1': did you mean 'b1'?
    """
    known = _named(state)
    changes = collections.defaultdict(dict)
    for name, value in values.items():
        if name not in known:
            raise ValueError(
                f"the state has no hyperparameter {name!r}: {near_misses(name, known)}"
            )
        path, node, k = known[name]
        if k in getattr(node, "hyperparams_states", ()):
            raise ValueError(
                f"{name} is driven by a schedule; to set it, build the optimizer with a number"
            )
        changes[path][k] = _fit(name, value, node.hyperparams[k])

    def change(path, node):
        return node._replace(hyperparams={**node.hyperparams, **changes[path]})

    return _map_nodes(change, state)


def _array(leaf):
    """The array of a leaf, which may be a Variable of Flax NNX."""
    return jax.tree.leaves(leaf)[0]


def _fit(name, value, leaf):
    """The new leaf, with the shape, dtype and Variable of Flax NNX (if any) of the old one."""
    old = jnp.asarray(_array(leaf))
    new = jnp.array(value, old.dtype)  # a copy, so that no two leaves share a buffer
    if new.shape not in ((), old.shape):
        raise ValueError(f"{name} has shape {old.shape} in this state, got {new.shape}")
    return jax.tree.map(lambda _: jnp.broadcast_to(new, old.shape), leaf)


_NODES = (optax.InjectStatefulHyperparamsState, optax.InjectHyperparamsState)


def _is_node(x):
    return isinstance(x, _NODES)


def _nodes(tree: PyTree, path: KeyPath = ()) -> Iterator[tuple[KeyPath, PyTree]]:
    """Every state with hyperparameters and its path, including nested ones."""
    for keys, node in jax.tree_util.tree_leaves_with_path(tree, is_leaf=_is_node):
        if _is_node(node):
            yield (*path, *keys), node
            yield from _nodes(node.inner_state, (*path, *keys, _INNER))


def _map_nodes(change, tree: PyTree, path: KeyPath = ()) -> PyTree:
    def leaf(keys, node):
        if not _is_node(node):
            return node
        here = (*path, *keys)
        inner = _map_nodes(change, node.inner_state, (*here, _INNER))
        return change(here, node)._replace(inner_state=inner)

    return jax.tree_util.tree_map_with_path(leaf, tree, is_leaf=_is_node)


_INNER = GetAttrKey("inner_state")


def _named(tree: PyTree) -> dict[str, tuple[KeyPath, PyTree, str]]:
    """Unique name, as short as possible -> path of the state, the state, and its key."""
    nodes = dict(_nodes(tree))
    places = dict.fromkeys(nodes, "")
    for shown in (lambda key: not isinstance(key, GetAttrKey), lambda key: True):
        counts = collections.Counter(
            (places[path], k) for path, node in nodes.items() for k in node.hyperparams
        )
        for path, node in nodes.items():
            if any(counts[places[path], k] > 1 for k in node.hyperparams):
                keys = tuple(filter(shown, path))
                places[path] = keystr(keys, simple=True, separator="/")
    return {
        "/".join(filter(None, (places[path], k))): (path, node, k)
        for path, node in nodes.items()
        for k in node.hyperparams
    }
