"""Muon: the momentum of a matrix, replaced by the nearest orthogonal matrix.

The iteration consists of a few matrix products, so matrices of the same shape are processed
together, as one batch: twelve layers of a transformer take the arithmetic of twelve, but the number
of kernel launches of one. On a mesh the batch is distributed over the devices, with whole matrices
on each, because a product needs all of its own matrix, but no part of another.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.typing import DTypeLike

from adaptive_jax import matrices, numerics, trees
from adaptive_jax.algebra import Transformation, chain, constructor
from adaptive_jax.methods.adam import scale_by_adam
from adaptive_jax.registry import register
from adaptive_jax.stages.decay import add_decayed_weights
from adaptive_jax.stages.learning_rate import scale_by_learning_rate
from adaptive_jax.stages.masks import as_function, axes, partition_by_mask
from adaptive_jax.stages.moments import momentum as momentum_of
from adaptive_jax.typing import PyTree, Scalar, ScalarOrSchedule
from adaptive_jax.validation import (
    leaf_names,
    map_leaves,
    number,
    number_or_schedule,
    static,
    steps,
)

__all__ = ["muon", "scale_by_muon"]

Triple = tuple[Scalar, Scalar, Scalar]


def _damped(triple: Triple, safety: float) -> Triple:
    """The coefficients of a·x + b·x³ + c·x⁵ with x / safety in place of x."""
    a, b, c = triple
    return a / safety, b / safety**3, c / safety**5


# Amsel et al. 2025, arXiv 2505.16932, Algorithm 1: the polynomials that are optimal for singular
# values from 1e-3 to 1; they converge to the last one of "polar_express". The paper has a safety
# factor of 1.01 in every polynomial but the last, and another in the norm that it divides by. Here
# the norm has none, so the first polynomial has two.
_OPTIMAL = (
    (8.28721201814563, -23.595886519098837, 17.300387312530933),
    (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
    (3.9486908534822946, -2.908902115962949, 0.5518191394370137),
    (3.3184196573706015, -2.488488024314874, 0.51004894012372),
    (2.300652019954817, -1.6689039845747493, 0.4188073119525673),
    (1.891301407787398, -1.2679958271945868, 0.37680408948524835),
    (1.8750014808534479, -1.2500016453999487, 0.3750001645474248),
)


_SAFE = tuple(_damped(triple, 1.01) for triple in _OPTIMAL)


COEFFICIENTS: Mapping[str, Sequence[Triple]] = {
    "jordan": ((3.4445, -4.7750, 2.0315),),
    "polar_express": (_damped(_SAFE[0], 1.01), *_SAFE[1:], (1.875, -1.25, 0.375)),
}


"""Name -> the coefficients (a, b, c) of the first iterations; the last triple is repeated."""


ADJUSTMENTS: Mapping[str, Callable[[int, int], float]] = {
    "original": lambda fan_out, fan_in: math.sqrt(max(1.0, fan_out / fan_in)),
    "match_rms_adamw": lambda fan_out, fan_in: 0.2 * math.sqrt(max(fan_out, fan_in)),
    "spectral_unclamped": lambda fan_out, fan_in: math.sqrt(fan_out / fan_in),
}


"""Name -> function of (outputs, inputs) that returns the factor of the orthogonal matrix."""


@constructor
def scale_by_muon(
    momentum: ScalarOrSchedule = 0.95,
    nesterov: bool = True,
    ema: bool = True,
    coefficients: str | Triple | Sequence[Triple] = "jordan",
    ns_steps: int = 5,
    adjust: str | Callable[[int, int], Scalar] | None = "original",
    eps: Scalar = 1e-7,
    min_norm: Scalar = 0.0,
    flatten: bool = False,
    output_axis: int = -1,
    iteration_dtype: DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Orthogonalizes the momentum of every matrix by a Newton-Schulz iteration.

    .. math::
        X_0 &= M_t / (\max(\|M_t\|_F, min\_norm) + eps) \\
        X_{k+1} &= a_k X_k + (b_k A_k + c_k A_k^2) X_k, \qquad A_k = X_k X_k^H \\
        u_t &= adjust \cdot X_{ns\_steps}

    where :math:`M_t` is the result of `adaptive_jax.momentum`. With the SVD
    :math:`M = U \Sigma V^H` the iteration gives :math:`U S V^H`, where the diagonal elements of S
    are near 1: between 0.7 and 1.2 with `"jordan"`, which does not converge further, and 1 with
    `"polar_express"` and enough steps.

    Every leaf must have at least two axes; use the recipe `muon` for a model that also has vectors.
    Embeddings are matrices by shape only, and are better left to Adam.

    Args:
      momentum: decay rate in [0, 1], a number or a schedule of the number of updates already made.
        Default 0.95 (Jordan).
      nesterov: use Nesterov momentum. Default True (Jordan).
      ema: use the moving mean of gradients (Jordan's code, PyTorch) in place of the sum (his
        article, Keras). The two differ by a factor that the normalization removes, so only `eps`
        and `min_norm` distinguish them. Default True.
      coefficients: `"jordan"`, `"polar_express"`, one triple (a, b, c), or a sequence with a triple
        for each step, the last of which is repeated. Default `"jordan"` (also PyTorch, Keras).
      ns_steps: number of iterations, at least 1. Default 5 (Jordan, PyTorch, Keras).
      adjust: factor that depends on the shape of a matrix. `"original"` (Jordan):
        :math:`\sqrt{\max(1, out/in)}`. `"match_rms_adamw"` (Liu et al.):
        :math:`0.2\sqrt{\max(out, in)}`, for steps as large as Adam's. `"spectral_unclamped"`
        (Bernstein): :math:`\sqrt{out/in}`. Or a function of (out, in), or None for 1. Default
        `"original"`.
      eps: added to the norm, not negative. Default 1e-7 (Jordan's code, Keras).
      min_norm: lower limit of the norm, not negative. Default 0 (Jordan's code). PyTorch has a
        limit of 1e-7, which it calls `eps`, and adds nothing.
      flatten: how to treat a leaf with more than two axes. False: as a stack of matrices, one for
        each index of the leading axes (scanned layers, heads, positions of a convolution kernel).
        True: as one matrix from all other axes to the output axis (Jordan's and Optax's way with
        convolutions). The kernels of Flax's attention, recognized by their names, are one matrix
        each in both cases, from inputs to outputs: (inputs, heads, dim) in `query`, `key` and
        `value`, (heads, dim, outputs) in `out`. Default False.
      output_axis: the axis of the outputs: -1, as in JAX's libraries, or 0, as in PyTorch, for the
        first of a matrix's two axes. It affects `adjust` and `flatten`. Default -1.
      iteration_dtype: dtype of the matrices in the iteration; sums are in float32 at least. None:
        that of the parameters, float32 at least, in full precision. `jnp.bfloat16` is that of
        Jordan and PyTorch, faster on accelerators; complex matrices are complex64 then. Default
        None.

    State: that of `adaptive_jax.momentum`, in the parameters' shapes, float32 or wider.

    On a mesh (with explicit axes, or with auto axes within `jax.set_mesh` or `distributed.step`)
    the matrices of one shape are distributed over all devices for the iteration. If the number of
    devices divides a side of the matrices and the axes are explicit, no device ever holds the whole
    stack; on auto axes that depends on the compiler.

    Raises:
      ValueError: an argument is out of range, a leaf has fewer than two axes, or trees do not
        match.

    Reference: Jordan et al. 2024, kellerjordan.github.io/posts/muon; Amsel et al. 2025,
    arXiv 2505.16932 (`"polar_express"`); Liu et al. 2025, arXiv 2502.16982
    (`"match_rms_adamw"`); Bernstein 2025, jeremybernste.in/writing/deriving-muon
    (`"spectral_unclamped"`).

    >>> tx = scale_by_muon(coefficients="polar_express", ns_steps=8, adjust=None)
    >>> gradient = jnp.array([[3.0, 0.0], [0.0, -0.1]])
    >>> print(tx.update(gradient, tx.init(gradient))[0].round(3))
    [[ 1.  0.]
     [ 0. -1.]]
    """
    triples = _triples(coefficients, steps("ns_steps", ns_steps))
    factor = ADJUSTMENTS.get(adjust, adjust) if isinstance(adjust, str) else adjust
    if not (factor is None or callable(factor)):
        raise ValueError(
            f"adjust must be one of {', '.join(map(repr, ADJUSTMENTS))}, a function of (outputs, "
            f"inputs), or None; got {adjust!r}"
        )
    output_axis = static("output_axis", output_axis)
    if output_axis not in (-1, 0):
        raise ValueError(f"output_axis must be -1 (JAX) or 0 (PyTorch), got {output_axis!r}")
    if iteration_dtype is not None and not jnp.issubdtype(iteration_dtype, jnp.floating):
        raise ValueError(f"iteration_dtype must be a real floating type, got {iteration_dtype!r}")
    eps, min_norm = number("eps", eps, "[0, inf)"), number("min_norm", min_norm, "[0, inf)")
    accumulate = momentum_of(number_or_schedule("momentum", momentum, "[0, 1]"), nesterov, ema=ema)

    def init(params):
        _check_matrices(params)
        return accumulate.init(params)

    def update(updates, state, params=None, **extra):
        wide = map_leaves(
            lambda g, m: jnp.asarray(g, m.dtype), gradients=updates, state=state.trace
        )
        direction, state = accumulate.update(wide, state)
        leaves, structure = jax.tree.flatten(direction)
        shapes = matrices.stack_shapes(direction, flatten, output_axis)
        stacks = [matrices.as_stack(leaf, to) for leaf, to in zip(leaves, shapes, strict=True)]
        stacks = matrices.in_batches(
            lambda batch: _orthogonalize(batch, triples, eps, min_norm, iteration_dtype), stacks
        )
        if factor is not None:
            stacks = [_times(factor, stack, output_axis) for stack in stacks]
        orthogonal = [
            matrices.from_stack(stack, leaf) for stack, leaf in zip(stacks, leaves, strict=True)
        ]
        return trees.cast_updates(structure.unflatten(orthogonal), updates, params), state

    return Transformation(init, update)


@register(
    "orthogonalized momentum of matrices, AdamW elsewhere",
    reference="arXiv 2502.16982",
    learning_rate=(0.0001, 0.1),
    weight_decay=(1e-4, 1.0),
)
def muon(
    learning_rate: ScalarOrSchedule = 1e-3,
    momentum: ScalarOrSchedule = 0.95,
    nesterov: bool = True,
    coefficients: str | Triple | Sequence[Triple] = "jordan",
    ns_steps: int = 5,
    adjust: str | Callable[[int, int], Scalar] | None = "match_rms_adamw",
    eps: Scalar = 1e-7,
    iteration_dtype: DTypeLike | None = None,
    weight_decay: ScalarOrSchedule = 0.1,
    mask: PyTree | None = None,
    muon_mask: PyTree | None = None,
    adam_learning_rate: ScalarOrSchedule | None = None,
    adam_b1: Scalar = 0.9,
    adam_b2: Scalar = 0.95,
    adam_eps: Scalar = 1e-8,
) -> optax.GradientTransformationExtraArgs:
    r"""Muon for matrices, AdamW for all other parameters.

    .. math::
        p_t = p_{t-1} - lr\,(u_t + weight\_decay\, p_{t-1})

    with the :math:`u_t` of `scale_by_muon` or of `scale_by_adam`. The defaults are those of Liu et
    al., with whose `adjust` steps of matrices are as large as Adam's, so that one learning rate
    suits all parameters. Jordan's settings are
    `muon(0.02, adjust="original", weight_decay=0.0, adam_learning_rate=3e-4)`. PyTorch's Muon takes
    matrices only, in the layout (out, in); it has `adjust="original"` with `output_axis=0`.

    The kernels of Flax's attention layers have three axes: (inputs, heads, dim) in `query`, `key`
    and `value`, (heads, dim, outputs) in `out`. Each is treated as one matrix from inputs to
    outputs. Other arrays with more than two axes get Adam by default; if `muon_mask` selects one,
    it is a stack of matrices in its last two axes.

    Embedding tables and the last layer are matrices by shape, but Muon is not meant for them:
    `muon_mask=mask_by_path("embed*", "head", invert=True)`.

    Args:
      learning_rate: step size of all parameters, or of Muon's alone if `adam_learning_rate` is
        given; a number or a schedule of the number of updates already made. Default 1e-3
        (PyTorch); Liu et al. use a schedule.
      momentum: decay rate in [0, 1], a number or a schedule. Default 0.95 (Jordan; Liu et al.).
      nesterov: use Nesterov momentum. Default True (Jordan; Liu et al.).
      coefficients: of the Newton-Schulz iteration: `"jordan"`, `"polar_express"`, one triple
        (a, b, c), or a sequence with a triple for each step. Default `"jordan"` (also PyTorch and
        Keras).
      ns_steps: number of iterations, at least 1. Default 5 (Jordan; Liu et al.).
      adjust: factor that depends on a matrix's shape: `"original"`, `"match_rms_adamw"`,
        `"spectral_unclamped"`, a function of (outputs, inputs), or None; see `scale_by_muon`.
        Default `"match_rms_adamw"` (Liu et al.); Jordan and PyTorch have `"original"`.
      eps: added to the norm that a matrix is divided by, not negative. Default 1e-7 (Jordan's
        code, Keras).
      iteration_dtype: dtype of the matrices in the iteration. Default None: the parameters' own,
        float32 at least. Jordan and PyTorch have `jnp.bfloat16`, which is faster on accelerators.
      weight_decay: rate of decoupled decay of all parameters, a number or a schedule; multiplied
        by the learning rate. Default 0.1 (Liu et al.; PyTorch).
      mask: a tree of booleans like the parameters, or a function from the parameters to one:
        which parameters decay. Default None: all.
      muon_mask: likewise, which parameters get Muon; only those with at least two axes do.
        Default None: those with exactly two (as in PyTorch, Keras and Optax), and the kernels of
        Flax's attention. Arrays named like biases and scales (see `mask_by_ndim`) never get Muon.
      adam_learning_rate: step size of AdamW, a number or a schedule. Default None: that of Muon
        (Liu et al.).
      adam_b1: decay rate of Adam's first moment, in [0, 1). Default 0.9 (Liu et al.).
      adam_b2: decay rate of Adam's second moment, in [0, 1). Default 0.95 (Liu et al.).
      adam_eps: added to Adam's corrected root, not negative. Default 1e-8 (Liu et al.).

    Raises:
      ValueError: a hyperparameter is out of range, trees do not match, or `update` is called
        without parameters.

    Reference: Jordan et al. 2024, kellerjordan.github.io/posts/muon; Liu et al. 2025,
    arXiv 2502.16982.

    >>> import jax.numpy as jnp
    >>> tx = muon(0.1, adjust=None, weight_decay=0.0, coefficients="polar_express", ns_steps=8)
    >>> params = {"kernel": jnp.array([[3.0, 0.0], [0.0, -2.0]]), "bias": jnp.array([4.0, -4.0])}
    >>> updates, _ = tx.update(params, tx.init(params), params)
    >>> print(updates["kernel"].round(3), updates["bias"].round(3))
    [[-0.1 -0. ]
     [-0.   0.1]] [-0.1  0.1]
    """

    adam_b1, adam_b2 = number("adam_b1", adam_b1, "[0, 1)"), number("adam_b2", adam_b2, "[0, 1)")
    adam_eps = number("adam_eps", adam_eps, "[0, inf)")

    def default_mask(params):
        attention = matrices.attention_kernels(params)
        return jax.tree_util.tree_map_with_path(
            lambda path, p: np.ndim(p) == 2 or leaf_names(path) in attention, params
        )

    chosen = as_function(default_mask if muon_mask is None else muon_mask)

    def is_for_muon(params):
        return jax.tree_util.tree_map_with_path(
            lambda path, p, m: bool(m) and axes(path, p) >= 2, params, chosen(params)
        )

    def split(for_muon, for_adam):
        return partition_by_mask(is_for_muon, for_muon, for_adam)

    rate = scale_by_learning_rate(learning_rate)
    if adam_learning_rate is not None:
        number_or_schedule("adam_learning_rate", adam_learning_rate, "(-inf, inf)")
        rate = split(rate, scale_by_learning_rate(adam_learning_rate))
    return chain(
        split(
            scale_by_muon(
                momentum,
                nesterov,
                coefficients=coefficients,
                ns_steps=ns_steps,
                adjust=adjust,
                eps=eps,
                iteration_dtype=iteration_dtype,
            ),
            scale_by_adam(adam_b1, adam_b2, adam_eps),
        ),
        add_decayed_weights(weight_decay, mask),
        rate,
    )


def _triples(coefficients, ns_steps) -> list[Triple]:
    """The coefficients of every iteration."""
    if isinstance(coefficients, str):
        if coefficients not in COEFFICIENTS:
            raise ValueError(
                f"coefficients must be one of {', '.join(map(repr, COEFFICIENTS))}, or triples "
                f"(a, b, c); got {coefficients!r}"
            )
        triples = COEFFICIENTS[coefficients]
    else:
        triples = tuple(coefficients)
        if triples and not isinstance(triples[0], Sequence):
            triples = (triples,)
        if not triples or any(len(triple) != 3 for triple in triples):
            raise ValueError(
                "coefficients must be a triple (a, b, c), or a sequence with a triple for each "
                f"iteration; got {coefficients!r}"
            )
    triples = [tuple(number("coefficients", x, "(-inf, inf)") for x in t) for t in triples]
    return (triples + [triples[-1]] * ns_steps)[:ns_steps]


def _check_matrices(tree) -> None:
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        if jnp.ndim(leaf) < 2:
            raise ValueError(
                f"scale_by_muon needs matrices, got shape {jnp.shape(leaf)} at "
                f"{jax.tree_util.keystr(path) or 'the only leaf'}; use the recipe muon, which "
                "gives such leaves to Adam, or partition_by_mask to choose another optimizer"
            )


def _orthogonalize(x, triples, eps, min_norm, dtype):
    """Newton-Schulz on a stack of wide matrices, whose elements are rounded to `dtype`."""
    given = x.dtype
    cell, sums = _dtypes(given, dtype)
    unit = _unit(x)
    x = _round((x / unit.astype(given)).astype(sums), cell)
    # The largest element is now about 1, so a norm below 1/2 is that of zeros. The limit avoids
    # 0/0, in the derivative of the root too.
    square = jnp.sum(numerics.abs_square(x.astype(sums)), axis=(1, 2), keepdims=True)
    norm = _round(jnp.sqrt(jnp.maximum(square, 0.25)), cell).astype(square.dtype)
    floor, added = (jnp.asarray(v, unit.dtype) / unit for v in (min_norm, eps))
    norm = jnp.maximum(norm, floor.astype(norm.dtype)) + added.astype(norm.dtype)
    x = _round(x.astype(sums) / _round(norm, cell).astype(sums), cell)
    for a, b, c in triples:
        a, b, c = (jnp.asarray(v, sums) for v in (a, b, c))
        gram = _round(_product(x, jnp.conj(x.mT), sums), cell)
        poly = _round(b * gram.astype(sums) + c * _product(gram, gram, sums), cell)
        x = _round(a * x.astype(sums) + _product(poly, x, sums), cell)
        # Without the barrier XLA may compute x twice, once for the products and once for a·x + …
        # The two round differently, and every iteration multiplies the difference by a (seen with
        # jax 0.12).
        x = jax.lax.optimization_barrier(x)
    return x.astype(given)


def _dtypes(given, wanted):
    """The dtypes of the iteration's matrices and of the sums in their products."""
    if wanted is None:
        return given, given
    wide = numerics.compute_dtype(wanted)
    if jnp.issubdtype(given, jnp.complexfloating):  # no complex dtype has half precision
        wide = jnp.dtype(f"complex{2 * jnp.finfo(wide).bits}")
        return wide, wide
    return jnp.dtype(wanted), wide


def _unit(x):
    """A power of two near each matrix's largest element, so that division by it is exact.

    It keeps the squares of elements such as 1e38 and 1e-38 in range. The result does not depend on
    it, so its derivative is not needed.
    """
    largest = numerics.largest(jax.lax.stop_gradient(x), axis=(1, 2))
    info = jnp.finfo(largest.dtype)
    unit = jnp.clip(largest, info.tiny, info.max / 4)
    unit = jax.lax.reduce_precision(unit, exponent_bits=info.nexp, mantissa_bits=0)
    return jnp.where(largest == 0, 1, unit)


def _product(p, q, sums):
    """`p @ q` with sums in `sums`; float32 operands are not rounded to TF32 on GPUs."""
    precision = None if jnp.finfo(p.dtype).bits < 32 else jax.lax.Precision.HIGHEST
    return jnp.matmul(p, q, precision=precision, preferred_element_type=sums)


def _round(x, dtype):
    """Rounds to a narrower dtype, or returns `x` unchanged.

    It uses `reduce_precision`, because XLA may remove a conversion to bfloat16 and back.
    """
    info = jnp.finfo(dtype)
    if info.bits >= jnp.finfo(x.dtype).bits:
        return x
    x = jax.lax.reduce_precision(x, exponent_bits=info.nexp, mantissa_bits=info.nmant)
    return x.astype(info.dtype)


def _times(factor, stack, output_axis):
    """The stack of matrices times `factor` of their numbers of outputs and inputs."""
    _, rows, columns = stack.shape
    if not rows or not columns:
        return stack
    fan_out, fan_in = (columns, rows) if output_axis == -1 else (rows, columns)
    return stack * jnp.asarray(factor(fan_out, fan_in), stack.dtype)
