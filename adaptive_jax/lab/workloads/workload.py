"""A workload: data, model, loss, and the default settings of a comparison."""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from adaptive_jax.lab.workloads.models import AnyModel
from adaptive_jax.typing import PyTree
from adaptive_jax.validation import steps as whole_number


class Split(NamedTuple):
    """Examples, or a mini-batch of them.

    Attributes:
      inputs, targets: Arrays, or pytrees of arrays, whose first axis is that of the examples.
        Arrays may be memory-mapped. Floating-point inputs are finite.

    >>> split = Split({"a": np.zeros((8, 2)), "b": np.zeros(8)}, np.zeros(8))
    >>> split.examples
    8
    """

    inputs: PyTree
    targets: PyTree

    @property
    def examples(self) -> int:
        """The number of examples."""
        return len(jax.tree.leaves(self.inputs)[0])

    @classmethod
    def of(cls, batch: Any) -> "Split":
        """Returns a batch as a split.

        Args:
          batch: A pair (inputs, targets), as a tuple or a list. Anything else, such as a dict, is
            both: the model gets the whole of it, and so does the loss. Leaves of other libraries,
            such as PyTorch's tensors, become arrays.

        >>> Split.of(([1.0, 2.0], [0, 1])).targets
        array([0, 1])
        >>> Split.of({"text": np.zeros((3, 5))}).inputs["text"].shape
        (3, 5)
        """
        if isinstance(batch, cls):
            return batch
        if isinstance(batch, (tuple, list)) and len(batch) == 2:
            return cls(*map(_arrays, batch))
        both = _arrays(batch)
        return cls(both, both)


def _arrays(tree):
    if isinstance(tree, list):  # as NumPy reads it: nested numbers
        return np.asarray(tree)
    return jax.tree.map(
        lambda x: x if isinstance(x, (np.ndarray, jax.Array)) else np.asarray(x), tree
    )


@dataclasses.dataclass(frozen=True)
class Stream:
    """Examples that come as mini-batches, as from Grain, tf.data or a PyTorch `DataLoader`.

    Attributes:
      batches: `(epoch, seed) -> batches`, an iterable of batches as `Split.of` takes them. It gives
        the same batches whenever it is called with the same numbers, so that all runs of a seed
        see the same ones. Epochs count from 0. A validation or test split is read with (0, 0).
      steps: The number of batches in an epoch; further ones are left out. Default: None, the
        length of `batches(0, 0)`, which is counted if it has no `len`.

    Raises:
      ValueError: `batches` is not a function, or `steps` is no whole number of at least 1.

    >>> def batches(epoch, seed):
    ...     rng = np.random.default_rng((epoch, seed))
    ...     for _ in range(3):
    ...         x = rng.normal(size=(16, 4)).astype(np.float32)
    ...         yield x, (x[:, 0] > 0).astype(np.int32)
    >>> stream = Stream(batches, steps=3)
    """

    batches: Callable[[int, int], Iterable[Any]]
    steps: int | None = None

    def __post_init__(self) -> None:
        if not callable(self.batches):
            raise ValueError(
                "batches must be a function (epoch, seed) -> batches, got "
                f"{type(self.batches).__name__}: an iterator would be used up after an epoch"
            )
        if self.steps is not None:
            object.__setattr__(self, "steps", whole_number("steps", self.steps))


class Data(NamedTuple):
    """The splits of a data set for training, for tuning and for reporting.

    Attributes:
      train, validation, test: The splits, in memory or as streams. Their examples have the same
        shapes and dtypes.
    """

    train: Split | Stream
    validation: Split | Stream
    test: Split | Stream


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
      model: A function `rngs -> nnx.Module` or `key -> eqx.Module`, a Linen module, a Haiku
        transform, or pure functions, see `as_model`. It maps a batch of inputs to outputs.
      loss: `(outputs, targets) -> losses`, an array whose first axis is the examples. Default:
        softmax cross-entropy with integer labels.
      accuracy: `(outputs, targets) -> scores`, an array whose first axis is the examples. Higher is
        better. None means no accuracy. Default `class_accuracy`, which is for integer targets.
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
      augment: `(inputs, key) -> inputs`, applied to every mini-batch of training. All runs of a
        seed get the same keys. Default None.
      description: a description in one line.

    Raises:
      ValueError: `metric` is neither "accuracy" nor "loss", or is "accuracy" without an accuracy.

    >>> import numpy as np
    >>> from flax import nnx
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
    model: AnyModel
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
    augment: Callable[[Any, jax.Array], Any] | None = None

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
