"""The CNN article's comparison on MNIST, and its network on Fashion-MNIST."""

import functools

import jax
import numpy as np
from flax import nnx

from adaptive_jax.lab.workloads import idx
from adaptive_jax.lab.workloads.layers import BatchNorm, Conv, max_pool_2x2
from adaptive_jax.lab.workloads.workload import Data, Split, Workload


def _load(source, data_dir):
    raw = idx.load(source, data_dir)

    def split(images, labels):
        return Split((images[..., None] / np.float32(255)), labels.astype(np.int32))

    train = split(raw.train_images, raw.train_labels)
    # The last 20% are for validation, as with Keras's validation_split=0.2.
    return Data(
        Split(train.inputs[:48000], train.targets[:48000]),
        Split(train.inputs[48000:], train.targets[48000:]),
        split(raw.test_images, raw.test_labels),
    )


class MnistCNN(nnx.Module):
    """Conv(32)-BN-MaxPool-BN-Conv(64)-BN-MaxPool-BN-Dense(256)-BN-Dense(10), 3x3, ReLU."""

    def __init__(self, rngs: nnx.Rngs):
        self.conv1 = Conv(1, 32, padding="VALID", rngs=rngs)
        self.norm1 = BatchNorm(32, rngs=rngs)
        self.norm2 = BatchNorm(32, rngs=rngs)
        self.conv2 = Conv(32, 64, padding="VALID", rngs=rngs)
        self.norm3 = BatchNorm(64, rngs=rngs)
        self.norm4 = BatchNorm(64, rngs=rngs)
        self.dense1 = nnx.Linear(5 * 5 * 64, 256, rngs=rngs)
        self.norm5 = BatchNorm(256, rngs=rngs)
        self.dense2 = nnx.Linear(256, 10, rngs=rngs)

    def __call__(self, x):
        x = self.norm2(max_pool_2x2(self.norm1(jax.nn.relu(self.conv1(x)))))
        x = self.norm4(max_pool_2x2(self.norm3(jax.nn.relu(self.conv2(x)))))
        x = self.norm5(jax.nn.relu(self.dense1(x.reshape(x.shape[0], -1))))
        return self.dense2(x)


MNIST_CNN = Workload(
    name="mnist_cnn",
    description="the CNN article: MNIST, five optimizers",
    load=functools.partial(_load, idx.MNIST),
    model=MnistCNN,
    batch_size=250,
    epochs=5,
    schedule="constant",
    optimizers=(
        "adagrad:learning_rate=1e-3,initial_accumulator=0.1,eps=0,eps_root=1e-7",
        "adadelta:learning_rate=1e-3,rho=0.95,eps=1e-7",
        "sgd:learning_rate=0.01,momentum=0.9",
        "adam:learning_rate=1e-2",
        "adabound:learning_rate=1e-3,final_lr=0.1",
    ),
    seeds=1,
    width=1,
)

FASHION_MNIST_CNN = Workload(
    name="fashion_mnist_cnn",
    description="Fashion-MNIST, the CNN article's network",
    load=functools.partial(_load, idx.FASHION_MNIST),
    model=MnistCNN,
    batch_size=250,
    epochs=5,
    optimizers=("sgd:momentum=0.9", "rmsprop", "adam", "adamw", "adabound"),
    seeds=3,
    width=1,
)
