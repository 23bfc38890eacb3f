"""Convolution, pooling and batch normalization that are fast on a CPU in `scan` and in `vmap`.

Parameters, initialization and results are those of `nnx.Conv`, `nnx.max_pool` and
`nnx.BatchNorm`. These are slow on a CPU for the following reasons. Times were measured on two
cores with jax 0.12 at batch 250 and 13x13x32 -> 64 channels, unless stated otherwise
(scripts/benchmark_sweep.py).

- XLA:CPU rewrites a convolution for its fast kernel only in the entry computation. In a loop, the
  weight gradient from autodiff uses the naive kernel and takes 1150 ms instead of 9 ms. Transposed
  by hand into the form that the fast kernel accepts, it takes 9 ms everywhere.
- `vmap` over weights yields a grouped convolution, which has no fast kernel. A batched matrix
  product of patches and weights is fast. For large inputs, copying the patches costs more than the
  product, so the plain convolution runs on one member after another.
- The backward pass of a reduce-window maximum takes 57 ms at (250, 26, 26, 32), ours 1.7 ms.
"""

import functools
from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jax.custom_batching import custom_vmap

# A chunk of images whose input and output take about this much fits in the L2 cache. With jax
# 0.10, a convolution of 250 images at once is up to 4 times slower than in such chunks. With jax
# 0.12, there is no difference.
_CHUNK_BYTES = 2**20
# Patches with at most this many numbers (in a first layer) are cheap to copy. The weight gradient
# is then one matrix product, which takes 2.4 ms instead of 9 to 12 ms.
_SMALL_PATCH = 32


class Conv(nnx.Module):
    """2-D convolution with stride 1; parameters and initialization as in `nnx.Conv`.

    Args:
      in_features, out_features: the numbers of channels. Inputs have the shape (batch, height,
        width, in_features).
      kernel_size: height and width. Default (3, 3).
      padding: "SAME" or "VALID". Default "SAME".
      use_bias: whether to add a bias. Default True.
      rngs: the random streams that initialize the kernel.

    >>> Conv(1, 8, rngs=nnx.Rngs(0))(jnp.zeros((2, 5, 5, 1))).shape
    (2, 5, 5, 8)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: tuple[int, int] = (3, 3),
        *,
        padding: Literal["SAME", "VALID"] = "SAME",
        use_bias: bool = True,
        rngs: nnx.Rngs,
    ) -> None:
        if padding not in ("SAME", "VALID"):
            raise ValueError(f"padding must be 'SAME' or 'VALID', got {padding!r}")
        same = tuple(((k - 1) // 2, k // 2) for k in kernel_size)
        self.padding = same if padding == "SAME" else ((0, 0), (0, 0))
        shape = (*kernel_size, in_features, out_features)
        self.kernel = nnx.Param(nnx.initializers.lecun_normal()(rngs.params(), shape))
        self.bias = nnx.Param(jnp.zeros((out_features,))) if use_bias else None

    def __call__(self, x: jax.Array) -> jax.Array:
        kernel = self.kernel[...]
        if jax.default_backend() == "cpu":
            y = _cpu_convolution(kernel.shape[:2], self.padding)(x, kernel)
        else:
            y = _convolve(x, kernel, self.padding)
        return y if self.bias is None else y + self.bias[...]


def _convolve(x, kernel, padding):
    layout = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), padding, dimension_numbers=layout)


@functools.cache
def _cpu_convolution(size, padding):
    """Returns a convolution for one kernel size and padding, with custom gradients."""
    settings = {"size": size, "padding": padding}
    forward = _by_batching(_chunked_convolve, _matmul_convolve, padding=padding)
    to_input = _by_batching(_input_gradient, _matmul_input_gradient, **settings)
    to_kernel = _by_batching(_kernel_gradient, _matmul_kernel_gradient, **settings)

    @jax.custom_vjp
    def convolution(x, kernel):
        return forward(x, kernel)

    def backward(saved, dy):
        x, kernel = saved
        return to_input(dy, kernel), to_kernel(x, dy)

    convolution.defvjp(lambda x, kernel: (forward(x, kernel), (x, kernel)), backward)
    return convolution


def _by_batching(alone, matmul, **settings):
    """Returns `alone` with a custom vmap: batched `matmul` for small inputs, else a loop."""
    alone, matmul = (functools.partial(fn, **settings) for fn in (alone, matmul))
    fn = custom_vmap(alone)

    @fn.def_vmap
    def rule(axis_size, batched, *args):
        def member(i):
            return alone(*(x[i] if b else x for x, b in zip(args, batched, strict=True)))

        if axis_size == 1:
            return member(0)[None], True
        if args[0].nbytes // (axis_size if batched[0] else 1) > _CHUNK_BYTES:
            return jax.lax.map(member, jnp.arange(axis_size)), True
        return jax.vmap(matmul, [0 if b else None for b in batched])(*args), True

    return fn


def _chunks_of(*arrays):
    """Returns the number of equal parts to cut the batch axis into; 1 if no number is suitable."""
    want = sum(x.size * x.dtype.itemsize for x in arrays) / _CHUNK_BYTES
    batch = arrays[0].shape[0]
    suited = (c for c in range(1, batch + 1) if batch % c == 0 and want <= c <= 4 * want)
    return next(suited, 1) if want > 1 else 1


def _cut(x, chunks):
    return x.reshape(chunks, x.shape[0] // chunks, *x.shape[1:])


def _chunked_convolve(x, kernel, padding):
    y = jax.eval_shape(lambda: _convolve(x, kernel, padding))
    chunks = _chunks_of(x, y)
    if chunks == 1:
        return _convolve(x, kernel, padding)
    parts = jax.lax.map(lambda part: _convolve(part, kernel, padding), _cut(x, chunks))
    return parts.reshape(y.shape)


def _input_gradient(dy, kernel, size, padding):
    mirrored = tuple((k - 1 - lo, k - 1 - hi) for k, (lo, hi) in zip(size, padding, strict=True))
    return _chunked_convolve(dy, jnp.flip(kernel, (0, 1)).swapaxes(2, 3), mirrored)


def _kernel_gradient(x, dy, size, padding):
    if size[0] * size[1] * x.shape[-1] <= _SMALL_PATCH:
        return _matmul_kernel_gradient(x, dy, size, padding)

    def part(x, dy):  # swaps the batch and the channels, see the module docstring
        swapped = _convolve(x.transpose(3, 1, 2, 0), dy.transpose(1, 2, 0, 3), padding)
        return swapped.transpose(1, 2, 0, 3)

    chunks = _chunks_of(x, dy)
    if chunks == 1:
        return part(x, dy)
    zero = jnp.zeros((*size, x.shape[-1], dy.shape[-1]), x.dtype)
    parts = (_cut(x, chunks), _cut(dy, chunks))
    return jax.lax.scan(lambda total, xs: (total + part(*xs), None), zero, parts)[0]


def _patches(x, size, padding):
    """Concatenates the shifted slices that a kernel of this size covers along the last axis."""
    x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    height, width = (n - k + 1 for n, k in zip(x.shape[1:3], size, strict=True))
    shifts = [(i, j) for i in range(size[0]) for j in range(size[1])]
    return jnp.concatenate([x[:, i : i + height, j : j + width] for i, j in shifts], -1)


def _matmul_convolve(x, kernel, padding):
    return _patches(x, kernel.shape[:2], padding) @ kernel.reshape(-1, kernel.shape[-1])


def _matmul_input_gradient(dy, kernel, size, padding):
    """Adds the gradients of all patches to their pixels.

    Patches of `dy`, as in `_input_gradient`, would be larger, because each has `out_features`
    channels. At 4x4x32 -> 16, copying them took 10 times as long.
    """
    height, width = (
        n + k - 1 - sum(pad) for n, k, pad in zip(dy.shape[1:3], size, padding, strict=True)
    )
    x = jax.ShapeDtypeStruct((dy.shape[0], height, width, kernel.shape[2]), dy.dtype)
    to_patches = jax.linear_transpose(lambda x: _patches(x, size, padding), x)
    return to_patches(dy @ kernel.reshape(-1, kernel.shape[-1]).T)[0]


def _matmul_kernel_gradient(x, dy, size, padding):
    patches = _patches(x, size, padding)
    gradient = patches.reshape(-1, patches.shape[-1]).T @ dy.reshape(-1, dy.shape[-1])
    return gradient.reshape(*size, x.shape[-1], dy.shape[-1])


@jax.custom_vjp
def max_pool_2x2(x):
    """Max pooling of (batch, height, width, channels) over 2x2 windows with stride 2.

    An odd last row or column is dropped. If values are equal, the first gets the gradient, as with
    `nnx.max_pool(x, (2, 2), (2, 2))`.

    >>> max_pool_2x2(jnp.arange(9.0).reshape(1, 3, 3, 1)).ravel()
    Array([4.], dtype=float32)
    """
    return functools.reduce(jnp.maximum, _quarters(x))


def _quarters(x):
    height, width = x.shape[1] // 2 * 2, x.shape[2] // 2 * 2
    return [x[:, i:height:2, j:width:2] for i in (0, 1) for j in (0, 1)]


def _max_pool_forward(x):
    y = max_pool_2x2(x)
    first, second, third, _ = (quarter == y for quarter in _quarters(x))
    winner = jnp.where(first, 0, jnp.where(second, 1, jnp.where(third, 2, 3))).astype(jnp.int8)
    return y, (winner, jnp.zeros((0, *x.shape[1:3])))  # the second only carries a shape


def _max_pool_backward(saved, dy):
    winner, like = saved
    _, height, width = like.shape
    # A comparison with each position in the window selects where the gradient goes. It avoids a
    # scatter and the padding of four strided slices.
    place = jnp.arange(4, dtype=jnp.int8).reshape(1, 1, 2, 1, 2, 1)
    dx = jnp.where(winner[:, :, None, :, None] == place, dy[:, :, None, :, None], 0)
    dx = dx.reshape(dy.shape[0], 2 * dy.shape[1], 2 * dy.shape[2], dy.shape[3])
    return (jnp.pad(dx, ((0, 0), (0, height % 2), (0, width % 2), (0, 0))),)


max_pool_2x2.defvjp(_max_pool_forward, _max_pool_backward)


class BatchNorm(nnx.BatchNorm):
    """`nnx.BatchNorm` over all axes but the last, as one multiplication and one addition.

    Mean, variance, scale and bias are combined before they are applied to the input. The backward
    pass then needs no centered copy of the input, which makes the whole step of `mnist_cnn` 1.1 to
    1.2 times faster.

    >>> BatchNorm(3, rngs=nnx.Rngs(0))(jnp.array([[1.0], [3.0]]) * jnp.ones(3)).round(3)
    Array([[-1., -1., -1.],
           [ 1.,  1.,  1.]], dtype=float32)
    """

    def __call__(self, x: jax.Array) -> jax.Array:
        if self.use_running_average:
            mean, variance = self.mean[...], self.var[...]
        else:
            axes = tuple(range(x.ndim - 1))
            mean = jnp.mean(x, axes)
            variance = jnp.maximum(jnp.mean(x * x, axes) - mean * mean, 0)
            keep = self.momentum
            self.mean[...] = keep * self.mean[...] + (1 - keep) * mean
            self.var[...] = keep * self.var[...] + (1 - keep) * variance
        assert self.scale is not None and self.bias is not None  # as by default
        scale = self.scale[...] * jax.lax.rsqrt(variance + self.epsilon)
        return x * scale + (self.bias[...] - mean * scale)
