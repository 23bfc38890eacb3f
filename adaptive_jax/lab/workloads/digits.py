"""A small CNN, and the MLP article's network, on scikit-learn's 1797 handwritten digits (8x8)."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from adaptive_jax.lab.workloads.downloads import DataError
from adaptive_jax.lab.workloads.layers import BatchNorm, Conv, max_pool_2x2
from adaptive_jax.lab.workloads.workload import Data, Split, Workload


def _digits(data_dir) -> tuple[np.ndarray, np.ndarray]:
    """Returns images (1797, 8, 8) scaled to [0, 1] and labels, shuffled with a fixed seed."""
    from sklearn.datasets import load_digits

    if data_dir is not None:
        raise DataError("the digits come with scikit-learn and read no folder: drop --data-dir")
    pixels, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    images = (pixels.reshape(-1, 8, 8)[order] / 16).astype(np.float32)
    return images, labels[order].astype(np.int32)


def _load_cnn(data_dir):
    # 18 full batches of 64 for training. Validation and test share the remaining images.
    images, labels = _digits(data_dir)
    images = images[..., None]
    parts = (slice(0, 1152), slice(1152, 1472), slice(1472, None))
    return Data(*(Split(images[part], labels[part]) for part in parts))


class DigitsCNN(nnx.Module):
    """Conv(16)-MaxPool-BN-Conv(32)-MaxPool-BN-Dense(64)-Dense(10), 3x3, ReLU.

    Pooling comes first, so that normalization and ReLU process a quarter as many values. A
    convolution that is followed by a normalization needs no bias.
    """

    def __init__(self, rngs: nnx.Rngs):
        self.conv1 = Conv(1, 16, use_bias=False, rngs=rngs)
        # Statistics over about the last 10 batches, because a run has only a few hundred.
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


# The MLP article's comparison. No library includes the article's 259 images. This workload uses 259
# digits, reduced to 4x4 pixels, and classifies them as below 5 or not. Gradient descent and
# momentum then end near the article's training accuracies (0.849 and 0.873), and RMSprop and Adam
# end above them, as in the article.


def _load_mlp(data_dir):
    images, labels = _digits(data_dir)
    features = images.reshape(-1, 4, 2, 4, 2).mean((2, 4)).reshape(-1, 16)
    targets = (labels >= 5).astype(np.float32)
    parts = (slice(0, 259), slice(259, 459), slice(459, 659))
    return Data(*(Split(features[part], targets[part]) for part in parts))


class DigitsMLP(nnx.Module):
    """An MLP [16 -> 100 -> 1] with He initialization, ReLU and dropout, which returns logits."""

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
