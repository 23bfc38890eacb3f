"""The comparison: a fair protocol, resumable, the same to the last bit when it is run again."""

import dataclasses
import inspect
import itertools
import json
import math

import jax
import numpy as np
import optax
import pytest

import adaptive_jax as aj
from adaptive_jax import registry
from adaptive_jax.lab import CompareConfig, analyze, compare, results, run_comparison
from adaptive_jax.lab.analysis import summarize
from adaptive_jax.lab.comparison import cost
from adaptive_jax.lab.comparison.search import best_settings, beyond_the_edge, settings
from adaptive_jax.lab.training import Callback, Member, OptimizerSpec, Population, records
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
    options |= {"data_dir": "folder", "max_memory": 1.5}
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
    return CompareConfig(SMALL, OPTIMIZERS, trials=3, seeds=2, epochs=2, seed=7)


@pytest.fixture(scope="module")
def runs(config, folder):
    count = Count()
    made = run_comparison(config, folder, count).records
    assert count.planned == count.made == 2 * len(made)
    return made


def test_the_protocol(runs):
    tuning = [run for run in runs if run.phase == "tune"]
    default = [run for run in runs if run.phase == "default"]
    final = [run for run in runs if run.phase == "final"]
    assert len(default) == 2 and len(final) == 6
    # Tuning: equal grids, a seed of its own, no look at the test set.
    for label, spec in (("sgd:momentum=0.9", "sgd"), ("adam", "adam")):
        rates = [run.varied["learning_rate"] for run in tuning if run.optimizer == label]
        low, high = registry.get(spec).search["learning_rate"]
        assert rates[0] == pytest.approx(low) and rates[2] == pytest.approx(high)
        assert len(rates) in (3, 5, 7)  # beyond the edge, two at a time
    unseen = [*tuning, *default]
    assert {run.seed for run in unseen}.isdisjoint(run.seed for run in final)
    assert not any(name.startswith("test") for run in unseen for name in run.final)
    assert [run.varied for run in default] == [{"learning_rate": 0.01}, {"learning_rate": 0.001}]
    # Final runs: the same seeds for all, each optimizer at its best or given rate.
    for run in final:
        mine = [trial for trial in tuning if trial.optimizer == run.optimizer]
        best = best_settings(mine)["learning_rate"] if mine else 0.02
        assert run.hyperparameters["learning_rate"] == best
    seeds = {
        run.optimizer: [r.seed for r in final if r.optimizer == run.optimizer] for run in final
    }
    assert list(seeds.values()) == [[7, 8]] * 3
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
    assert config.specs(SMALL)[3].search == {"learning_rate": (0.1, 1.0)}


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
        assert run.final["train_loss"] != pytest.approx(run.curve[-1]["train_loss"], rel=1e-3)


def trial(run, rate, accuracy, loss, diverged=False, seed=0):
    final = {"validation_accuracy": accuracy, "validation_loss": loss}
    varied = {"learning_rate": rate}
    return dataclasses.replace(run, final=final, diverged=diverged, varied=varied, seed=seed)


def test_tuning_prefers_accuracy_then_loss_and_never_divergence(runs):
    run = runs[0]

    def best(*trials):
        return best_settings([trial(run, *values) for values in trials])["learning_rate"]

    assert best((1, 0.9, 1.0), (2, 0.95, 2.0), (3, 0.8, 0.1)) == 2
    assert best((1, 0.9, 1.0), (2, 0.9, 2.0), (3, 0.9, 0.5)) == 3
    assert best((1, 0.1, 9.0), (2, 0.99, 0.1, True), (3, 0.05, math.nan)) == 1
    # The mean over tuning seeds counts.
    assert best((1, 0.8, 1.0), (2, 0.9, 1.0), (1, 0.9, 1.0), (2, 0.5, 1.0)) == 1
    lossy = [dataclasses.replace(trial(run, r, 0, x), metric="loss") for r, x in ((1, 2), (2, 1))]
    assert best_settings(lossy) == {"learning_rate": 2}


def test_an_optimum_at_the_edge_extends_the_grid(monkeypatch):
    """SGD on this workload wants a far larger rate than the range that it is given."""
    spec = "sgd:learning_rate=1e-5..1e-3"
    result = compare(SMALL, [spec], trials=3, seeds=1, epochs=2, extra_trials=2)
    rates = [run.varied["learning_rate"] for run in result.records if run.phase == "tune"]
    assert rates == pytest.approx([1e-5, 1e-4, 1e-3, 1e-2, 1e-1])
    none = compare(SMALL, [spec], trials=3, seeds=1, epochs=2, extra_trials=0)
    assert sum(run.phase == "tune" for run in none.records) == 3


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
    assert any(run.diverged for run in tried) and len(tried) == 27


def test_beyond_the_edge():
    assert beyond_the_edge([0.1, 0.001, 0.01], 0.001, 2) == pytest.approx([1e-4, 1e-5])
    assert beyond_the_edge([1, 2, 4], 4, 1) == [8]
    assert beyond_the_edge([1, 2, 4], 4, 0) == beyond_the_edge([1], 1, 2) == []


def test_random_search_has_the_same_luck_for_all():
    adam = OptimizerSpec.parse("adam:b1=0.8..0.99")
    tried = settings(adam, 500, "random", seed=3)
    rates = np.array([values["learning_rate"] for values in tried])
    assert rates.min() > 1e-4 and rates.max() < 1e-1
    assert np.median(np.log10(rates)) == pytest.approx(-2.5, abs=0.2)
    kept = 1 - np.array([values["b1"] for values in tried])
    assert kept.min() > 0.01 and kept.max() < 0.2
    assert np.median(kept) == pytest.approx(math.sqrt(0.01 * 0.2), rel=0.2)
    other = settings(OptimizerSpec.parse("sgd:momentum=0.8..0.99"), 500, "random", seed=3)
    shares = np.log10([v["learning_rate"] for v in other]) + 3
    np.testing.assert_allclose(shares, np.log10(rates) + 4, atol=1e-3)


def test_a_random_search_runs():
    optimizers = ["adam:b1=0.8..0.99", "optax.sgd"]
    result = compare(SMALL, optimizers, search="random", trials=3, seeds=1, epochs=1)
    tuning = [run for run in result.records if run.phase == "tune"]
    assert [sorted(run.varied) for run in tuning] == [["b1", "learning_rate"]] * 3 + [
        ["learning_rate"]
    ] * 3
    defaults = [run.optimizer for run in result.records if run.phase == "default"]
    assert defaults == ["adam:b1=0.8..0.99"]  # Optax's rate has none
    (final,) = [r for r in result.records if r.phase == "final" and "adam" in r.optimizer]
    assert final.varied in [run.varied for run in tuning]


@pytest.mark.parametrize("name", registry.OPTIMIZERS)
def test_grids_are_equally_wide(name):
    grid = [values["learning_rate"] for values in settings(OptimizerSpec(name), 7, "grid", 0)]
    ratios = [b / a for a, b in itertools.pairwise(grid)]
    assert ratios == pytest.approx([10**0.5] * 6, rel=1e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"workloads": "mnist_cn"}, "did you mean 'mnist_cnn'"),
        ({"workloads": ("digits_mlp", "digits_mlp")}, "workload 'digits_mlp' is listed twice"),
        ({"optimizers": ("adam", "adam")}, "optimizer 'adam' is listed twice"),
        ({"optimizers": ("adabund",)}, "did you mean 'adabound'"),
        ({"trials": 0}, "trials must be a whole number of at least 1"),
        ({"seeds": -2}, "seeds must be a whole number of at least 1"),
        ({"seed": 999_999, "seeds": 5}, "seed \\+ seeds must be at most"),
        ({"schedule": "step"}, "no schedule 'step'"),
        ({"budget": "huge"}, "budget must be 'quick' or 'default' or 'full', got 'huge'"),
        ({"search": "bayes"}, "search must be 'grid' or 'random'"),
        ({"max_memory": 0}, "max_memory must be in \\(0, inf\\), got 0"),
        ({"extra_trials": -1}, "extra_trials must be a whole number of at least 0"),
        ({"optimizers": ("adam:b1=0.8..0.9",)}, "a grid tunes the learning rate alone"),
        ({"optimizers": ("adam:b1=0.9..0.8",)}, "range of b1 must be low..high"),
        ({"optimizers": ("adam:b1=0.9..1.5",)}, "b1 must be in"),
        ({"optimizers": ("optax.adamm",)}, "did you mean 'optax.adam"),
        ({"optimizers": ("optax.adam",), "trials": 1}, "has no default learning rate"),
        ({"optimizers": (lambda lr: None,)}, "the factory must take an argument learning_rate"),
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
        ('{"format": 99}', "has format 99, this version reads up to 1"),
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
ACCEPTED = {
    **{name: [None] for name in OPTIONAL},
    "optimizers": [[]],
    "data_dir": [None, "x", "5", "\ud800"],
    "max_memory": [None, 2.5, 10**19],
}


@pytest.mark.parametrize("field", ["format", *ACCEPTED, "workloads", "budget", "search", "seed"])
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
