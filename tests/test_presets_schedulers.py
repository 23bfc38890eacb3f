"""The schedulers of PyTorch and the schedules of Keras, against recorded numbers."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptive_jax.presets.torch import lr_scheduler

FOLDER = Path(__file__).parent / "reference"
RECORDED = json.loads((FOLDER / "torch.json").read_text())
OWN_RATE = {"CyclicLR", "OneCycleLR", "SequentialLR", "ChainedScheduler"}


def build(name, arguments, **changed):
    """Our scheduler from what torch's was given."""
    arguments = {
        key: eval(value) if isinstance(value, str) and value.startswith("lambda") else value
        for key, value in arguments.items()
    }
    if "schedulers" in arguments:
        arguments["schedulers"] = [build(*part) for part in arguments["schedulers"]]
    base = {} if name in OWN_RATE else {"lr": RECORDED["lr"]}
    return getattr(lr_scheduler, name)(**{**base, **arguments, **changed})


def label(case):
    parts = case["arguments"].get("schedulers", [])
    return "-".join([case["name"], *(part[0] for part in parts)])


every_case = pytest.mark.parametrize("case", RECORDED["schedulers"], ids=label)


def values(schedule, counts):
    return jax.jit(jax.vmap(schedule))(jnp.asarray(counts, jnp.int32))


@every_case
def test_schedulers_equal_torch(case):
    counts = np.arange(len(case["lr"]))
    with jax.enable_x64(True):
        schedule = build(case["name"], case["arguments"])
        rates = values(schedule, counts)
        assert rates.dtype == jnp.float64
        np.testing.assert_allclose(rates, case["lr"], rtol=1e-12, atol=1e-14)
        if "momentum" in case:
            np.testing.assert_allclose(values(schedule.momentum, counts), case["momentum"], 1e-12)
    single = values(build(case["name"], case["arguments"]), counts)
    np.testing.assert_allclose(single, case["lr"], rtol=2e-6, atol=1e-7 * max(case["lr"]))
