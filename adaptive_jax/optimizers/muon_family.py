"""Muon for the matrices of a model, and AdamW for the other parameters."""

from collections.abc import Callable, Sequence

import jax
import numpy as np
import optax
from jax.typing import DTypeLike

from adaptive_jax import transforms
from adaptive_jax.algebra import constructor
from adaptive_jax.transforms.masks import as_function, axes
from adaptive_jax.transforms.muon import Triple, attention_kernels
from adaptive_jax.typing import PyTree, Scalar, ScalarOrSchedule
from adaptive_jax.validation import leaf_names, number, number_or_schedule


@constructor
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
        attention = attention_kernels(params)
        return jax.tree_util.tree_map_with_path(
            lambda path, p: np.ndim(p) == 2 or leaf_names(path) in attention, params
        )

    chosen = as_function(default_mask if muon_mask is None else muon_mask)

    def is_for_muon(params):
        return jax.tree_util.tree_map_with_path(
            lambda path, p, m: bool(m) and axes(path, p) >= 2, params, chosen(params)
        )

    def split(for_muon, for_adam):
        return transforms.partition_by_mask(is_for_muon, for_muon, for_adam)

    rate = transforms.scale_by_learning_rate(learning_rate)
    if adam_learning_rate is not None:
        number_or_schedule("adam_learning_rate", adam_learning_rate, "(-inf, inf)")
        rate = split(rate, transforms.scale_by_learning_rate(adam_learning_rate))
    return transforms.chain(
        split(
            transforms.scale_by_muon(
                momentum,
                nesterov,
                coefficients=coefficients,
                ns_steps=ns_steps,
                adjust=adjust,
                eps=eps,
                iteration_dtype=iteration_dtype,
            ),
            transforms.scale_by_adam(adam_b1, adam_b2, adam_eps),
        ),
        transforms.add_decayed_weights(weight_decay, mask),
        rate,
    )
