"""What is trained: data, model, loss, and the settings that a comparison starts from."""

import dataclasses
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx


class Split(NamedTuple):
    """Examples: `inputs` and `targets`, arrays with the same first axis.

    Any shapes behind it and any dtypes that the model and the loss take; inputs are finite.
    """

    inputs: np.ndarray
    targets: np.ndarray


class Data(NamedTuple):
    """What is trained on, what is tuned on, and what is reported on.

    Attributes:
      train, validation, test: the three parts, whose examples have the same shapes and dtypes.
    """

    train: Split
    validation: Split
    test: Split


def class_accuracy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """1 for each example whose largest logit is its label's, else 0."""
    return (jnp.argmax(logits, -1) == labels).astype(jnp.float32)


@dataclasses.dataclass(frozen=True)
class Workload:
    """A training problem, to pass to `train`, `Population` and `compare`.

    Attributes:
      name: identifies it in records.
      load: `data_dir -> Data`; `data_dir` is None or what the user named, a folder with the data
        or, for `char_transformer`, a text file.
      model: `nnx.Rngs -> nnx.Module`, a module that maps a batch of inputs to outputs. Its
        train and eval modes are switched by `train()` and `eval()`.
      loss: `(outputs, targets) -> loss of each example`, an array whose first axis is theirs.
      accuracy: `(outputs, targets) -> score of each example`, likewise, higher is better; None if
        there is none.
      metric: what is tuned for and reported, "accuracy" or "loss", the latter if there is no
        accuracy.
      target: the metric's value on validation data whose first epoch is reported as reaching the
        target; None leaves it to the comparison.
      batch_size, epochs: a short last batch is kept.
      schedule: name of the shape that every learning rate follows, see `training.SCHEDULES`.
      optimizers: what `compare` compares by default, as on the command line.
      trials, seeds: how many learning rates `compare` tries and how many seeds it runs.
      width: how many members a population trains side by side; 1 for a model that fills the
        machine by itself.
      description: one line.

    Raises:
      ValueError: `metric` is another, or is the accuracy of a workload that has none.

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
            raise ValueError(f"{self.name} has no accuracy: give it one, or metric='loss'")

    @property
    def scores(self) -> dict[str, Callable[[Any, Any], jax.Array]]:
        """What is computed for each example, by name."""
        accuracy = {} if self.accuracy is None else {"accuracy": self.accuracy}
        return {"loss": self.loss, **accuracy}
