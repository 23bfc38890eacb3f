"""Checks that data, model and loss fit together, where JAX reports an error late or never."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from adaptive_jax.lab.workloads.downloads import DataError
from adaptive_jax.lab.workloads.models import as_model
from adaptive_jax.lab.workloads.workload import Data, Split, Stream, Workload, class_accuracy

_EXAMPLES = 7  # batch size of the abstract batch; other axes seldom have this size
_CHECKED = 2**22  # numbers that are checked at once


def check_workload(workload: Workload, data: Data) -> None:
    """Raises an error if a workload cannot be trained on the data. Only shapes are computed.

    Args:
      workload: the workload. Its model, loss and accuracy are called once with abstract arrays.
      data: the data that its `load` returned.

    Raises:
      DataError: a split has no examples, has inputs and targets of different lengths, differs
        from the training split in shapes or dtypes, has a dtype that is not numeric, has inputs
        that are not finite, or has labels outside the model's classes.
      ValueError: the model fails for the inputs or returns a state of another structure, the loss
        or the accuracy does not return one value per example, or the default accuracy would judge
        targets that are no integers.

    >>> from flax import nnx
    >>> data = Data(*3 * [Split(np.ones((8, 4), np.float32), np.full(8, 2))])
    >>> workload = Workload("mine", None, lambda rngs: nnx.Linear(4, 2, rngs=rngs))
    >>> check_workload(workload, data)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
      ...
    adaptive_jax.lab.workloads.downloads.DataError: mine: train has a target 2 at [0]...
    """
    if not isinstance(data, Data):
        raise DataError(f"{workload.name}: load must return Data, got {type(data).__name__}")
    splits = {
        name: _examples(f"{workload.name}: {name}", each) for name, each in data._asdict().items()
    }
    for name, split in splits.items():
        _check_split(f"{workload.name}: {name}", split, splits["train"])
    outputs = _check_functions(workload, splits["train"])
    if workload.loss is optax.softmax_cross_entropy_with_integer_labels:
        # JAX reads -1 as the last class, and returns a loss of NaN if a label is too large.
        classes = outputs.shape[-1]
        for name, split in splits.items():
            valid = (split.targets >= 0) & (split.targets < classes)
            where = f"{workload.name}: {name} has a target"
            _check_all(where, split.targets, valid, f"labels are 0 to {classes - 1}")


def canonical(array) -> jax.ShapeDtypeStruct:
    """Returns the shape that an array has on the devices, and its dtype there."""
    return jax.ShapeDtypeStruct(array.shape, jax.dtypes.canonicalize_dtype(array.dtype))


def _examples(name, split):
    """Returns the examples to check: of a stream its first batch."""
    if not isinstance(split, Stream):
        return split
    for batch in split.batches(0, 0):
        return Split.of(batch)
    raise DataError(f"{name} is a stream without batches")


def _check_split(name, split, train):
    if not isinstance(split, Split):
        raise DataError(f"{name} must be a Split or a Stream, got {type(split).__name__}")
    for field, tree in split._asdict().items():
        # A list is refused as a container: most likely it is one of examples.
        for array in jax.tree.leaves(tree, is_leaf=lambda x: isinstance(x, list)) or [tree]:
            if not isinstance(array, (np.ndarray, jax.Array)) or not array.ndim:
                raise DataError(
                    f"{name} must have an array as {field}, or a dict or a tuple of arrays, got "
                    f"{type(array).__name__}"
                )
            if not (jnp.issubdtype(array.dtype, np.number) or array.dtype == bool):
                raise DataError(f"{name} must have a numeric dtype for {field}, got {array.dtype}")
    counts = [{len(x) for x in jax.tree.leaves(tree)} for tree in split]
    if counts[0] != counts[1] or len(counts[0]) > 1 or 0 in counts[0]:
        inputs, targets = (" or ".join(map(str, sorted(count))) for count in counts)
        raise DataError(
            f"{name} must have at least one example, and as many inputs as targets, got "
            f"{inputs} inputs and {targets} targets"
        )
    for field, tree, like in zip(split._fields, split, train, strict=True):
        if _type(tree) != _type(like):
            raise DataError(f"{name} has {field} of {_type(tree)}, but train has {_type(like)}")
    for array in jax.tree.leaves(split.inputs):  # a loss may ignore targets that are NaN
        if jnp.issubdtype(array.dtype, jnp.inexact):
            _check_finite(name, array)


def _check_finite(name, array):
    step = max(1, _CHECKED // max(1, array[:1].size))  # a memory-mapped array is read in parts
    for start in range(0, len(array), step):
        part = np.asarray(array[start : start + step])
        if not (finite := np.isfinite(part)).all():
            _check_all(f"{name} has an input", part, finite, "inputs must be finite", start)


def _check_all(where, array, valid, rule, start=0):
    if not valid.all():
        at = tuple(np.argwhere(~np.asarray(valid))[0].tolist())
        raise DataError(f"{where} {array[at]} at {[start + at[0], *at[1:]]}: {rule}")


def _check_functions(workload, train):
    """Calls the model and the scores with an abstract batch, and returns the abstract outputs."""
    inputs, targets = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct((_EXAMPLES, *x.shape[1:]), canonical(x).dtype), tuple(train)
    )
    failure = f"{workload.name}: the model fails for inputs of {_type(inputs)}"
    model = _call(failure, lambda: as_model(workload.model, inputs))
    params, state = _call(failure, lambda: jax.eval_shape(model.init, jax.random.key(0)))
    if workload.augment is not None:
        augmented = _call(
            f"{workload.name}: augment fails for inputs of {_type(inputs)}",
            lambda: jax.eval_shape(workload.augment, inputs, jax.random.key(0)),
        )
        if _type(augmented) != _type(inputs):
            raise ValueError(
                f"{workload.name}: augment must return inputs of {_type(inputs)}, as it gets; got "
                f"{_type(augmented)}"
            )

    def apply(params, state, inputs, key):
        return model.apply(params, state, inputs, key, True)

    made = _call(failure, lambda: jax.eval_shape(apply, params, state, inputs, jax.random.key(0)))
    outputs, new = made
    if _structure(new) != _structure(state):
        raise ValueError(
            f"{workload.name}: the model must return a state of the structure, shapes and dtypes "
            f"that init returns, {_structure(state)}; got {_structure(new)}"
        )
    given = f"outputs of {_type(outputs)} and targets of {_type(targets)}"
    second_axes = {x.shape[1:2] for x in jax.tree.leaves((outputs, targets))}
    for name, function in workload.scores.items():
        floating = any(jnp.issubdtype(x.dtype, jnp.inexact) for x in jax.tree.leaves(targets))
        if function is class_accuracy and floating:
            raise ValueError(
                f"{workload.name}: the default accuracy compares the largest output with integer "
                f"labels, but targets are {_type(targets)}: set accuracy=None and metric='loss', "
                "or an accuracy for such targets"
            )
        failure = f"{workload.name}: {name} fails for {given}"
        values = _call(failure, lambda f=function: jax.eval_shape(f, outputs, targets))
        # Outputs (n, 1) and targets (n,) broadcast to (n, n) without an error.
        mixed = values.shape[1:2] == (_EXAMPLES,) and (_EXAMPLES,) not in second_axes
        if values.shape[:1] != (_EXAMPLES,) or mixed:
            raise ValueError(
                f"{workload.name}: {name} must return one value per example, an array of shape "
                f"(n,); got shape {values.shape} for n = {_EXAMPLES}, {given}"
            )
    return outputs


def _call(failure, function):
    try:
        return function()
    except (TypeError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(f"{failure}: {reason}") from error


def _structure(tree):
    return jax.tree.structure(tree), [(x.shape, x.dtype) for x in jax.tree.leaves(tree)]


def _type(tree):
    """Formats shapes and dtypes for messages, with n for the number of examples."""
    if isinstance(tree, (np.ndarray, jax.Array, jax.ShapeDtypeStruct)):
        shape = ("n", *tree.shape[1:])
        return f"{shape} {tree.dtype}".replace("'", "")
    return str(jax.tree.map(_type, tree)).replace("'", "")
