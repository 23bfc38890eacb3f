"""A workload: data, model, loss, and the default settings of a comparison."""

import dataclasses
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx


class Split(NamedTuple):
    """Examples: arrays of `inputs` and `targets` with the same first axis.

    The other axes and the dtypes are those that the model and the loss accept. Inputs are finite.
    """

    inputs: np.ndarray
    targets: np.ndarray


class Data(NamedTuple):
    """The splits of a data set for training, for tuning and for reporting.

    Attributes:
      train, validation, test: the three splits. Their examples have the same shapes and dtypes.
    """

    train: Split
    validation: Split
    test: Split


def class_accuracy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Returns 1 for each example whose largest logit is that of its label, else 0."""
    return (jnp.argmax(logits, -1) == labels).astype(jnp.float32)


@dataclasses.dataclass(frozen=True)
class Workload:
    """A training problem for `train`, `Population` and `compare`.

    Attributes:
      name: the name that identifies the workload in records.
      load: `data_dir -> Data`. `data_dir` is None or a path from the user: a folder with the data,
        or a text file for `char_transformer`.
      model: `nnx.Rngs -> nnx.Module`. The module maps a batch of inputs to outputs. `train()` and
        `eval()` switch its mode.
      loss: `(outputs, targets) -> losses`, an array whose first axis is the examples. Default:
        softmax cross-entropy with integer labels.
      accuracy: `(outputs, targets) -> scores`, an array whose first axis is the examples. Higher is
        better. None means no accuracy. Default `class_accuracy`.
      metric: the metric to tune for and to report, "accuracy" or "loss". It must be "loss" if there
        is no accuracy. Default "accuracy".
      target: the target value of the metric on the validation split. Reports show the first epoch
        that reaches it. Default None: the comparison chooses it.
      batch_size, epochs: the size of a mini-batch and the number of epochs. A short last batch is
        kept. Defaults 64 and 10.
      schedule: the name of the learning-rate schedule, see `training.SCHEDULES`. Default "cosine".
      optimizers: the optimizers that `compare` compares by default, in the command line's notation.
      trials, seeds: the numbers of learning rates and seeds that `compare` runs. Defaults 5 and 5.
      width: the number of members that a population trains side by side. Use 1 for a model that
        occupies the whole machine. Default 32.
      description: a description in one line.

    Raises:
      ValueError: `metric` is neither "accuracy" nor "loss", or is "accuracy" without an accuracy.

    >>> import numpy as np
    >>> from adaptive_jax.lab.training import RunConfig, train
    >>> def load(data_dir):
    ...     x = np.random.default_rng(0).normal(size=(96, 4)).astype(np.float32)
    ...     y = (x[:, 0] > x[:, 1]).astype(np.int32)
    ...     return Data(Split(x[:64], y[:64]), Split(x[64:80], y[64:80]), Split(x[80:], y[80:]))
    >>> mine = Workload("mine", load, lambda rngs: nnx.Linear(4, 2, rngs=rngs), batch_size=16)
    >>> record = train(RunConfig(mine, "adam:learning_rate=0.1", epochs=5))
    >>> record.final["test_accuracy"] > 0.8
    True
    """

    name: str
    load: Callable[[str | None], Data]
    model: Callable[[nnx.Rngs], nnx.Module]
    loss: Callable[[Any, Any], jax.Array] = optax.softmax_cross_entropy_with_integer_labels
    accuracy: Callable[[Any, Any], jax.Array] | None = class_accuracy
    metric: Literal["accuracy", "loss"] = "accuracy"
    target: float | None = None
    batch_size: int = 64
    epochs: int = 10
    schedule: str = "cosine"
    optimizers: tuple[str, ...] = ("sgd:momentum=0.9", "adam")
    trials: int = 5
    seeds: int = 5
    width: int = 32
    description: str = ""

    def __post_init__(self) -> None:
        if self.metric not in ("accuracy", "loss"):
            raise ValueError(f"metric must be 'accuracy' or 'loss', got {self.metric!r}")
        if self.metric == "accuracy" and self.accuracy is None:
            raise ValueError(f"{self.name} has no accuracy: set accuracy, or metric='loss'")

    @property
    def scores(self) -> dict[str, Callable[[Any, Any], jax.Array]]:
        """The functions that score each example, by name."""
        accuracy = {} if self.accuracy is None else {"accuracy": self.accuracy}
        return {"loss": self.loss, **accuracy}
