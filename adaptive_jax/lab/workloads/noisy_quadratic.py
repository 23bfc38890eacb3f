"""The noisy quadratic: a quadratic loss with noisy examples, solved in closed form.

Tom Schaul, Sixin Zhang and Yann LeCun, "No more pesky learning rates", arXiv 1206.1106; Guodong
Zhang et al., "Which algorithmic choices matter at which batch sizes?", arXiv 1907.04164.

An example c has the loss Σᵢ hᵢ (θᵢ − cᵢ)² / 2, where cᵢ has mean 0 and variance 1 / hᵢ. The
covariance of the gradient then equals the curvature, as Zhang et al. assume. Every θᵢ starts at 1.

The examples are drawn, then shifted and scaled, so that their mean and variance have these values
up to rounding. An epoch uses each example once. Therefore `expected_loss` is exact for these data,
and not only on average over data sets. Validation and test data consist of one example, c = 0. The
loss on it is Σᵢ hᵢ θᵢ² / 2, the noise-free excess over the lowest possible loss.
"""

import jax.numpy as jnp
import numpy as np
from flax import nnx

from adaptive_jax.lab.workloads.downloads import DataError
from adaptive_jax.lab.workloads.workload import Data, Split, Workload
from adaptive_jax.validation import steps

CURVATURES = np.geomspace(1, 0.01, 20)
"""The hᵢ, over two decades."""

EXAMPLES, BATCH_SIZE = 4000, 8


def expected_loss(learning_rate, epochs: int = 1):
    """Returns the expected final test loss of plain SGD with a constant learning rate α.

    Let r = 1 − αh, and let an epoch have N examples in T batches of B. A coordinate ends the epoch
    at rᵀ θ + αh Σₜ r^{T−1−t} c̄ₜ. The mean c̄ₜ of a batch has variance σ²(N − B) / (B(N − 1)). Two
    batches of an epoch share no example, so their means have covariance −σ²/(N − 1). An epoch adds

        v = α² h² σ² / (N − 1) · (T Σₜ r^{2t} − (Σₜ rᵗ)²)

    to E θ², which is r^{2TE} + v Σₑ r^{2Te} after E epochs. If αhT is large, v equals the term for
    independent batches, α² h² σ² / B · (1 − r^{2T}) / (1 − r²).

    Args:
      learning_rate: a number or an array. The result has its shape.
      epochs: the number of epochs, with the workload's batch size. Default 1.

    >>> [round(float(expected_loss(rate)), 3) for rate in (0, 0.1, 1)]
    [2.305, 0.021, 0.209]
    """
    epochs = steps("epochs", epochs)
    batches = EXAMPLES // BATCH_SIZE
    rates = np.asarray(learning_rate, np.float64)[..., None] * CURVATURES
    factors = (1 - rates)[..., None]
    powers = factors ** np.arange(batches)
    spread = batches * np.sum(powers**2, -1) - np.sum(powers, -1) ** 2
    added = rates**2 / CURVATURES / (EXAMPLES - 1) * spread
    earlier = np.sum(factors ** (2 * batches * np.arange(epochs)), -1)
    squares = factors[..., 0] ** (2 * batches * epochs) + added * earlier
    return squares @ CURVATURES / 2


def best_learning_rate(epochs: int = 1) -> float:
    """Returns the constant learning rate with the lowest expected final test loss of plain SGD.

    Args:
      epochs: the number of epochs. Default 1.

    >>> 0.03 < best_learning_rate(epochs=4) < best_learning_rate() < 0.3
    True
    """
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(
        lambda exponent: expected_loss(10**exponent, epochs), bounds=(-4, 0.3), method="bounded"
    )
    return float(10**found.x)


def _load(data_dir):
    if data_dir is not None:
        raise DataError("noisy_quadratic generates its data and reads no folder: drop --data-dir")
    noise = np.random.default_rng(0).normal(size=(EXAMPLES, len(CURVATURES)))
    noise = (noise - noise.mean(0)) / noise.std(0) / np.sqrt(CURVATURES)
    train = Split(noise.astype(np.float32), np.zeros(EXAMPLES, np.float32))
    still = Split(np.zeros_like(train.inputs[:1]), train.targets[:1])
    return Data(train, still, still)


class NoisyQuadratic(nnx.Module):
    """A module with parameters θ, initially 1, that maps examples c to θ − c."""

    def __init__(self, rngs: nnx.Rngs):
        self.theta = nnx.Param(jnp.ones(len(CURVATURES)))

    def __call__(self, x):
        return self.theta[...] - x


def _loss(distances, targets):
    return distances**2 @ jnp.asarray(CURVATURES / 2, distances.dtype)


NOISY_QUADRATIC = Workload(
    name="noisy_quadratic",
    description="a quadratic with noise, solved in closed form",
    load=_load,
    model=NoisyQuadratic,
    loss=_loss,
    accuracy=None,
    metric="loss",
    batch_size=BATCH_SIZE,
    epochs=1,
    schedule="constant",
    optimizers=("sgd", "sgd:momentum=0.9", "rmsprop", "adam", "adabound"),
    trials=7,
)
