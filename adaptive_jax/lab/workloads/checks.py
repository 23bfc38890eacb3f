"""Checks that data, model and loss fit together, where JAX reports an error late or never."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from adaptive_jax.lab.workloads.downloads import DataError
from adaptive_jax.lab.workloads.workload import Data, Split, Workload

_EXAMPLES = 7  # batch size of the abstract batch; other axes seldom have this size


def check_workload(workload: Workload, data: Data) -> None:
    """Raises an error if a workload cannot be trained on the data. Only shapes are computed.

    Args:
      workload: the workload. Its model, loss and accuracy are called once with abstract arrays.
      data: the data that its `load` returned.

    Raises:
      DataError: a split has no examples, has inputs and targets of different lengths, differs
        from the training split in shapes or dtypes, has a dtype that is not numeric, has inputs
        that are not finite, or has labels outside the model's classes.
      ValueError: the model fails for the inputs, or the loss or the accuracy does not return one
        value per example.

    >>> data = Data(*3 * [Split(np.ones((8, 4), np.float32), np.full(8, 2))])
    >>> workload = Workload("mine", None, lambda rngs: nnx.Linear(4, 2, rngs=rngs))
    >>> check_workload(workload, data)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
      ...
    adaptive_jax.lab.workloads.downloads.DataError: mine: train has a target 2 at [0]...
    """
    if not isinstance(data, Data):
        raise DataError(f"{workload.name}: load must return Data, got {type(data).__name__}")
    for name, split in data._asdict().items():
        _check_split(f"{workload.name}: {name}", split, data.train)
    outputs = _check_functions(workload, data.train)
    if workload.loss is optax.softmax_cross_entropy_with_integer_labels:
        # JAX reads -1 as the last class, and returns a loss of NaN if a label is too large.
        classes = outputs.shape[-1]
        for name, split in data._asdict().items():
            valid = (split.targets >= 0) & (split.targets < classes)
            where = f"{workload.name}: {name} has a target"
            _check_all(where, split.targets, valid, f"labels are 0 to {classes - 1}")


def _check_split(name, split, train):
    if not isinstance(split, Split):
        raise DataError(f"{name} must be a Split, got {type(split).__name__}")
    for field, array in split._asdict().items():
        if not isinstance(array, (np.ndarray, jax.Array)) or not array.ndim:
            raise DataError(f"{name} must have an array as {field}, got {type(array).__name__}")
        if not (jnp.issubdtype(array.dtype, np.number) or array.dtype == bool):
            raise DataError(f"{name} must have a numeric dtype for {field}, got {array.dtype}")
    if not len(split.inputs) == len(split.targets) > 0:
        raise DataError(
            f"{name} must have at least one example, and as many inputs as targets, got "
            f"{len(split.inputs)} inputs and {len(split.targets)} targets"
        )
    for field, array, like in zip(split._fields, split, train, strict=True):
        if _type(array) != _type(like):
            raise DataError(f"{name} has {field} of {_type(array)}, but train has {_type(like)}")
    if jnp.issubdtype(split.inputs.dtype, jnp.inexact):  # a loss may ignore targets that are NaN
        finite = np.isfinite(np.asarray(split.inputs))
        _check_all(f"{name} has an input", split.inputs, finite, "inputs must be finite")


def _check_all(where, array, valid, rule):
    if not valid.all():
        at = tuple(np.argwhere(~np.asarray(valid))[0].tolist())
        raise DataError(f"{where} {array[at]} at {list(at)}: {rule}")


def _check_functions(workload, train):
    """Calls the model and the scores with an abstract batch, and returns the abstract outputs."""
    inputs, targets = (
        jax.ShapeDtypeStruct((_EXAMPLES, *x.shape[1:]), jax.dtypes.canonicalize_dtype(x.dtype))
        for x in train
    )
    failure = f"{workload.name}: the model fails for inputs of {_type(inputs)}"
    outputs = _call(failure, lambda x: workload.model(nnx.Rngs(0))(x), inputs)
    given = f"outputs of {jax.tree.map(_type, outputs)} and targets of {_type(targets)}"
    second_axes = {x.shape[1:2] for x in jax.tree.leaves((outputs, targets))}
    for name, function in workload.scores.items():
        failure = f"{workload.name}: {name} fails for {given}"
        values = _call(failure, function, outputs, targets)
        # Outputs (n, 1) and targets (n,) broadcast to (n, n) without an error.
        mixed = values.shape[1:2] == (_EXAMPLES,) and (_EXAMPLES,) not in second_axes
        if values.shape[:1] != (_EXAMPLES,) or mixed:
            raise ValueError(
                f"{workload.name}: {name} must return one value per example, an array of shape "
                f"(n,); got shape {values.shape} for n = {_EXAMPLES}, {given}"
            )
    return outputs


def _call(failure, function, *args):
    try:
        return jax.eval_shape(function, *args)
    except (TypeError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(f"{failure}: {reason}") from error


def _type(array):
    """Formats shape and dtype for messages, with n for the number of examples."""
    shape = ("n", *array.shape[1:])
    return f"{shape} {array.dtype}".replace("'", "")
