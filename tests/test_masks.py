"""Masks by path and shape mean the same for every kind of tree."""

import dataclasses

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from flax.core import freeze

import adaptive_jax as aj


class Model(nnx.Module):
    def __init__(self, rngs):
        self.embed = nnx.Embed(4, 3, rngs=rngs)
        self.layers = nnx.List([nnx.Linear(3, 3, rngs=rngs) for _ in range(2)])
        self.norm = nnx.LayerNorm(3, rngs=rngs)

    def __call__(self, tokens):
        x = self.embed(tokens)
        for layer in self.layers:
            x = layer(x)
        return self.norm(x)


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Layer:
    kernel: jax.Array
    bias: jax.Array


def test_patterns():
    tree = {"encoder": [{"kernel": 0, "bias": 0}, {"kernel": 0, "bias": 0}], "norm1": {"bias": 0}}
    for patterns, expected in (
        (["bias"], "encoder/0/bias encoder/1/bias norm1/bias"),
        (["encoder"], "encoder/0/bias encoder/0/kernel encoder/1/bias encoder/1/kernel"),
        (["encoder/1"], "encoder/1/bias encoder/1/kernel"),
        (["encoder/*/k*"], "encoder/0/kernel encoder/1/kernel"),
        (["norm?/bias", "0/kernel"], "encoder/0/kernel norm1/bias"),
    ):
        leaves = jax.tree_util.tree_leaves_with_path(aj.mask_by_path(*patterns)(tree))
        true = {
            jax.tree_util.keystr(path, simple=True, separator="/") for path, hit in leaves if hit
        }
        assert true == set(expected.split())
        inverted = aj.mask_by_path(*patterns, invert=True)(tree)
        assert jax.tree.leaves(inverted) == [not hit for _, hit in leaves]


@pytest.mark.parametrize(
    "tree",
    [
        {"layer": {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}},
        {"layer/kernel": jnp.ones((2, 2)), "layer/bias": jnp.ones(2)},
        {"layer": Layer(kernel=jnp.ones((2, 2)), bias=jnp.ones(2))},
    ],
    ids=["dict", "flat dict", "dataclass"],
)
def test_kinds_of_trees(tree):
    for mask in (
        aj.mask_by_path("layer/kernel"),
        aj.mask_by_path("bias", invert=True),
        aj.mask_by_ndim(2),
    ):
        assert sum(jax.tree.leaves(mask(tree))) == 1
        tx = optax.masked(aj.scale_by_sign(), mask)
        halves = jax.tree.map(lambda p: p / 2, tree)
        updates, _ = tx.update(halves, tx.init(tree), tree)
        jax.tree.map(
            lambda u: np.testing.assert_array_equal(u, 1.0 if u.ndim == 2 else 0.5), updates
        )


def test_a_pattern_without_a_match_is_an_error():
    with pytest.raises(ValueError, match=r"no parameter matches 'biases'; the paths are a/bias"):
        aj.mask_by_path("bias", "biases")({"a": {"bias": 0}})
    with pytest.raises(ValueError, match="at least one pattern"):
        aj.mask_by_path()
    assert aj.mask_by_path("bias")({}) == {}
    hidden = {"a": optax.MaskedNode(), "b": 0}
    assert aj.mask_by_path("a")(hidden) == {"a": optax.MaskedNode(), "b": False}


@pytest.mark.relaxed
def test_muon_of_an_nnx_model_trains_its_layers_only():
    """Flax shows paths ending in ".value" to `init` and others to `update`."""
    for pattern in ("layers", "layers/*/kernel"):
        model = Model(nnx.Rngs(0))
        tx = aj.muon(
            0.1,
            weight_decay=0.1,
            mask=aj.mask_by_path("bias", "norm", invert=True),
            muon_mask=aj.mask_by_path(pattern),
        )
        optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
        for _ in range(2):
            grads = nnx.grad(lambda model: jnp.sum(model(jnp.arange(4)) ** 3))(model)
            optimizer.update(model, grads)
        trace = nnx.to_pure_dict(optimizer.opt_state[0][0].inner_state.trace)
        shapes = [jnp.shape(leaf) for leaf in jax.tree.leaves(trace) if jnp.ndim(leaf)]
        assert shapes == [(3, 3), (3, 3)]


def test_a_mask_of_one_kind_of_tree_is_for_the_others():
    """Flax shows Variables to `init` and arrays to `update`; a callable tree is a tree."""
    model = nnx.Linear(3, 2, rngs=nnx.Rngs(0))
    state = nnx.state(model, nnx.Param)
    pure = nnx.to_pure_dict(state)
    module = eqx.nn.Linear(3, 2, key=jax.random.key(0))
    masks = [jax.tree.map(lambda p: p.ndim > 1, tree) for tree in (state, pure, freeze(pure))]
    masks.append(jax.tree.map(np.bool_, masks[0]))
    cases = [(tree, mask) for tree in (state, nnx.as_pure(state), freeze(pure)) for mask in masks]
    cases.append((module, jax.tree.map(lambda p: p.ndim > 1, module)))
    for tree, mask in cases:
        for tx in (
            aj.add_decayed_weights(1.0, mask),
            aj.scale_by_trust_ratio(mask=mask),
            aj.partition_by_mask(mask, optax.set_to_zero(), aj.sgd(1.0)),
        ):
            updates, _ = tx.update(jax.tree.map(jnp.zeros_like, tree), tx.init(tree), tree)
            assert jax.tree.structure(updates) == jax.tree.structure(tree)
        trace = jax.tree.leaves(jax.eval_shape(aj.muon(muon_mask=mask).init, tree)[0][0])
        matrices = [p.shape for p in jax.tree.leaves(tree) if p.ndim > 1]
        assert [x.shape for x in trace if x.ndim] == matrices
    optimizer = nnx.Optimizer(model, aj.adamw(0.1, weight_decay=1.0, mask=masks[0]), wrt=nnx.Param)
    before = jnp.array(model.kernel[...])
    optimizer.update(model, jax.tree.map(jnp.zeros_like, state))
    np.testing.assert_allclose(model.kernel[...], 0.9 * before, rtol=1e-6)


def test_what_a_mask_lacks_is_named():
    tx = aj.adamw(mask={"a": True})
    with pytest.raises(ValueError, match=r"the mask has no entry for \['b'\].*and has a$"):
        tx.init({"a": jnp.ones(2), "b": jnp.ones(2)})


def test_biases_of_attention_are_biases():
    """Flax's have two axes; so have all biases and scales in layers that are stacked."""
    shapes = {"kernel": (3, 8, 2), "bias": (4, 2), "key_bias": (4, 2), "scale": (3, 8), "w": (5, 2)}
    params = {name: jnp.ones(shape) for name, shape in shapes.items()}
    expected = {name: name in ("kernel", "w") for name in shapes}
    assert aj.mask_by_ndim(2)(params) == expected
    assert all(jax.tree.leaves(aj.mask_by_ndim(1)(params)))
    assert aj.mask_by_ndim(2)({"kernel": jnp.ones((2, 2)), "act": jax.nn.relu})["act"] is False


def test_linen_parameters():
    params = nn.Dense(2).init(jax.random.key(0), jnp.ones((1, 3)))
    mask = aj.mask_by_path("params/kernel")
    assert mask(params) == {"params": {"kernel": True, "bias": False}}
    tx = aj.adamw(0.1, weight_decay=1.0, mask=mask)
    zeros = jax.tree.map(jnp.zeros_like, params)
    updates, _ = tx.update(zeros, tx.init(params), jax.tree.map(jnp.ones_like, params))
    np.testing.assert_allclose(updates["params"]["kernel"], -0.1)
    np.testing.assert_array_equal(updates["params"]["bias"], 0)


def test_partition_by_mask_gives_each_its_part():
    params = {"a": jnp.array([3.0, -4.0]), "b": {"c": jnp.array(5.0)}}
    tx = aj.partition_by_mask({"a": True, "b": False}, aj.sign_sgd(1.0), aj.sgd(0.5))
    state = tx.init(params)
    updates, state = tx.update(params, state, params)
    np.testing.assert_allclose(updates["a"], [-1, 1])
    np.testing.assert_allclose(updates["b"]["c"], -2.5)
    with pytest.raises(ValueError, match=r"parameters has nothing at \['d'\]"):
        tx.update({**params, "d": jnp.ones(2)}, state, params)
