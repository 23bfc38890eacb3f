"""The layers of the workloads equal Flax's: values and gradients, alone, in scan and in vmap."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from adaptive_jax.lab.workloads import layers

pytestmark = [pytest.mark.optimized, pytest.mark.relaxed]

SHAPES = [(3, 8, 8, 1, 4), (4, 5, 7, 8, 3)]  # batch, image, channels in and out


@pytest.mark.parametrize(("kernel", "padding"), [((3, 3), "SAME"), ((2, 5), "VALID")], ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("large", [False, True])
def test_conv_equals_flax(shape, kernel, padding, large, monkeypatch):
    if large:  # what larger images would meet: chunks of the batch, and members in turn
        monkeypatch.setattr(layers, "_CHUNK_BYTES", 2**10)
    batch, height, width, cin, cout = shape
    keys = jax.random.split(jax.random.key(0), 4)
    ours = layers.Conv(cin, cout, kernel, padding=padding, rngs=nnx.Rngs(0))
    theirs = nnx.Conv(cin, cout, kernel, padding=padding, rngs=nnx.Rngs(0))
    np.testing.assert_array_equal(ours.kernel[...], theirs.kernel[...])
    x = jax.random.normal(keys[0], (2, batch, height, width, cin))
    kernels = jax.random.normal(keys[1], (2, *kernel, cin, cout)) / (cin * 6) ** 0.5
    target = jax.random.normal(keys[2], theirs(x[0]).shape)

    def value_and_grads(module):
        graph, state = nnx.split(module)
        bias = state["bias"][...]

        def loss(kernel, x):
            y = nnx.merge(graph, {"kernel": kernel, "bias": bias})(x)
            return jnp.mean((y - target) ** 2), y

        return jax.value_and_grad(loss, (0, 1), has_aux=True)

    def close(a, b):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-6), a, b)

    expected = [value_and_grads(theirs)(k, one) for k, one in zip(kernels, x, strict=True)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *expected)
    ours = value_and_grads(ours)
    close(jax.jit(ours)(kernels[0], x[0]), expected[0])
    close(jax.jit(jax.vmap(ours))(kernels, x), stacked)
    close(jax.jit(lambda k, x: jax.lax.map(lambda a: ours(*a), (k, x)))(kernels, x), stacked)
    close(
        jax.jit(jax.vmap(ours, (0, None)))(kernels[:1], x[0]),
        jax.tree.map(lambda v: v[:1], stacked),
    )


@pytest.mark.parametrize("shape", [(2, 4, 6, 3), (2, 5, 7, 3), (1, 3, 2, 1)], ids=str)
def test_max_pool_equals_flax_also_where_values_tie(shape):
    x = jnp.asarray(np.random.default_rng(0).integers(0, 3, shape), jnp.float32)

    def theirs(x):
        return nnx.max_pool(x, (2, 2), (2, 2))

    y = theirs(x)
    weights = jnp.asarray(np.random.default_rng(1).normal(size=y.shape), jnp.float32)
    np.testing.assert_array_equal(layers.max_pool_2x2(x), y)
    for transform in (jax.jit, lambda f: lambda x: jax.vmap(f)(x[None])[0]):
        ours = transform(jax.grad(lambda x: jnp.sum(weights * layers.max_pool_2x2(x))))(x)
        expected = jax.grad(lambda x: jnp.sum(weights * theirs(x)))(x)
        np.testing.assert_array_equal(ours, expected)


@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_equals_flax(training):
    x = 3 + jax.random.normal(jax.random.key(0), (16, 4, 4, 5))
    modules = [cls(5, momentum=0.9, rngs=nnx.Rngs(0)) for cls in (layers.BatchNorm, nnx.BatchNorm)]
    outputs = []
    for module in modules:
        module.scale[...] = jnp.linspace(0.5, 2, 5)
        module.mean[...] = jnp.linspace(-1, 1, 5)
        module.train() if training else module.eval()
        grad = nnx.grad(lambda module, x: jnp.sum(jnp.sin(module(x))), argnums=(0, 1))
        grads = jax.tree.leaves(grad(module, x))
        outputs.append([module(x), module.mean[...], module.var[...], *grads])
    for ours, theirs in zip(*outputs, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3)


def test_padding_is_checked():
    with pytest.raises(ValueError, match="padding must be 'SAME' or 'VALID', got 'CIRCULAR'"):
        layers.Conv(1, 1, padding="CIRCULAR", rngs=nnx.Rngs(0))
