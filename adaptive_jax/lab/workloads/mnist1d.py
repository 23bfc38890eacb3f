"""MNIST-1D: a small CNN classifies generated noisy signals with 40 points into ten classes.

Sam Greydanus and Dmitry Kobak, "Scaling down deep learning with MNIST-1D", arXiv 2011.14439.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from adaptive_jax.lab.workloads.downloads import DataError
from adaptive_jax.lab.workloads.layers import Conv
from adaptive_jax.lab.workloads.workload import Data, Split, Workload

# The paper's recipe, with the templates and constants of github.com/greydanus/mnist1d.
_TEMPLATES = np.array(
    [
        [5, 6, 6.5, 6.75, 7, 7, 7, 7, 6.75, 6.5, 6, 5],
        [5, 3, 3, 3.4, 3.8, 4.2, 4.6, 5, 5.4, 5.8, 5, 5],
        [5, 6, 6.5, 6.5, 6, 5.25, 4.75, 4, 3.5, 3.5, 4, 5],
        [5, 6, 6.5, 6.5, 6, 5, 5, 6, 6.5, 6.5, 6, 5],
        [5, 4.4, 3.8, 3.2, 2.6, 2.6, 5, 5, 5, 5, 5, 5],
        [5, 3, 3, 3, 3, 5, 6, 6.5, 6.5, 6, 4.5, 5],
        [5, 4, 3.5, 3.25, 3, 3, 3, 3, 3.25, 3.5, 4, 5],
        [5, 7, 7, 6.6, 6.2, 5.8, 5.4, 5, 4.6, 4.2, 5, 5],
        [5, 4, 3.5, 3.5, 4, 5, 5, 4, 3.5, 3.5, 4, 5],
        [5, 4, 3.5, 3.5, 4, 5, 5, 5, 5, 4.7, 4.3, 5],
    ]
)
_TEMPLATE_SCALE = 1 / 6  # applied after each template is scaled to unit variance
_EXAMPLES = 5000
_PADDING = 36, 60  # minimum and maximum number of points added to a template
_LENGTH = 72  # points of an intermediate signal: a template with maximum padding
_FINAL_LENGTH = 40
_SCALE = 0.4  # width of the range of factors around 1
_TRANSLATIONS = 48
_CORRELATED_NOISE = 0.25  # standard deviation before smoothing
_SMOOTHING = 2  # standard deviation of the smoothing kernel, in points
_WHITE_NOISE = 0.02
_SHEAR = 0.75  # width of the range of slopes around 0


def _signals(rng, labels):
    """Generates a noisy signal for each label, (n, _FINAL_LENGTH)."""
    from scipy.ndimage import gaussian_filter1d

    count = len(labels)
    templates = _TEMPLATES / _TEMPLATES.std(1, keepdims=True) * _TEMPLATE_SCALE
    templates -= templates[:, :1]  # all start and end at 0, the value of the padding
    lengths = _TEMPLATES.shape[1] + rng.integers(*_PADDING, count, endpoint=True)
    places = np.linspace(0, lengths - 1, _LENGTH, axis=1)
    points = np.arange(_TEMPLATES.shape[1])
    clean = np.stack(
        [np.interp(x, points, templates[y]) for x, y in zip(places, labels, strict=True)]
    )
    clean *= 1 + _SCALE * rng.uniform(-0.5, 0.5, (count, 1))
    noise = _CORRELATED_NOISE * rng.normal(size=clean.shape)
    noise = gaussian_filter1d(noise, _SMOOTHING, axis=1)
    shifts = rng.integers(_TRANSLATIONS, size=(count, 1))
    source = (np.arange(_LENGTH) - shifts) % _LENGTH
    clean, places = (np.take_along_axis(x, source, axis=1) for x in (clean, places))
    signals = np.where(places < _TEMPLATES.shape[1], clean, noise)  # padding is pure noise
    signals += _WHITE_NOISE * rng.normal(size=signals.shape)
    slopes = _SHEAR * rng.uniform(-0.5, 0.5, (count, 1))
    signals -= slopes * np.linspace(-0.5, 0.5, _LENGTH)
    ends = np.linspace(0, _LENGTH - 1, _FINAL_LENGTH)
    return np.stack([np.interp(ends, np.arange(_LENGTH), signal) for signal in signals])


def _load(data_dir):
    if data_dir is not None:
        raise DataError("mnist1d is generated and not read from a folder: drop --data-dir")
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.arange(_EXAMPLES) % len(_TEMPLATES))
    inputs = _signals(rng, labels).astype(np.float32)
    # The paper trains on 4000 and tests on 1000. The last 800 of the 4000 are for validation here.
    parts = (slice(0, 3200), slice(3200, 4000), slice(4000, None))
    return Data(*(Split(inputs[part], labels[part].astype(np.int32)) for part in parts))


def _max_pool(x):
    """Pools pairs of neighbors along the width of (batch, 1, width, channels)."""
    return jnp.maximum(x[:, :, 0::2], x[:, :, 1::2])


class Mnist1dCNN(nnx.Module):
    """Three Conv(25)-MaxPool-ReLU stages with kernel widths 5, 3 and 3, and Dense(10).

    The paper's CNN has the same number of layers, with stride 2 instead of pooling.
    """

    def __init__(self, rngs: nnx.Rngs):
        self.conv1 = Conv(1, 25, (1, 5), rngs=rngs)
        self.conv2 = Conv(25, 25, (1, 3), rngs=rngs)
        self.conv3 = Conv(25, 25, (1, 3), rngs=rngs)
        self.dense = nnx.Linear(_FINAL_LENGTH // 8 * 25, 10, rngs=rngs)

    def __call__(self, x):
        # On images of height 1, our Conv takes an eighth of the time of nnx.Conv on the signals.
        x = x[:, None, :, None]
        for conv in (self.conv1, self.conv2, self.conv3):
            x = jax.nn.relu(_max_pool(conv(x)))
        return self.dense(x.reshape(x.shape[0], -1))


MNIST1D = Workload(
    name="mnist1d",
    description="MNIST-1D, ten noisy signals, a small CNN",
    load=_load,
    model=Mnist1dCNN,
    target=0.9,
    batch_size=64,
    epochs=20,
    optimizers=("sgd:momentum=0.9", "rmsprop", "adam", "adamw", "adabound"),
)
