"""Data, model and loss that do not fit one another end in one line, before anything is compiled."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from adaptive_jax.lab import compare
from adaptive_jax.lab.training import RunConfig, train
from adaptive_jax.lab.workloads import Data, DataError, Split
from adaptive_jax.lab.workloads.checks import check_workload
from tests.test_training import SMALL, load

pytestmark = pytest.mark.relaxed


def altered(name, **fields):
    """Loads data of which one split has other inputs or targets."""

    def load_altered(data_dir):
        data = load(data_dir)
        old = getattr(data, name)._asdict()
        new = {field: change(np.array(old[field])) for field, change in fields.items()}
        return data._replace(**{name: Split(**old | new)})

    return {"load": load_altered}


def with_first(value):
    def change(array):
        array.flat[0] = value
        return array

    return change


BINARY = {
    "load": lambda data_dir: Data(
        *(Split(x, y.astype(np.float32)) for x, y in load(data_dir)),
    ),
    "model": lambda rngs: nnx.Linear(5, 1, rngs=rngs),
    "loss": optax.sigmoid_binary_cross_entropy,
}


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"load": lambda data_dir: None}, DataError, "load must return Data, got NoneType"),
        (
            {"load": lambda data_dir: Data(*map(tuple, load(data_dir)))},
            DataError,
            "train must be a Split or a Stream, got tuple",
        ),
        (
            altered("train", inputs=list),
            DataError,
            "train must have an array as inputs, or a dict or a tuple of arrays, got list",
        ),
        (
            altered("test", targets=lambda y: y.astype(str)),
            DataError,
            "test must have a numeric dtype for targets, got <U",
        ),
        (
            altered("validation", targets=lambda y: y[:3]),
            DataError,
            "at least one example, and as many inputs as targets, got 20 inputs and 3 targets",
        ),
        (
            altered("test", inputs=lambda x: x[:0], targets=lambda y: y[:0]),
            DataError,
            "at least one example, and as many inputs as targets, got 0 inputs and 0 targets",
        ),
        (
            altered("test", inputs=lambda x: x[:, :4]),
            DataError,
            "test has inputs of (n, 4) float32, but train has (n, 5) float32",
        ),
        (
            altered("train", inputs=with_first(np.nan)),
            DataError,
            "train has an input nan at [0, 0]: inputs must be finite",
        ),
        (
            altered("validation", targets=with_first(2)),
            DataError,
            "validation has a target 2 at [0]: labels are 0 to 1",
        ),
        (altered("test", targets=with_first(-1)), DataError, "test has a target -1 at [0]"),
        (
            {"model": lambda rngs: nnx.Linear(7, 2, rngs=rngs)},
            ValueError,
            "the model fails for inputs of (n, 5) float32: dot_general requires",
        ),
        (
            {"loss": optax.softmax_cross_entropy},
            ValueError,
            "loss fails for outputs of (n, 2) float32 and targets of (n,) int32: ",
        ),
        (
            {"loss": lambda outputs, targets: jnp.mean(outputs)},
            ValueError,
            "loss must return one value per example, an array of shape (n,); got shape ()",
        ),
        (
            BINARY,
            ValueError,
            "an array of shape (n,); got shape (7, 7) for n = 7, outputs of (n, 1)",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else getattr(value, "__name__", ""),
)
def test_unsound_workloads_are_refused_in_one_line(changes, error, message):
    unsound = dataclasses.replace(SMALL, **changes)
    with pytest.raises(error, match=r"^small: ") as refused:
        train(RunConfig(unsound, "adam"))
    assert message in str(refused.value) and "\n" not in str(refused.value)


def test_unsound_workloads_are_not_compared():
    unsound = dataclasses.replace(SMALL, **altered("train", targets=with_first(2)))
    with pytest.raises(DataError, match="small: train has a target 2 at"):
        compare(unsound, ["adam", "sgd"])


def test_targets_that_a_loss_leaves_out_may_be_nan():
    def loss(outputs, targets):
        return jnp.where(jnp.isnan(targets), 0.0, jnp.square(outputs[:, 0] - targets))

    data = Data(*(Split(x, np.where(y == 0, np.nan, 1.0)) for x, y in load(None)))
    check_workload(dataclasses.replace(SMALL, loss=loss, accuracy=None, metric="loss"), data)
