"""Scikit-learn's 1797 handwritten digits of 8x8 pixels: a small CNN, and the MLP article."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from adaptive_jax.lab.workloads.downloads import DataError
from adaptive_jax.lab.workloads.layers import BatchNorm, Conv, max_pool_2x2
from adaptive_jax.lab.workloads.workload import Data, Split, Workload


def _digits(data_dir) -> tuple[np.ndarray, np.ndarray]:
    """Images (1797, 8, 8) scaled to [0, 1] and labels, in an order drawn once and for all."""
    from sklearn.datasets import load_digits

    if data_dir is not None:
        raise DataError("the digits come with scikit-learn, not from a folder: drop --data-dir")
    pixels, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    images = (pixels.reshape(-1, 8, 8)[order] / 16).astype(np.float32)
    return images, labels[order].astype(np.int32)


def _load_cnn(data_dir):
    # 18 batches of 64 and no rest; the rest is halved into validation and test.
    images, labels = _digits(data_dir)
    images = images[..., None]
    parts = (slice(0, 1152), slice(1152, 1472), slice(1472, None))
    return Data(*(Split(images[part], labels[part]) for part in parts))


class DigitsCNN(nnx.Module):
    """Conv(16)-MaxPool-BN-Conv(32)-MaxPool-BN-Dense(64)-Dense(10), 3x3, ReLU.

    Pooling comes first so that normalization and ReLU have a quarter of the numbers to touch;
    with normalization after it, a convolution needs no bias.
    """

    def __init__(self, rngs: nnx.Rngs):
        self.conv1 = Conv(1, 16, use_bias=False, rngs=rngs)
        # Statistics over the last 10 batches or so: a whole run has but a few hundred.
        self.norm1 = BatchNorm(16, momentum=0.9, rngs=rngs)
        self.conv2 = Conv(16, 32, use_bias=False, rngs=rngs)
        self.norm2 = BatchNorm(32, momentum=0.9, rngs=rngs)
        self.dense1 = nnx.Linear(2 * 2 * 32, 64, rngs=rngs)
        self.dense2 = nnx.Linear(64, 10, rngs=rngs)

    def __call__(self, x):
        x = jax.nn.relu(self.norm1(max_pool_2x2(self.conv1(x))))
        x = jax.nn.relu(self.norm2(max_pool_2x2(self.conv2(x))))
        x = jax.nn.relu(self.dense1(x.reshape(x.shape[0], -1)))
        return self.dense2(x)


DIGITS_CNN = Workload(
    name="digits_cnn",
    description="scikit-learn's 8x8 digits, a small CNN",
    load=_load_cnn,
    model=DigitsCNN,
    batch_size=64,
    epochs=10,
    optimizers=("sgd:momentum=0.9", "adagrad", "adadelta", "rmsprop", "adam", "adabound"),
)


# The MLP article's comparison. Its 259 images ship with no library; here 259 digits of 4x4
# pixels are told apart as below 5 or not. That leaves gradient descent and its momentum near the
# article's training accuracies (0.849 and 0.873), and RMSprop and Adam above them, as there.


def _load_mlp(data_dir):
    images, labels = _digits(data_dir)
    features = images.reshape(-1, 4, 2, 4, 2).mean((2, 4)).reshape(-1, 16)
    targets = (labels >= 5).astype(np.float32)
    parts = (slice(0, 259), slice(259, 459), slice(459, 659))
    return Data(*(Split(features[part], targets[part]) for part in parts))


class DigitsMLP(nnx.Module):
    """[16 -> 100 -> 1], He-initialized, ReLU, inverted dropout; the logit of a sigmoid."""

    def __init__(self, rngs: nnx.Rngs):
        he = nnx.initializers.he_normal()
        self.hidden = nnx.Linear(16, 100, kernel_init=he, rngs=rngs)
        self.dropout = nnx.Dropout(0.2, rngs=rngs)
        self.output = nnx.Linear(100, 1, kernel_init=he, rngs=rngs)

    def __call__(self, x):
        return self.output(self.dropout(jax.nn.relu(self.hidden(x))))[:, 0]


def _binary_accuracy(logits, targets):
    return ((logits > 0) == (targets > 0.5)).astype(jnp.float32)


DIGITS_MLP = Workload(
    name="digits_mlp",
    description="the MLP article: 259 digits, below 5 or not",
    load=_load_mlp,
    model=DigitsMLP,
    loss=optax.sigmoid_binary_cross_entropy,
    accuracy=_binary_accuracy,
    batch_size=32,
    epochs=500,
    schedule="constant",
    optimizers=(
        "sgd:learning_rate=0.01",
        "sgd:learning_rate=0.01,momentum=0.9,ema=true",
        "rmsprop:learning_rate=0.01,decay=0.9,eps=1e-4",
        "adam:learning_rate=0.01",
    ),
)
