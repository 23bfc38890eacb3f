"""The hyperparameters in a state, by name: to read and to set."""

import collections
from collections.abc import Iterator, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import GetAttrKey, KeyPath, keystr

from adaptive_jax.transforms.tunable import FactoryName, TunableState
from adaptive_jax.typing import PyTree, Scalar
from adaptive_jax.validation import is_traced, near_misses


def hyperparameters(state: PyTree) -> dict[str, jax.Array]:
    """What every `tunable` in a tree computes with, by name, for a log.

    Args:
      state: the state of an optimizer that has `tunable` anywhere in it, or a tree with such
        states: that of `chain`, `optax.partition`, Flax's `TrainState` or `nnx.Optimizer`.

    Returns:
      "factory/argument" -> value, float32 (with more axes where the state was mapped over). A
      schedule's value is that of the latest update, before which it is that of the first. Where
      two factories have one name, their place in the tree comes before it: "0/adam/b1" for the
      first stage of a chain, "head/adam/b1" for that label of a partition.

    >>> import adaptive_jax as aj
    >>> tx = aj.chain(aj.tunable(aj.clip_by_norm, max_norm=1.0), aj.tunable(aj.sign_sgd))
    >>> hyperparameters(tx.init(jnp.zeros(2)))["sign_sgd/learning_rate"]
    Array(0.001, dtype=float32)
    """
    return {
        f"{label}/{k}": _array(leaf)
        for label, node in _labelled(state).values()
        for leaves in (*node.values.values(), *node.scheduled.values())
        for k, leaf in sorted(leaves.items())
    }


def set_hyperparameters(state: PyTree, values: Mapping[str, Scalar]) -> PyTree:
    """The same state with other hyperparameters, as if the optimizer had been built with them.

    So a bound that AdaBound derives from its learning rate stays where it is, unless `base_lr`
    is given; and what only `init` reads, as Adagrad's `initial_accumulator`, changes nothing.

    Args:
      state: as in `hyperparameters`.
      values: name, as there, -> number, array or traced value; for a state that was mapped
        over, one for all members or an array with one for each.

    Raises:
      ValueError: no hyperparameter has that name, a schedule drives it, the factory refuses the
        value (traced values are not checked), or the shape does not fit.

    >>> import adaptive_jax as aj
    >>> state = aj.tunable(aj.adam).init(jnp.zeros(2))
    >>> state = set_hyperparameters(state, {"adam/learning_rate": 1e-4, "adam/b2": 0.99})
    >>> set_hyperparameters(state, {"adam/b2": 1.0})
    Traceback (most recent call last):
      ...
    ValueError: b2 must be in [0, 1), got 1.0
    """
    nodes = _labelled(state)
    known, driven = {}, set()
    for path, (label, node) in nodes.items():
        known |= {f"{label}/{k}": (path, k) for k in _only(node.values)}
        driven |= {f"{label}/{k}" for k in _only(node.scheduled)}
    changes = collections.defaultdict(dict)
    for name, value in values.items():
        if name in driven:
            raise ValueError(f"{name} is driven by a schedule; to set it, build with a number")
        if name not in known:
            raise ValueError(f"no hyperparameter {name!r} here: {near_misses(name, known)}")
        path, k = known[name]
        changes[path][k] = _fit(name, value, _array(_only(nodes[path][1].values)[k]))

    def change(path, node):
        ((factory, leaves),) = node.values.items()
        _check(factory, {k: _array(leaf) for k, leaf in leaves.items()}, changes[path])
        # Flax's Variables are trees of one leaf.
        new = {k: jax.tree.map(lambda _, v=v: v, leaves[k]) for k, v in changes[path].items()}
        return node._replace(values={factory: {**leaves, **new}})

    return _map_nodes(change, state)


def _only(by_factory):
    (leaves,) = by_factory.values()
    return leaves


def _array(leaf):
    """The array itself, which Flax may have wrapped in a Variable."""
    return jax.tree.leaves(leaf)[0]


def _fit(name, value, leaf):
    new = jnp.array(value, jnp.float32)  # a copy, so that no two leaves share a buffer
    if new.shape not in ((), leaf.shape):
        raise ValueError(f"{name} has shape {leaf.shape} in this state, got {new.shape}")
    return jnp.broadcast_to(new, leaf.shape)


def _check(factory, leaves, new):
    """Has the factory check all values; one by one the members of a state that was mapped over."""
    if not isinstance(factory, FactoryName) or all(map(is_traced, new.values())):
        return
    values = {k: v if is_traced(v) else np.asarray(v) for k, v in (leaves | new).items()}
    for member in np.ndindex(np.broadcast_shapes(*(v.shape for v in values.values()))):
        factory.check({k: v[member] for k, v in values.items()})


def _is_node(x):
    return isinstance(x, TunableState)


def _nodes(tree: PyTree, path: KeyPath = ()) -> Iterator[tuple[KeyPath, TunableState]]:
    """Every TunableState with its path, also those inside of others."""
    for keys, node in jax.tree_util.tree_leaves_with_path(tree, is_leaf=_is_node):
        if _is_node(node):
            yield (*path, *keys), node
            yield from _nodes(node.inner, (*path, *keys, _INNER))


def _map_nodes(change, tree: PyTree, path: KeyPath = ()) -> PyTree:
    def leaf(keys, node):
        if not _is_node(node):
            return node
        here = (*path, *keys)
        return change(here, node)._replace(inner=_map_nodes(change, node.inner, (*here, _INNER)))

    return jax.tree_util.tree_map_with_path(leaf, tree, is_leaf=_is_node)


_INNER = GetAttrKey("inner")


def _labelled(tree: PyTree) -> dict[KeyPath, tuple[str, TunableState]]:
    """Path -> a name of its own and the state; names grow only where they must."""
    nodes = dict(_nodes(tree))
    labels = {path: next(iter(node.values)) for path, node in nodes.items()}
    for shown in (lambda key: not isinstance(key, GetAttrKey), lambda key: True):
        counts = collections.Counter(labels.values())
        for path, label in labels.items():
            if counts[label] > 1:
                keys = tuple(filter(shown, path))
                place = keystr(keys, simple=True, separator="/")
                labels[path] = "/".join(filter(None, (place, next(iter(nodes[path].values)))))
    return {path: (labels[path], node) for path, node in nodes.items()}
