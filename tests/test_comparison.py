"""The comparison: a fair protocol, resumable, the same to the last bit when it is run again."""

import dataclasses
import inspect
import json
import math
import sys
import types

import jax
import numpy as np
import optax
import pytest

import adaptive_jax as aj
from adaptive_jax import registry
from adaptive_jax.lab import CompareConfig, analyze, compare, results, run_comparison
from adaptive_jax.lab.analysis import summarize
from adaptive_jax.lab.comparison import cost
from adaptive_jax.lab.comparison.budget import Budget, final_seeds, tuning_seeds
from adaptive_jax.lab.comparison.search import Search, Trial, best_trial, trials_of
from adaptive_jax.lab.training import Callback, Member, OptimizerSpec, Population, records
from adaptive_jax.lab.workloads import registry as registry_of_workloads
from adaptive_jax.lab.workloads.noisy_quadratic import best_learning_rate, expected_loss
from tests.test_training import SMALL

pytestmark = pytest.mark.relaxed

OPTIMIZERS = ("sgd:momentum=0.9", "adam", "adam:learning_rate=0.02,b1=0.8")


class Count(Callback):
    """How many epochs were planned, and how many were made."""

    def __init__(self):
        self.planned, self.made = 0, 0

    def on_plan(self, workload, epochs):
        self.planned += epochs

    def on_epoch(self, epoch):
        self.made += len(epoch.members)


def test_compare_has_the_options_of_the_config(monkeypatch):
    """The same names, defaults and types; it passes each of them on."""
    fields = {field.name: field for field in dataclasses.fields(CompareConfig)}
    parameters = inspect.signature(compare).parameters
    assert list(parameters) == [*fields, "out", "callback"]
    for name in fields.keys() - {"workloads"}:
        assert parameters[name].default == fields[name].default, name
        assert parameters[name].annotation == fields[name].type, name
    assert CompareConfig(parameters["workloads"].default) == CompareConfig()
    options = {"budget": "full", "trials": 3, "extra_trials": 0, "tuning_seeds": 2, "seeds": 4}
    options |= {"epochs": 5, "search": "random", "schedule": "linear", "seed": 7, "width": 2}
    options |= {"data_dir": "folder", "max_memory": 1.5, "studies": 2, "min_effect": 0.1}
    options |= {"join": "runs.jsonl"}
    assert options.keys() == fields.keys() - {"workloads", "optimizers"}
    monkeypatch.setattr(results, "run_comparison", lambda *arguments: arguments)
    config, out, callback = compare("digits_mlp", "adam", **options, out="there", callback=Count())
    assert config == CompareConfig("digits_mlp", "adam", **options)
    assert out == "there" and isinstance(callback, Count)
    with pytest.raises(TypeError, match="unexpected keyword argument 'trails'"):
        compare("digits_mlp", trails=3)


def timeless(record):
    """A record without the times, which no two runs have in common."""
    return dataclasses.replace(record, train_seconds=0, compile_seconds=0, cost=None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("comparison")


@pytest.fixture(scope="module")
def config():
    return CompareConfig(SMALL, OPTIMIZERS, trials=3, extra_trials=2, seeds=2, epochs=2, seed=7)


@pytest.fixture(scope="module")
def runs(config, folder):
    count = Count()
    made = run_comparison(config, folder, count).records
    assert count.planned == count.made == 2 * len(made)
    return made


def test_the_protocol(runs):
    tuning = [run for run in runs if run.phase in ("tune", "default")]
    default = [run for run in runs if run.phase == "default"]
    final = [run for run in runs if run.phase == "final"]
    assert len(default) == 4 and len(final) == 6
    # Tuning: as many settings for all, seeds of its own, no look at the test set.
    for label, spec in (("sgd:momentum=0.9", "sgd"), ("adam", "adam")):
        mine = [run for run in tuning if run.optimizer == label]
        rates = list(dict.fromkeys(run.varied["learning_rate"] for run in mine))
        low, high = registry.get(spec).search["learning_rate"]
        assert len(rates) == 6 and rates[0] == registry.get(spec).defaults["learning_rate"]
        np.testing.assert_allclose(rates[2] / rates[1], math.sqrt(high / low), rtol=1e-3)
        assert {run.seed for run in mine} == set(tuning_seeds(7, 0, 2))
        # Final runs: the best rate is one that was tried, or between those that were.
        (rate,) = {run.varied["learning_rate"] for run in final if run.optimizer == label}
        best = best_trial(trials_of(mine)).setting["learning_rate"]
        tried = sorted(rates)
        near = [
            r for r in tried if tried.index(best) - 1 <= tried.index(r) <= tried.index(best) + 1
        ]
        assert near[0] <= rate <= near[-1]
    assert {run.seed for run in tuning}.isdisjoint(run.seed for run in final)
    assert not any(name.startswith("test") for run in tuning for name in run.final)
    # Final runs: the same seeds for all.
    seeds = {
        run.optimizer: [r.seed for r in final if r.optimizer == run.optimizer] for run in final
    }
    assert list(seeds.values()) == [list(final_seeds(7, 0, 2))] * 3
    assert {r.hyperparameters["learning_rate"] for r in final if "b1" in r.optimizer} == {0.02}
    # Paired: the first mini-batch is lost on equally, whatever the optimizer.
    losses = {run.seed: set() for run in final}
    for run in final:
        losses[run.seed].add(round(run.initial_loss, 5))
    assert all(len(values) == 1 for values in losses.values())


def test_records_tell_what_an_optimizer_costs_and_how_fast_coordinates_go(runs):
    final = {run.optimizer: run for run in runs if run.phase == "final"}
    bytes_each = {label: run.cost["state_bytes_per_parameter"] for label, run in final.items()}
    assert bytes_each["sgd:momentum=0.9"] == pytest.approx(4, abs=0.1)
    assert bytes_each["adam"] == pytest.approx(8, abs=0.2)
    assert final["sgd:momentum=0.9"].rates is None
    for counts in final["adam"].rates:
        assert sum(counts) == final["adam"].parameters
    assert len({tuple(counts) for counts in final["adam"].rates}) == 2  # they change


def test_seconds_are_of_each_optimizer_s_own_steps(monkeypatch):
    """A line search's gradients, which are measured with it, are taken off."""
    spec = OptimizerSpec.parse
    optimizers = [spec("sgd:learning_rate=0.1"), spec("muon:learning_rate=0.01")]

    def search(learning_rate=0.1):
        return optax.chain(optax.sgd(learning_rate), optax.scale_by_backtracking_linesearch(4))

    def in_turns(calls):
        for call in calls:
            jax.block_until_ready(call())
        updates = [cost._UPDATES * 2e-5, cost._UPDATES * 1e-4, cost._SEARCHES * (1e-3 + 5e-4)]
        return np.array([[1e-3, *updates]] * 3)

    monkeypatch.setattr(cost, "_in_turns", in_turns)
    monkeypatch.setattr(cost, "_count", lambda call: 1)
    result = compare(SMALL, [*optimizers, search], trials=1, seeds=2, epochs=1)
    rows = {row["optimizer"].partition(":")[0]: row for row in result.table()}
    for name, microseconds in (("sgd", 20), ("muon", 100), ("search", 500)):
        row = rows[name]
        assert row["update_microseconds"] == pytest.approx(microseconds)
        assert row["gradient_microseconds"] == pytest.approx(1000)
        assert row["update_low"] <= row["update_microseconds"] <= row["update_high"]
        step = row["gradient_microseconds"] + row["update_microseconds"]
        assert row["seconds"] == pytest.approx(4 * step / 1e6)
        assert row["seconds_to_target"] == pytest.approx(row["steps_to_target"] * step / 1e6)


def test_records_on_disk_are_the_runs(runs, folder):
    assert list(records.read(folder / "runs.jsonl")) == runs
    assert len({run.id for run in runs}) == len(runs)


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


def test_an_optimizer_is_rarely_told_from_itself_and_a_bad_one_is():
    """A/A on real runs: 60 comparisons of four times Adam, each with fresh seeds.

    A comparison in which any pair differs significantly is a false verdict, and 5% are allowed. The
    same runs next to runs with a hundredth of the learning rate show that differences are found.
    """
    comparisons, seeds = 60, 5
    options = {"epochs": 4, "schedule": "cosine", "width": 100, "devices": jax.devices()[:1]}
    population = Population(SMALL, SMALL.load(None), **options)
    adam = OptimizerSpec("adam")
    count = comparisons * 4 * seeds
    members = [Member(adam, s, {"learning_rate": 0.1}, "final") for s in range(count)]
    members += [Member(adam, s, {"learning_rate": 1e-3}, "final") for s in range(100)]
    runs = [records.make_record(population, history) for history in population.run(members)]

    def tells_apart(*optimizers):
        """Whether it does any of these lists of runs, which get the same names and seeds."""
        named = [
            dataclasses.replace(run, optimizer=label, seed=i)
            for label, runs in zip("abcd", optimizers, strict=False)
            for i, run in enumerate(runs)
        ]
        (workload,) = analyze(named).workloads
        return any(difference.distinguishable for difference in workload.differences)

    parts = [runs[start : start + seeds] for start in range(0, len(runs), seeds)]
    good, bad = parts[: 4 * comparisons], parts[4 * comparisons :]
    false = sum(tells_apart(*good[i : i + 4]) for i in range(0, len(good), 4))
    assert false <= 0.05 * comparisons + 3 * math.sqrt(0.05 * 0.95 * comparisons)
    found = sum(tells_apart(*pair) for pair in zip(good, bad, strict=False))
    assert found >= 18 and len(bad) == 20


def test_the_same_config_gives_the_same_numbers(config, runs, tmp_path, folder):
    again = json.loads((folder / "config.json").read_text())
    assert again["seed"] == 7 and again["workloads"] == ["small"]
    same = CompareConfig.from_json((folder / "config.json").read_text(), workloads=SMALL)
    assert same == config
    repeated = run_comparison(same).records
    assert [timeless(run) for run in repeated] == [timeless(run) for run in runs]


def test_finished_runs_are_not_run_again(config, runs, folder, tmp_path):
    """From whatever point a kill has left, the rest gives what an undisturbed run gives."""
    lines = (folder / "runs.jsonl").read_text().splitlines(keepends=True)
    for kept, cut in ((0, 0), (4, 9), (len(lines) - 6, 0), (len(lines) - 4, 30), (len(lines), 0)):
        out = tmp_path / str(kept)
        out.mkdir()
        (out / "config.json").write_text((folder / "config.json").read_text())
        part = lines[kept][:cut] if cut else ""
        (out / "runs.jsonl").write_text("".join(lines[:kept]) + part)
        count = Count()
        resumed = run_comparison(config, out, count).records
        assert [timeless(run) for run in resumed] == [timeless(run) for run in runs]
        assert count.planned == 2 * (len(lines) - kept)
        assert list(records.read(out / "runs.jsonl")) == resumed
    with pytest.raises(ValueError, match="holds a comparison with another config"):
        run_comparison(dataclasses.replace(config, seed=8), out)


def test_several_workloads_and_others_optimizers():
    other = dataclasses.replace(SMALL, name="other", accuracy=None, metric="loss")

    def mine(learning_rate=0.05):
        return optax.chain(optax.trace(0.9), optax.scale(-learning_rate))

    optimizers = ("optax.sgd:learning_rate=0.1", mine)
    config = CompareConfig((SMALL, other), optimizers, trials=1, seeds=1, epochs=1)
    assert config.tuned(SMALL) == []
    runs = run_comparison(config).records
    assert [(r.workload, r.optimizer, r.phase) for r in runs] == [
        (w, label, "final") for w in ("small", "other") for label in (optimizers[0], "mine")
    ]
    assert [r.hyperparameters["learning_rate"] for r in runs] == [0.1, 0.05] * 2
    assert set(runs[-1].final) == {"train_loss", "validation_loss", "test_loss"}


def test_what_may_be_given_as_an_optimizer():
    entry = registry.Optimizer("mine", optax.sgd, search={"learning_rate": (0.1, 1.0)})
    config = CompareConfig(SMALL, (optax.adam, aj.adam, "optax.sgd", entry, OptimizerSpec("lion")))
    labels = [spec.label for spec in config.specs(SMALL)]
    assert labels == ["optax.adam", "adam", "optax.sgd", "mine", "lion"]
    assert config.specs(SMALL)[3].search == {"learning_rate": (0.1, 1.0, "log")}


def test_methods_with_a_schedule_of_their_own_keep_their_rate():
    """A constant schedule changes nothing for them, and they are evaluated at their average."""
    optimizers = tuple(
        f"{name}:learning_rate=0.05" for name in ("schedule_free_sgd", "asgd", "sgd")
    )
    cosine, constant = (
        compare(SMALL, optimizers, seeds=1, epochs=3, schedule=schedule).records
        for schedule in ("cosine", "constant")
    )
    same = [a.final == b.final for a, b in zip(cosine, constant, strict=True)]
    assert same == [True, True, False]
    for run in cosine[:2]:  # what was trained, and what is evaluated
        assert run.final["train_loss"] != pytest.approx(run.curve[-1]["train_loss"], rel=1e-4)


def trial(run, rate, accuracy, loss, diverged=False, seed=0):
    final = {"validation_accuracy": accuracy, "validation_loss": loss}
    varied = {"learning_rate": rate}
    return dataclasses.replace(run, final=final, diverged=diverged, varied=varied, seed=seed)


def test_tuning_prefers_accuracy_then_loss_and_never_divergence(runs):
    run = runs[0]

    def best(*trials):
        records = [trial(run, *values, seed=seed) for seed, values in enumerate(trials)]
        return best_trial(trials_of(records)).setting["learning_rate"]

    assert best((1, 0.9, 1.0), (2, 0.95, 2.0), (3, 0.8, 0.1)) == 2
    assert best((1, 0.9, 1.0), (2, 0.9, 2.0), (3, 0.9, 0.5)) == 3
    assert best((1, 0.1, 9.0), (2, 0.99, 0.1, True), (3, 0.05, math.nan)) == 1
    # The mean over tuning seeds counts.
    assert best((1, 0.8, 1.0), (2, 0.9, 1.0), (1, 0.9, 1.0), (2, 0.5, 1.0)) == 1
    lossy = [dataclasses.replace(trial(run, r, 0, x), metric="loss") for r, x in ((1, 2), (2, 1))]
    assert best_trial(trials_of(lossy)).setting == {"learning_rate": 2}


def budget(trials=5, extra_trials=4):
    return Budget(trials, extra_trials, tuning_seeds=1, seeds=2, epochs=1)


def search(optimizer, kind="grid", names=("learning_rate",), seed=0, study=0, **counts):
    spec = OptimizerSpec.of(optimizer)
    return Search(spec, names, budget(**counts), kind, seed, study)


def tuned(searched, score):
    """The settings that a search tries where a setting has this score, and its winner."""
    trials, new = [], searched.first()
    while new:
        trials += [Trial(setting, score(setting), 0.0, False, 1) for setting in new]
        new = searched.more(trials)
    return [t.setting for t in trials], searched.best(trials)


def parabola(best):
    return lambda setting: -((math.log10(setting["learning_rate"]) - math.log10(best)) ** 2)


@pytest.mark.parametrize("best", [1e-7, 2e-4, 1e-3, 0.0123, 0.2, 3.0, 500.0])
@pytest.mark.parametrize("optimizer", ["adam", "sgd", "optax.adam", "lion:weight_decay=0.1"])
def test_equal_means_equal_wherever_the_best_rate_is(optimizer, best):
    """The default, the grid and the refinement: as many settings for all, and near the best."""
    tried, winner = tuned(search(optimizer), parabola(best))
    rates = [setting["learning_rate"] for setting in tried]
    assert len(set(rates)) == len(rates) == 5 + 4 + 1
    if min(rates) < best < max(rates):
        nearest = min(abs(math.log10(rate / best)) for rate in rates)
        assert abs(math.log10(winner["learning_rate"] / best)) <= nearest + 0.01
    none, _ = tuned(search(optimizer, extra_trials=0), parabola(best))
    assert len(none) == 6


def test_the_same_optimizer_in_other_units_gets_the_same_rate():
    """The winner is that of the curve, not of the grid, to a few percent; a grid's is off by 2."""
    noise = np.random.default_rng(0)
    winners, points = [], []
    for units in np.geomspace(1, 10**0.75, 9)[:-1]:

        def adam(learning_rate):
            return optax.adam(learning_rate)

        spec = OptimizerSpec(
            registry.Optimizer("adam", adam, search={"learning_rate": (1e-4, 0.1)})
        )

        def score(setting, units=units):
            return parabola(0.01)({"learning_rate": setting["learning_rate"] * units}) + (
                0.003 * noise.normal()
            )

        tried, winner = tuned(search(spec), score)
        winners.append(winner["learning_rate"] * units)
        points.append(max(tried[:5], key=score)["learning_rate"] * units)
    assert np.abs(np.log(winners) - np.log(0.01)).max() < 0.25
    assert np.abs(np.log(points) - np.log(0.01)).max() > 0.7


def test_a_parabola_is_asked_only_where_it_has_a_top():
    grid = search("optax.adam", trials=5, extra_trials=0)
    rates = np.geomspace(1e-4, 1e-1, 5)

    def best(scores, rates=rates, diverged=()):
        trials = [
            Trial({"learning_rate": float(r)}, s, 0.0, i in diverged, 1)
            for i, (r, s) in enumerate(zip(rates, scores, strict=True))
        ]
        return grid.best(trials)["learning_rate"]

    assert best([0.1, 0.5, 0.9, 0.5, 0.1]) == pytest.approx(1e-2 / math.sqrt(10), rel=1e-3)
    close = np.geomspace(1e-3, 2e-3, 5)
    assert best([0.1, 0.1, 0.2, 0.9, 0.9], close) in close  # bends upwards
    assert best([0.1, 0.4, 0.5, 0.5, 0.4], close) not in close
    assert best([0.1, 0.4, 0.5, 0.5, 0.4], close, diverged=range(5)) in close
    assert best([0.3] * 5, close) == close[0]


def test_random_search_has_the_same_luck_for_all():
    names = ("learning_rate", "b1", "momentum")
    for kind in ("random", "sobol"):
        adam = search("adam:b1=0.8..0.99", kind, names, seed=3, trials=60)
        tried = adam.first()[1:]
        rates = np.array([values["learning_rate"] for values in tried])
        assert rates.min() > 1e-4 and rates.max() < 1e-1
        assert np.median(np.log10(rates)) == pytest.approx(-2.5, abs=0.3)
        kept = 1 - np.array([values["b1"] for values in tried])
        assert kept.min() > 0.01 and kept.max() < 0.2
        assert np.median(kept) == pytest.approx(math.sqrt(0.01 * 0.2), rel=0.5)
        sgd = search("sgd:momentum=0.8..0.99", kind, names, seed=3, trials=60).first()
        plain = search("sgd", kind, names, seed=3, trials=60).first()[1:]
        count = min(len(tried), len(sgd), len(plain))
        for others in (sgd[:count], plain[:count]):
            shares = np.log10([values["learning_rate"] for values in others]) + 3
            np.testing.assert_allclose(shares, np.log10(rates[:count]) + 4, atol=1e-3)


def test_sobol_refines_around_the_best_of_several_hyperparameters():
    names = ("learning_rate", "weight_decay")
    errors = []
    for seed in range(20):
        adamw = search("adamw", "sobol", names, seed=seed, trials=10, extra_trials=8)

        def score(setting):
            rate, decay = (math.log10(setting[name]) for name in names)
            return 99 - (rate + 2) ** 2 - 0.3 * (decay + 1) ** 2

        tried, winner = tuned(adamw, score)
        assert len(tried) == 10 + 8 + 1
        errors.append(
            [math.log10(winner["learning_rate"]) + 2, math.log10(winner["weight_decay"]) + 1]
        )
    assert np.median(np.abs(errors), axis=0).max() < 0.001


def test_choices_and_whole_numbers_are_searched_and_held():
    spec = "muon:nesterov=true|false,ns_steps=int:3..6,learning_rate=1e-3..1e-1"
    names = ("learning_rate", "ns_steps", "nesterov", "weight_decay")
    muon = search(spec, "sobol", names, trials=16, extra_trials=8)
    tried, winner = tuned(muon, lambda s: s["ns_steps"] - 5 * s["nesterov"] - s["learning_rate"])
    assert {setting["ns_steps"] for setting in tried} == {3, 4, 5, 6}
    assert winner["ns_steps"] == 6 and winner["nesterov"] is False
    assert all(type(setting["ns_steps"]) is int for setting in tried)
    # Few different settings: the search ends when all of them were tried.
    few = search("sgd:learning_rate=0.1,momentum=0|0.5|0.9", names=("momentum",))
    tried, winner = tuned(few, lambda setting: setting["momentum"])
    assert [s["momentum"] for s in tried] == [0.0, 0.5, 0.9] and winner == {"momentum": 0.9}


def test_seeds_and_points_follow_from_seed_and_study():
    everything = [(seed, study) for seed in range(40) for study in range(10)]
    finals = [set(final_seeds(*where, 1000)) for where in everything]
    tuning = [set(tuning_seeds(*where, 1000)) for where in everything]
    assert list(final_seeds(0, 0, 3)) == [0, 1, 2]
    assert len(set().union(*finals, *tuning)) == 2 * 1000 * len(everything)
    assert max(map(max, tuning)) < 2**31 and final_seeds(2**31 - 1, 999, 10**6)[-1] < 2**30 <= min(
        map(min, tuning)
    )
    grids = {
        str(search("adam", kind, seed=seed, study=study).first())
        for seed, study in everything
        for kind in ("grid", "sobol", "random")
    }
    assert len(grids) == 3 * len(everything)
    for seed in range(5):
        rates = [values["learning_rate"] for values in search("adam", seed=seed).first()[1:]]
        spacing = 10**0.75
        assert rates[0] >= 1e-4 / math.sqrt(spacing) and rates[-1] <= 1e-1 * math.sqrt(spacing)
        np.testing.assert_allclose(np.divide(rates[1:], rates[:-1]), spacing, rtol=1e-3)


def test_the_tuned_rate_is_the_one_that_theory_names():
    """On a noisy quadratic the best learning rate of SGD is known: the grid's nearest is found."""
    spec = "sgd:learning_rate=1e-3..10"
    result = compare("noisy_quadratic", [spec], trials=9, tuning_seeds=3, seeds=2)
    (rate,) = {run.varied["learning_rate"] for run in result.records if run.phase == "final"}
    spacing = 10 ** (4 / 8)
    assert abs(math.log(rate / best_learning_rate())) <= math.log(spacing)
    finals = [run.final["test_loss"] for run in result.records if run.phase == "final"]
    assert np.mean(finals) == pytest.approx(expected_loss(rate), rel=1)
    tried = [run for run in result.records if run.phase == "tune"]
    assert any(run.diverged for run in tried) and len(tried) == 3 * (9 + 4)


def test_a_search_over_several_hyperparameters_runs():
    """Traced ones, whole numbers, words and choices, in two studies; all are in the results."""
    optimizers = {
        "mine": "adamw:b1=0.8..0.99,mask=ndim2",
        "theirs": optax.sgd,
        "muons": "muon:learning_rate=.01,weight_decay=0|0.1,ns_steps=int:4..5,nesterov=true|false",
        "built": optax.sgd(0.05),
    }
    options = {"trials": 3, "extra_trials": 1, "tuning_seeds": 1, "seeds": 2, "studies": 2}
    result = compare("noisy_quadratic", optimizers, **options)
    rows = result.trials
    assert [sum(row["optimizer"] == label for row in rows) for label in optimizers] == [
        10,
        10,
        10,
        0,
    ]
    names = ["b1", "learning_rate", "weight_decay"]
    assert all(names == sorted({*names} & {*row}) for row in rows if row["optimizer"] == "mine")
    defaults = [row["optimizer"] for row in rows if row["phase"] == "default"]
    assert sorted(defaults) == ["mine"] * 2 + ["muons"] * 2
    best = result.best
    assert list(best) == [row["optimizer"] for row in result.table()]
    assert {label: sorted(values) for label, values in best.items()} == {
        "mine": names,
        "theirs": ["learning_rate"],
        "muons": ["nesterov", "ns_steps", "weight_decay"],
        "built": [],
    }
    assert type(best["muons"]["ns_steps"]) is int and type(best["muons"]["nesterov"]) is bool
    finals = [run for run in result.records if run.phase == "final"]
    assert len({run.id for run in result.records}) == len(result.records)
    for label in optimizers:
        seeds = [(run.study, run.seed) for run in finals if run.optimizer == label]
        assert seeds == [(0, 0), (0, 1), *((1, seed) for seed in final_seeds(0, 1, 2))]
    studies = {run.study: run.varied for run in finals if run.optimizer == "mine"}
    assert studies[0] != studies[1] and best["mine"] in studies.values()
    for run in finals:
        assert run.hyperparameters.items() >= run.varied.items()
    assert result.table()[0]["tuned"] == next(iter(best.values()))


@pytest.mark.parametrize("name", registry.OPTIMIZERS)
def test_grids_are_equally_wide(name):
    low, high = OptimizerSpec(name).search["learning_rate"][:2]
    assert high / low == pytest.approx(1000)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    compare("noisy_quadratic", "sgd", **JOINED, out=folder)
    return folder


JOINED = {"trials": 3, "extra_trials": 2, "seeds": 2, "tuning_seeds": 1}


def test_published_results_are_joined_without_being_run_again(published, tmp_path):
    count, path = Count(), published / "runs.jsonl"
    theirs = records.read(path)
    config = CompareConfig("noisy_quadratic", "sign_sgd", **JOINED, join=str(path))
    result = run_comparison(config, tmp_path, count)
    assert count.made == 8  # six settings and two final runs of the new one
    assert [row["optimizer"] for row in result.table()].count("sgd") == 1
    assert len(result.analysis.workloads[0].differences) == 1
    assert records.read(tmp_path / "runs.jsonl")[: len(theirs)] == theirs
    again = Count()
    assert run_comparison(config, tmp_path, again).records == result.records
    assert again.made == 0
    assert compare("noisy_quadratic", "sign_sgd", **JOINED, join=str(published)).best.keys() == (
        {"sgd", "sign_sgd"}
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimizers": "sgd"}, "has sgd already: leave it out, or give it another label"),
        ({"workloads": SMALL}, "has no runs of small that could join"),
        ({"epochs": 2}, "sgd of .* cannot join: its epochs is 1, and here 2"),
        ({"schedule": "cosine"}, "its schedule is constant, and here cosine"),
        ({"seeds": 3}, "its final seeds are 0 to 1, and here 0 to 2"),
        ({"seed": 1}, "its final seeds are 0 to 1, and here"),
        ({"studies": 2}, "it has 1 studies, and here are 2|its final seeds are none"),
        ({"tuning_seeds": 2}, "its tuning seeds are not"),
        ({"trials": 4}, "it tried 6 settings, and here each optimizer tries 7"),
        ({"join": "/no/such/file"}, "cannot read /no/such/file, which is to be joined"),
    ],
)
def test_results_of_another_protocol_are_not_joined(published, changes, message):
    path = str(published / "runs.jsonl")
    options = {"workloads": "noisy_quadratic", "optimizers": "sign_sgd", **JOINED, "join": path}
    with pytest.raises(records.FolderError, match=message):
        compare(**{**options, **changes})


def test_results_of_other_data_are_not_joined(published):
    workload = registry_of_workloads.get("noisy_quadratic")

    def load(data_dir):
        data = workload.load(data_dir)
        return data._replace(train=data.train._replace(inputs=2 * data.train.inputs))

    other = dataclasses.replace(workload, load=load)
    with pytest.raises(records.FolderError, match=r"its data is [0-9a-f]{12}, and here"):
        compare(other, "sign_sgd", **JOINED, join=str(published / "runs.jsonl"))


def test_a_folder_of_an_older_protocol_is_not_resumed(tmp_path):
    config = CompareConfig("noisy_quadratic", "sgd:learning_rate=0.1")
    old = {**json.loads(config.to_json()), "format": 1}
    (tmp_path / "config.json").write_text(json.dumps(old))
    with pytest.raises(ValueError, match="by an older version, with another protocol"):
        run_comparison(config, tmp_path)


def test_a_table_for_pandas(monkeypatch):
    result = compare("noisy_quadratic", "sgd:learning_rate=0.1", seeds=2)
    with pytest.raises(ValueError, match="what must be 'results' or 'trials', got 'runs'"):
        result.to_pandas("runs")
    made = types.SimpleNamespace(DataFrame=lambda rows: rows)
    monkeypatch.setitem(sys.modules, "pandas", made)
    assert result.to_pandas() == result.table() and result.to_pandas("trials") == []
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ModuleNotFoundError, match="pip install pandas"):
        result.to_pandas()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"workloads": "mnist_cn"}, "did you mean 'mnist_cnn'"),
        ({"workloads": ("digits_mlp", "digits_mlp")}, "workload 'digits_mlp' is listed twice"),
        ({"optimizers": ("adam", "adam")}, "optimizer 'adam' is listed twice"),
        ({"optimizers": ("adabund",)}, "did you mean 'adabound'"),
        ({"trials": 0}, "trials must be a whole number of at least 1"),
        ({"seeds": -2}, "seeds must be a whole number of at least 1"),
        ({"studies": 0}, "studies must be a whole number of at least 1"),
        ({"min_effect": -1}, "min_effect must be in"),
        ({"join": ""}, "join must be a path, got ''"),
        ({"schedule": "step"}, "no schedule 'step'"),
        ({"budget": "huge"}, "budget must be 'quick' or 'default' or 'full', got 'huge'"),
        ({"search": "bayes"}, "search must be 'grid' or 'sobol' or 'random', got 'bayes'"),
        ({"optimizers": "adam,sgd"}, "has a comma where a space belongs: write adam sgd"),
        ({"optimizers": "adam:b1=0.8,sgd"}, "has a comma where a space belongs, before 'sgd'"),
        ({"workloads": "mnist1d,digits_cnn"}, "has a comma where a space belongs"),
        ({"workloads": "no_such:module"}, "no module 'no_such'"),
        ({"workloads": "optax:adam"}, "'optax:adam' must be a Workload"),
        ({"optimizers": "no_such:tx"}, "no module 'no_such', of 'no_such:tx'"),
        ({"optimizers": "adabond:tx"}, "As an optimizer, did you mean 'adabound'"),
        ({"optimizers": "optax:adamm"}, "'optax' has no 'adamm': did you mean 'adam"),
        ({"optimizers": {"": "adam"}}, "label of an optimizer must not be empty"),
        ({"optimizers": {"a\nb": "adam"}}, "must be text of one line"),
        ({"optimizers": {}}, "optimizers must be a list, or a dict of labels"),
        ({"optimizers": {"mine": 3}}, "an optimizer must be a name"),
        ({"optimizers": "torch.Adm"}, "no optimizer 'torch.Adm': did you mean 'Adam'"),
        ({"optimizers": "<lambda>"}, "that text cannot hold: pass the optimizers again"),
        ({"max_memory": 0}, "max_memory must be in \\(0, inf\\), got 0"),
        ({"extra_trials": -1}, "extra_trials must be a whole number of at least 0"),
        ({"optimizers": "adamw", "search": "grid"}, "and a grid is for one hyperparameter"),
        ({"optimizers": ("adam:b1=0.9..0.8",)}, "range of b1 must be low..high"),
        ({"optimizers": ("adam:b1=0.9..1.5",)}, "b1 must be in"),
        ({"optimizers": ("optax.adamm",)}, "did you mean 'optax.adam"),
        ({"optimizers": ("optax.adam",), "trials": 1}, "has no default learning rate"),
        ({"optimizers": (lambda r: None,)}, "the factory must take an argument learning_rate"),
        ({"optimizers": (lambda lr: None,)}, "must return a transformation with init and update"),
    ],
)
def test_bad_configurations_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        CompareConfig(**arguments)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "the config is no JSON"),
        ("[" * 10**5, "the config is no JSON"),
        ('{"format": true}', "must be a JSON object with its format"),
        ('{"format": 0}', "must be a JSON object with its format"),
        ('{"format": 1, "workloads": []}', "workloads must have at least one"),
        ("[1]", "must be a JSON object with its format"),
        ('{"format": 99}', "has format 99, this version reads up to 2"),
        ('{"format": 1, "trails": 3}', "unknown 'trails': did you mean 'trials'"),
        ('{"format": 1, "seeds": "many"}', "seeds must be a whole number"),
    ],
)
def test_bad_config_files_are_refused(text, message):
    with pytest.raises(ValueError, match=message):
        CompareConfig.from_json(text)


HUGE = 10**400
ODD = (None, True, False, -1, 2.5, 10**19, HUGE, math.nan, math.inf, "", "x", "5", "a\0b", "\ud800")
ODD += ([], [[]], [None], [5], ["x"], {}, {"a": 1}, [{"a": 1}], ["sgd", "sgd"], ["optax."])
ODD += (["adam:b1"], ["adam:b1=nan"], ["adam:learning_rate=1..inf"], [f"adam:b1={HUGE}"])
ODD += (["adam:b1=" + "(" * 10**5], ["adam:b1=" + "-" * 10**5 + "1"], ["adam:b1=1..2..3"])
OPTIONAL = ("trials", "extra_trials", "tuning_seeds", "seeds", "epochs", "schedule", "width")
OPTIONAL += ("search",)
ACCEPTED = {
    **{name: [None] for name in OPTIONAL},
    "optimizers": [[]],
    "data_dir": [None, "x", "5", "\ud800"],
    "join": [None, "x", "5", "\ud800"],
    "min_effect": [None, 2.5, 10**19],
    "max_memory": [None, 2.5, 10**19],
}


@pytest.mark.parametrize("field", ["format", *ACCEPTED, "workloads", "budget", "studies", "seed"])
def test_every_field_of_a_config_file_is_checked(field):
    """A value is accepted, and then comes back the same, or refused with a ValueError."""
    good = json.loads(CompareConfig("digits_mlp", ("sgd", "adam")).to_json())
    accepted = []
    for value in ODD:
        try:
            config = CompareConfig.from_json(json.dumps({**good, field: value}))
        except ValueError as error:
            assert str(error)
        else:
            accepted.append(value)
            assert CompareConfig.from_json(config.to_json()) == config
    assert accepted == ACCEPTED.get(field, [])


def test_one_optimizer_needs_no_list():
    assert CompareConfig("digits_mlp", "sgd") == CompareConfig(["digits_mlp"], ["sgd"])
    with pytest.raises(ValueError, match="workloads must have at least one"):
        CompareConfig([])
    with pytest.raises(ValueError, match="trials must be at most 1000000, got 9999999999999999999"):
        CompareConfig(trials=9999999999999999999)
