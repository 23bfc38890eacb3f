"""The comparison: a fair protocol, a true summary."""

import dataclasses
import itertools
import math

import pytest

from adaptive_jax.comparison import CompareConfig, compare, summarize
from adaptive_jax.comparison.compare import best_learning_rates, learning_rates
from adaptive_jax.optimizers import registry
from adaptive_jax.training import OptimizerSpec, records
from tests.test_training import SMALL

pytestmark = pytest.mark.relaxed


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("comparison")


@pytest.fixture(scope="module")
def runs(folder):
    optimizers = ("sgd:momentum=0.9", "adam", "adam:learning_rate=0.02,b1=0.8")
    config = CompareConfig(SMALL, optimizers, trials=3, seeds=2, epochs=2, seed=7)
    epochs = []
    made = compare(config, folder, epochs.append)
    assert sum(epochs) == config.epochs_in_all == (2 * 3 + 3 * 2) * 2
    return made


def test_the_protocol(runs):
    tuning = [run for run in runs if run.phase == "tune"]
    final = [run for run in runs if run.phase == "final"]
    assert len(tuning) == 6 and len(final) == 6
    # Tuning: equal grids, a seed of its own, no look at the test set.
    for label, spec in (("sgd:momentum=0.9", "sgd"), ("adam", "adam")):
        rates = [run.hyperparameters["learning_rate"] for run in tuning if run.optimizer == label]
        low, high = registry.get(spec).search["learning_rate"]
        assert rates[0] == pytest.approx(low) and rates[-1] == pytest.approx(high)
    assert {run.seed for run in tuning}.isdisjoint(run.seed for run in final)
    assert not any(name.startswith("test") for run in tuning for name in run.final)
    # Final runs: the same seeds for all, each optimizer at its best or given rate.
    best = best_learning_rates(tuning)
    for run in final:
        assert run.hyperparameters["learning_rate"] == best.get(run.optimizer, 0.02)
    seeds = {
        run.optimizer: [r.seed for r in final if r.optimizer == run.optimizer] for run in final
    }
    assert list(seeds.values()) == [[7, 8]] * 3
    # Paired: the first mini-batch is lost on equally, whatever the optimizer.
    losses = {run.seed: set() for run in final}
    for run in final:
        losses[run.seed].add(round(run.initial_loss, 5))
    assert all(len(values) == 1 for values in losses.values())


def test_records_on_disk_are_the_runs(runs, folder):
    assert list(records.read(folder / "runs.jsonl")) == runs


def test_summary(runs):
    rows = summarize(runs)
    assert [row.mean for row in rows] == sorted((row.mean for row in rows), reverse=True)
    row = next(row for row in rows if row.optimizer == "adam")
    mine = [
        run.final["test_accuracy"]
        for run in runs
        if (run.optimizer, run.phase) == ("adam", "final")
    ]
    assert row.mean == pytest.approx(sum(mine) / 2)
    assert row.std == pytest.approx(abs(mine[0] - mine[1]) / math.sqrt(2))
    assert row.tuning.startswith("tuned")
    given = next(row for row in rows if "b1" in row.optimizer)
    assert given.tuning == "given"


def test_tuning_prefers_accuracy_then_loss_and_never_divergence(runs):
    tuning = [run for run in runs if run.phase == "tune" and run.optimizer == "adam"]

    def trial(run, accuracy, loss, diverged=False):
        final = {"validation_accuracy": accuracy, "validation_loss": loss}
        return dataclasses.replace(run, final=final, diverged=diverged)

    a, b, c = tuning
    rates = [run.hyperparameters["learning_rate"] for run in tuning]
    best = lambda *trials: best_learning_rates(list(trials))["adam"]  # noqa: E731
    assert best(trial(a, 0.9, 1.0), trial(b, 0.95, 2.0), trial(c, 0.8, 0.1)) == rates[1]
    assert best(trial(a, 0.9, 1.0), trial(b, 0.9, 2.0), trial(c, 0.9, 0.5)) == rates[2]
    assert best(trial(a, 0.1, 9.0), trial(b, 0.99, 0.1, True), trial(c, 0.05, math.nan)) == rates[0]


def test_untuned_and_single():
    config = CompareConfig(SMALL, ("sgd", "adam"), trials=1, seeds=1, epochs=1)
    assert config.tuned == []
    runs = compare(config)
    assert [run.phase for run in runs] == ["final", "final"]
    assert [run.hyperparameters["learning_rate"] for run in runs] == [0.01, 0.001]


@pytest.mark.parametrize("name", registry.OPTIMIZERS)
def test_grids_are_equally_wide(name):
    grid = learning_rates(OptimizerSpec(name), 7)
    ratios = [b / a for a, b in itertools.pairwise(grid)]
    assert ratios == pytest.approx([10**0.5] * 6, rel=1e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"workload": "mnist"}, "did you mean 'mnist_cnn'"),
        ({"optimizers": ("adam", "adam")}, "optimizer 'adam' is listed twice"),
        ({"optimizers": ("adabund",)}, "did you mean 'adabound'"),
        ({"trials": 0}, "trials must be a whole number of at least 1"),
        ({"seeds": -2}, "seeds must be a whole number of at least 1"),
        ({"seed": 999_999, "seeds": 5}, "seed \\+ seeds must be at most"),
        ({"schedule": "step"}, "no schedule 'step'"),
    ],
)
def test_bad_configurations_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        CompareConfig(**arguments)
