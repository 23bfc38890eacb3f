"""A workload from a model and its data, in one call."""

import dataclasses
from collections.abc import Callable
from typing import Any, Literal, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax

from adaptive_jax.lab.workloads.downloads import DataError
from adaptive_jax.lab.workloads.models import AnyModel
from adaptive_jax.lab.workloads.workload import Data, Split, Stream, Workload, class_accuracy
from adaptive_jax.validation import near_misses

_BY_TARGETS: Any = object()  # the default of an argument that depends on the targets


def workload(
    model: AnyModel,
    train: Any,
    validation: Any,
    test: Any,
    *,
    loss: Callable[[Any, Any], jax.Array] = _BY_TARGETS,
    accuracy: Callable[[Any, Any], jax.Array] | None = _BY_TARGETS,
    metric: Literal["accuracy", "loss"] | None = None,
    name: str = "workload",
    **settings: Any,
) -> Workload:
    """Returns a workload for `compare` and `train` from a model and its data.

    Args:
      model: The model: a function `rngs -> nnx.Module` or `key -> eqx.Module`, a Linen module, a
        Haiku transform, or pure functions, see `as_model`.
      train, validation, test: The splits. Each is a pair `(x, y)` of arrays or of pytrees of
        arrays; any other pytree, such as a dict, of which model and loss both get the whole; a
        function `(epoch, seed) -> batches`, or a `Stream` of it.
      loss: `(outputs, targets) -> losses`, one value per example. Default: softmax cross-entropy if
        the targets are an array of integers. Other targets have no default.
      accuracy: `(outputs, targets) -> scores`, one value per example, of which higher is better, or
        None. Default: `class_accuracy` if the targets are an array of integers, else None.
      metric: "accuracy" or "loss", by which optimizers are tuned and judged. Default: "accuracy" if
        there is one.
      name: The name in records and reports. Default "workload".
      **settings: Further fields of `Workload`, such as `epochs`, `batch_size` and `augment`.

    Raises:
      DataError: A split is not one of these.
      ValueError: There is no loss for the targets, or no such setting.

    >>> import numpy as np
    >>> from flax import nnx
    >>> from adaptive_jax.lab import compare
    >>> x = np.random.default_rng(0).normal(size=(96, 4)).astype(np.float32)
    >>> y = x.sum(axis=1, keepdims=True)
    >>> splits = [(x[part], y[part]) for part in (slice(64), slice(64, 80), slice(80, 96))]
    >>> model = lambda rngs: nnx.Linear(4, 1, rngs=rngs)
    >>> squares = lambda outputs, targets: (outputs - targets) ** 2
    >>> mine = workload(model, *splits, loss=squares, batch_size=16, epochs=2)
    >>> mine.metric
    'loss'
    """
    data = Data(*map(_split, ("train", "validation", "test"), (train, validation, test)))
    targets = _first(data.train).targets
    are_labels = isinstance(targets, jax.Array | np.ndarray) and jnp.issubdtype(
        targets.dtype, jnp.integer
    )
    if loss is _BY_TARGETS:
        if not are_labels:
            kind = getattr(targets, "dtype", type(targets).__name__)
            raise ValueError(
                f"loss must be given for targets that are {kind} and no integer labels, such as "
                "loss=lambda outputs, targets: (outputs - targets) ** 2"
            )
        loss = optax.softmax_cross_entropy_with_integer_labels
    if accuracy is _BY_TARGETS:
        accuracy = class_accuracy if are_labels else None
    known = [field.name for field in dataclasses.fields(Workload)]
    for setting in settings:
        if setting not in known:
            raise ValueError(f"workload has no setting {setting!r}: {near_misses(setting, known)}")

    def load(data_dir):
        if data_dir is not None:
            raise DataError(f"{name} has its data in memory and reads no folder: drop data_dir")
        return data

    metric = metric or ("loss" if accuracy is None else "accuracy")
    return Workload(name, load, model, loss, accuracy, metric, **settings)


def _split(name, given):
    if isinstance(given, Stream):
        return given
    if callable(given):
        return Stream(cast(Callable, given))
    split = Split.of(given)
    if not all(np.ndim(x) for x in jax.tree.leaves(split)) or not jax.tree.leaves(split.inputs):
        raise DataError(
            f"{name} must be a pair (x, y) of arrays, a dict of arrays, or a function "
            f"(epoch, seed) -> batches, got {type(given).__name__}"
        )
    return split


def _first(split):
    """Returns a split, or the first batch of a stream."""
    if isinstance(split, Split):
        return split
    return Split.of(next(iter(split.batches(0, 0))))
