"""From records to findings: what counts, what is paired, and what differs significantly."""

import dataclasses
import math

import numpy as np
import pytest
from scipy import stats

from adaptive_jax.lab import statistics
from adaptive_jax.lab.analysis import analyze, summarize, tuning
from adaptive_jax.lab.analysis.scores import counted, epochs_to_target, normalized, score
from tests import synthetic

SGD = "sgd:momentum=0.9"
BASE = np.array([0.90, 0.92, 0.91, 0.94, 0.93])
NEAR = BASE + np.array([0.001, -0.002, 0.002, -0.001, 0.0005])
FAR = BASE - [0.010, 0.011, 0.009, 0.012, 0.008]


def made(scores, **settings):
    """Records of one workload."""
    return synthetic.records({("digits", label): s for label, s in scores.items()}, **settings)


def only(analysis):
    (workload,) = analysis.workloads
    return workload


def row_of(records, label):
    (row,) = [row for row in summarize(records) if row.optimizer == label]
    return row


def changed(records, condition, **changes):
    return [dataclasses.replace(r, **changes) if condition(r) else r for r in records]


# Rows


def test_a_row_says_what_was_measured():
    records = made({"adam": BASE, SGD: FAR}, tune=5)
    row = row_of(records, "adam")
    interval = stats.ttest_1samp(BASE, 0).confidence_interval()
    assert (row.mean, row.std) == pytest.approx((BASE.mean(), BASE.std(ddof=1)))
    assert (row.low, row.high) == pytest.approx(tuple(interval))
    assert row.learning_rate == 0.001 and row.tuning == "tuned" and row.trials == 5
    assert row.tuned_score == pytest.approx(BASE.mean())
    assert row.default_score == pytest.approx(BASE.mean() - 0.02)
    assert row.train == pytest.approx(BASE.mean())
    assert row.seconds == pytest.approx(160 * 200e-6)  # steps, each a gradient and an update
    assert row.test_loss == pytest.approx(synthetic.INITIAL_LOSS * (1 - BASE.mean()))
    for name in ("state_bytes_per_parameter", "update_microseconds", "gradient_microseconds"):
        assert getattr(row, name) == synthetic.COST[name]
    assert (row.update_low, row.update_high) == (39.0, 42.0)
    assert row.ids == tuple(
        record.id for record in records if (record.optimizer, record.phase) == ("adam", "final")
    )


def test_tuning_at_the_edge_and_given():
    records = made({"adam": BASE, "sgd:learning_rate=0.1": BASE}, tune=2)
    assert row_of(records, "adam").tuning == "tuned, at the edge"
    given = row_of(records, "sgd:learning_rate=0.1")
    assert given.tuning == "given" and given.trials == 0
    assert math.isnan(given.tuned_score) and math.isnan(given.default_score)


def test_a_single_run_has_no_interval_and_no_cost_is_no_number():
    records = changed(made({"adam": 0.9}, seeds=1), lambda run: True, cost=None)
    (row,) = summarize(records)
    assert np.isnan([row.low, row.high, row.std, row.update_microseconds, row.seconds]).all()


def test_a_diverged_run_counts_apart():
    records = made({"adam": BASE, SGD: FAR}, diverged={("digits", "adam"): [0]})
    row = row_of(records, "adam")
    assert (row.runs, row.diverged) == (5, 1)
    assert (row.mean, row.std) == pytest.approx((BASE[1:].mean(), BASE[1:].std(ddof=1)))
    assert row.with_diverged == pytest.approx((synthetic.CHANCE + BASE[1:].sum()) / 5)
    assert row.test_loss == pytest.approx(synthetic.INITIAL_LOSS * (1 - BASE[1:].mean()))
    wilson = statistics.wilson_interval(1, 5)
    assert (row.diverged_low, row.diverged_high) == (wilson.low, wilson.high)
    assert summarize(records)[0].optimizer == SGD


@pytest.mark.parametrize(
    ("diverged", "loss", "expected"),
    [
        (True, math.nan, 2.3),
        (True, math.inf, 2.3),
        (True, 50.0, 2.3),
        (True, 1.5, 1.5),
        (False, math.inf, 2.3),
        (False, 2.9, 2.9),  # it learned something else than the test set
    ],
)
def test_what_a_loss_counts(diverged, loss, expected):
    (run, *_) = made({"adam": 0.5}, losses=["digits"], tune=0)
    run = dataclasses.replace(run, diverged=diverged, final={**run.final, "test_loss": loss})
    assert counted(run, "test_loss") == expected
    assert score(run) == -expected
    assert normalized(run) == pytest.approx(1 - expected / 2.3)


def test_an_accuracy_that_is_not_finite_counts_as_none():
    (run, *_) = made({"adam": 0.5}, tune=0)
    assert normalized(run) == run.final["test_accuracy"]
    run = dataclasses.replace(run, final={**run.final, "test_accuracy": math.nan})
    assert counted(run, "test_accuracy") == 0.0


def with_curves(records, curves):
    """Final runs with these validation metrics, one list for each (optimizer, seed)."""
    name = f"validation_{records[0].metric}"
    return [
        dataclasses.replace(
            run,
            curve=[{**run.curve[0], name: value} for value in curves[run.optimizer, run.seed]],
            final={**run.final, name: curves[run.optimizer, run.seed][-1]},
            epochs=4,
            steps=40,
        )
        for run in records
        if run.phase == "final"
    ]


def test_steps_and_seconds_to_the_target():
    records = made({"adam": BASE[:3], "sgd": FAR[:3]}, targets={"digits": 0.8})
    curves = {
        ("adam", 0): [0.8, 0.9, 0.9, 0.9],
        ("adam", 1): [0.1, 0.2, 0.81, 0.7],
        ("adam", 2): [0.1, 0.9, 0.9, math.nan],
        ("sgd", 0): [0.9, 0.9, 0.9, 0.9],
        ("sgd", 1): [0.7, 0.7, 0.7, 0.79],
        ("sgd", 2): [0.7, math.nan, math.nan, math.nan],
    }
    records = with_curves(records, curves)
    assert [epochs_to_target(run, 0.8) for run in records] == [1, 3, 2, 1, math.inf, math.inf]
    adam, sgd = row_of(records, "adam"), row_of(records, "sgd")
    assert adam.steps_to_target == 20.0 and adam.seconds_to_target == pytest.approx(20 * 200e-6)
    assert (sgd.steps_to_target, sgd.seconds_to_target) == (math.inf, math.inf)
    assert only(analyze(records)).target == 0.8


@pytest.mark.parametrize(("losses", "target"), [([], 0.6), (["digits"], 0.7)])
def test_without_a_target_every_sound_optimizer_sets_one(losses, target):
    """The worst median among those that never diverged: the lower accuracy, the higher loss."""
    records = made(
        {"adam": BASE[:3], "sgd": FAR[:3], "lion": FAR[:3]},
        losses=losses,
        diverged={("digits", "lion"): [2]},
    )
    last = {"adam": [0.5, 0.7, 0.9], "sgd": [0.6, 0.6, 0.9], "lion": [0.1, 0.1, 0.1]}
    curves = {(o, seed): [v] * 4 for o, values in last.items() for seed, v in enumerate(values)}
    records = with_curves(records, curves)
    assert only(analyze(records)).target == pytest.approx(target)
    assert row_of(records, "adam").steps_to_target == 10.0


@pytest.mark.parametrize("seeds", range(1, 8))
@pytest.mark.parametrize("losses", [[], ["digits"]])
def test_the_target_is_reached_by_the_optimizer_that_defines_it(seeds, losses):
    """By more than half of its runs, for an even number of seeds as for an odd one."""
    ends = np.random.default_rng(seeds).permutation(seeds) / 10
    records = made({"adam": np.zeros(seeds), "sgd": np.zeros(seeds)}, losses=losses)
    start, adam, sgd = (3, 0, 1) if losses else (-1, 1, 0)
    curves = {("adam", seed): [start] * 3 + [adam + end] for seed, end in enumerate(ends)}
    curves |= {("sgd", seed): [start] * 3 + [sgd + end] for seed, end in enumerate(ends)}
    records = with_curves(records, curves)
    goal = only(analyze(records)).target
    reached = [epochs_to_target(r, goal) < math.inf for r in records if r.optimizer == "sgd"]
    assert sum(reached) > seeds / 2
    assert math.isfinite(row_of(records, "sgd").steps_to_target)
    assert math.isfinite(row_of(records, "adam").steps_to_target)


def test_seconds_are_of_each_optimizer_by_itself():
    """Their runs took equal shares of a group's time, of which nothing is said."""
    records = made({"adam": BASE, "sgd": FAR}, targets={"digits": 0.5})
    slow = {**synthetic.COST, "update_microseconds": 840.0}
    records = changed(records, lambda run: run.optimizer == "adam" and run.cost, cost=slow)
    adam, sgd = row_of(records, "adam"), row_of(records, "sgd")
    assert adam.seconds == pytest.approx(5 * sgd.seconds)
    ratio = adam.seconds_to_target / sgd.seconds_to_target
    assert ratio == pytest.approx(5 * adam.steps_to_target / sgd.steps_to_target)
    # What two sessions measured of the same gradient counts for all.
    other = {**synthetic.COST, "gradient_microseconds": 360.0}
    records = changed(records, lambda run: run.optimizer == "sgd" and run.cost, cost=other)
    assert row_of(records, "adam").gradient_microseconds == 260.0
    # Records of versions that measured no gradients have no seconds.
    without = {"state_bytes_per_parameter": 8.0, "update_microseconds": 40.0}
    records = changed(records, lambda run: run.cost, cost=without)
    assert math.isnan(row_of(records, "sgd").seconds)


# Differences


def test_differences_are_paired_tested_and_corrected():
    scores = {"adam": BASE, "adabound": NEAR, SGD: FAR}
    found = only(analyze(made(scores, tune=0))).differences
    # The best by mean first, whatever the order in the file.
    assert [(d.better, d.worse) for d in found] == [
        ("adabound", "adam"),
        ("adabound", SGD),
        ("adam", SGD),
    ]
    p = [stats.ttest_rel(scores[d.better], scores[d.worse]).pvalue for d in found]
    ranks = np.argsort(np.argsort(p))
    holm = np.maximum.accumulate(np.sort(p) * [3, 2, 1])[ranks]
    for difference, expected in zip(found, holm, strict=True):
        pair = scores[difference.better], scores[difference.worse]
        assert difference.p == pytest.approx(expected)
        assert difference.distinguishable == (expected < 0.05)
        assert difference.mean == pytest.approx(np.mean(pair[0] - pair[1]))
        assert (difference.low, difference.high) == pytest.approx(
            tuple(stats.ttest_rel(*pair).confidence_interval())
        )
        assert difference.improvement == statistics.probability_of_improvement(*pair)
        assert difference.seeds == 5


def test_a_lower_loss_is_better():
    records = made({"adam": BASE, "adabound": NEAR, SGD: FAR}, losses=["digits"])
    best, middle, worst = only(analyze(records)).differences
    assert (best.better, best.worse) == (SGD, "adam")
    assert best.mean == pytest.approx(0.01) and best.low < best.mean < best.high
    assert middle.mean > 0 and worst.mean >= 0


def test_equal_differences_of_one_example_are_no_certainty():
    step = 1 / synthetic.EXAMPLES["test"]
    same = {"adam": [0.9 + step] * 3, "sgd": [0.9] * 3}
    (difference,) = only(analyze(made(same))).differences
    assert not difference.distinguishable and difference.low < 0 < difference.high
    # A loss moves in no steps: where it does not vary there is no test.
    (loss,) = only(analyze(made(same, losses=["digits"], tune=0))).differences
    assert np.isnan([loss.p, loss.low, loss.wilcoxon_p]).all() and not loss.varies
    assert loss.mean == pytest.approx(step) and loss.distinguishable


def test_an_optimizer_is_rarely_told_from_itself():
    """A/A, from records to verdicts: four times the same, to whole test examples."""
    repeats, examples = 200, synthetic.EXAMPLES["test"]
    rng = np.random.default_rng(0)
    false = 0
    for _ in range(repeats):
        runs = 0.97 + 0.005 * (rng.normal(size=5) + rng.normal(size=(4, 5)))
        labels = ("adam", "adamw", "nadam", "radam")
        same = dict(zip(labels, np.round(runs * examples) / examples, strict=True))
        workload = only(analyze(made(same, tune=0, epochs=1)))
        told = any(difference.distinguishable for difference in workload.differences)
        assert ("beat" in workload.verdict) <= told
        false += told
    assert 0 < false / repeats <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / repeats)


def test_runs_are_paired_by_seed_and_not_by_place():
    records = made({"adam": BASE, "sgd": FAR})
    (before,) = only(analyze(records)).differences
    (after,) = only(analyze(records[::-1])).differences
    assert after == before


# What tuning missed, and several studies


def test_what_tuning_may_have_missed_is_part_of_the_interval():
    records = made({"adam": BASE, "sgd:learning_rate=0.1": FAR}, tune=5)
    (difference,) = only(analyze(records)).differences
    pair = [run for run in records if run.optimizer == "adam"]
    assert difference.tuning_error == tuning.shortfall(pair) > 0
    plain = stats.ttest_rel(BASE, FAR).confidence_interval()
    assert difference.low < plain.low and difference.high > plain.high
    (given,) = only(analyze(made({"adam": BASE, "sgd": FAR}, tune=0))).differences
    assert given.tuning_error == 0.0


def test_losses_miss_a_factor():
    """A curve of losses and one of a thousandth of them miss the same share."""
    scores = {"adam": [0.5, 0.55, 0.45], "sgd": [0.6, 0.6, 0.7]}
    records = [run for run in made(scores, losses=["digits"]) if run.optimizer == "adam"]
    small = [
        dataclasses.replace(run, final={name: value / 1000 for name, value in run.final.items()})
        for run in records
    ]
    assert tuning.shortfall(small) == pytest.approx(tuning.shortfall(records) / 1000)
    assert 0 < tuning.shortfall(records) < 0.5


def test_several_hyperparameters_have_a_shortfall():
    records = changed(
        made({"adam": BASE, "sgd": FAR}), lambda run: True, varied={"learning_rate": 1, "b1": 0.9}
    )
    records = [
        dataclasses.replace(run, varied={**run.varied, "b1": i / 1000})
        for i, run in enumerate(records)
    ]
    assert tuning.shortfall([run for run in records if run.optimizer == "adam"]) > 0


def studied(scores, shift=1.0):
    """Records of several studies: label -> one list of results for each of them."""
    made_of = [
        [
            dataclasses.replace(run, study=study, id=f"{study}{run.id}")
            for run in made({label: each[study] for label, each in scores.items()}, tune=3)
        ]
        for study in range(len(next(iter(scores.values()))))
    ]
    return [
        dataclasses.replace(run, varied={"learning_rate": shift**run.study * run.seed})
        if run.phase == "tune"
        else run
        for runs in made_of
        for run in runs
    ]


def test_the_study_is_the_unit_if_there_are_several():
    """Its runs share a tuning, so they are no independent evidence on the optimizers."""
    shifts = [0.02, -0.01, 0.03]
    scores = {"adam": [BASE + shift for shift in shifts], "sgd": [FAR] * 3}
    (difference,) = only(analyze(studied(scores, shift=2.0))).differences
    means = [np.mean(BASE + shift - FAR) for shift in shifts]
    expected = stats.ttest_1samp(means, 0)
    assert (difference.seeds, difference.studies, difference.units) == (15, 3, 3)
    assert difference.p == pytest.approx(expected.pvalue) and difference.tuning_error == 0.0
    assert (difference.low, difference.high) == pytest.approx(tuple(expected.confidence_interval()))
    assert not difference.distinguishable
    row = row_of(studied(scores, shift=2.0), "adam")
    low, high = stats.ttest_1samp([np.mean(BASE + s) for s in shifts], 0).confidence_interval()
    assert row.studies == 3 and (row.low, row.high) == pytest.approx((low, min(high, 1)))
    assert "(n = 3 studies)" in analyze(studied(scores)).verdict


def test_a_grid_that_all_studies_share_may_miss_the_same():
    records = studied({"adam": [BASE] * 3, "sgd": [FAR] * 3})
    (difference,) = only(analyze(records)).differences
    assert difference.tuning_error >= 0.0 and difference.studies == 3


# The smallest difference of interest, and runs that diverge


def test_the_smallest_difference_of_interest():
    records = made({"adam": BASE, "sgd": FAR}, tune=0)
    assert only(analyze(records)).min_effect == 1 / synthetic.EXAMPLES["test"]
    (difference,) = only(analyze(records)).differences
    assert difference.distinguishable and not difference.equal
    (difference,) = only(analyze(records, min_effect=0.02)).differences
    assert difference.equal and not difference.distinguishable
    losses = made({"adam": BASE, "sgd": FAR}, tune=0, losses=["digits"])
    assert only(analyze(losses)).min_effect == pytest.approx(FAR.mean() / 1000)
    for bad in (-0.1, math.inf, math.nan):
        with pytest.raises(ValueError, match="min_effect must be in"):
            analyze(records, min_effect=bad)


def test_a_pair_is_compared_where_neither_diverged():
    records = made({"adam": BASE, "sgd": FAR}, tune=0, diverged={("digits", "sgd"): [0, 3]})
    (difference,) = only(analyze(records)).differences
    kept = [1, 2, 4]
    expected = stats.ttest_rel(BASE[kept], FAR[kept])
    assert difference.seeds == 3 and difference.p == pytest.approx(expected.pvalue)
    fisher = stats.fisher_exact([[0, 5], [2, 3]]).pvalue
    assert difference.divergence_p == pytest.approx(fisher)
    chance = FAR.copy()
    chance[[0, 3]] = synthetic.CHANCE
    assert difference.with_diverged == pytest.approx(np.mean(BASE - chance))


def test_holm_leaves_out_counts_that_cannot_be_significant():
    """Only sgd diverged often enough; the pair of adam and lion does not count (Tarone)."""
    scores = {"adam": BASE, "lion": NEAR, "sgd": FAR}
    records = made(scores, tune=0, diverged={("digits", "sgd"): range(5)})
    found = {(d.better, d.worse): d for d in only(analyze(records)).differences}
    p = stats.fisher_exact([[0, 5], [5, 0]]).pvalue
    assert found["adam", "sgd"].divergence_p == pytest.approx(2 * p)
    assert found["lion", "adam"].divergence_p == 1.0


def test_steps_to_the_target_are_tested_with_those_that_miss_it():
    scores = {"adam": BASE[:4], "sgd": FAR[:4]}
    early, late = [0.1, 0.9, 0.9, 0.9], [0.1, 0.2, 0.3, 0.4]
    curves = {("adam", seed): early for seed in range(4)}
    curves |= {("sgd", seed): late for seed in range(4)}
    records = with_curves(made(scores, tune=0, targets={"digits": 0.5}), curves)
    workload = only(analyze(records))
    assert workload.differences[0].steps_p == pytest.approx(2 / 70)
    adam, sgd = row_of(records, "adam"), row_of(records, "sgd")
    assert adam.mean_reaches_target == 20.0 and sgd.mean_reaches_target == math.inf


# Interrupted comparisons


def test_only_tuning_runs():
    analysis = analyze([run for run in made({"adam": BASE}) if run.phase != "final"])
    workload = only(analysis)
    assert workload.summaries == () and workload.differences == () and math.isnan(workload.target)
    assert workload.seeds == 0 and analysis.verdict == "No optimizer has final runs yet."


def test_missing_seeds_are_left_out_of_their_pairs():
    records = made({"adam": BASE, "adabound": NEAR, SGD: FAR})
    cut = [run for run in records if not (run.optimizer == SGD and run.seed in (1, 3))]
    workload = only(analyze(cut))
    found = {(d.better, d.worse): d for d in workload.differences}
    pair = found["adam", SGD]
    assert pair.seeds == 3 and found["adabound", "adam"].seeds == 5
    assert pair.mean == pytest.approx(np.mean((BASE - FAR)[[0, 2, 4]]))
    assert workload.verdict.endswith("Seeds are missing: sgd momentum=0.9 has 3 of 5.")
    assert "(n = 3 to 5)" in workload.verdict


def test_the_better_of_a_pair_is_so_on_their_common_seeds():
    """The one with the higher mean over all its seeds loses where both have run."""
    high_elsewhere = [0.80, 0.81, 0.80, 0.99, 0.99]
    records = made({"adam": high_elsewhere, "sgd": [0.85, 0.86, 0.85]}, tune=0)
    workload = only(analyze(records))
    assert workload.summaries[0].optimizer == "adam"
    (difference,) = workload.differences
    assert (difference.better, difference.worse) == ("sgd", "adam")
    assert workload.verdict.startswith("sgd beats adam by 5.0 ± 0.3 points (n = 3).")


def test_no_seed_in_common():
    records = made({"adam": BASE[:2], "sgd": FAR[:2]})
    moved = [
        dataclasses.replace(run, seed=run.seed + 10) if run.optimizer == "sgd" else run
        for run in records
    ]
    workload = only(analyze(moved))
    assert workload.differences == () and "no two optimizers share two seeds" in workload.verdict


def test_no_records_of_a_comparison_are_an_error():
    single = changed(made({"adam": BASE}), lambda run: True, phase="train")
    for records in ([], single):
        with pytest.raises(ValueError, match="must hold a run of a comparison"):
            analyze(records)


# Several workloads


def several(workloads, **settings):
    means = {"adam": 0.95, "adabound": 0.949, "sgd": 0.8}
    scores = {(w, label): mean for w in workloads for label, mean in means.items()}
    return synthetic.records(scores, **settings)


def test_overall():
    records = several("abc", losses="b", noise=0.01)
    analysis = analyze(records)
    assert [each.workload for each in analysis.workloads] == ["a", "b", "c"]
    assert analysis.workloads[1].summaries[0].optimizer == "sgd"  # 0.8 is the lowest loss
    standings = {standing.optimizer: standing for standing in analysis.overall.standings}
    runs = [
        [r for r in records if (r.workload, r.optimizer, r.phase) == (w, "adam", "final")]
        for w in "abc"
    ]
    scales = [[normalized(run) for run in each] for each in runs]
    assert standings["adam"].score == statistics.interquartile_mean(scales)
    # sgd is worse on two workloads, better on one; adam and adabound mirror each other.
    assert standings["adam"].improvement["sgd"].estimate == pytest.approx(2 / 3)
    forth, back = standings["adam"].improvement["adabound"], standings["adabound"].improvement
    assert np.add(forth, [back["adam"][i] for i in (0, 2, 1)]) == pytest.approx(1)
    assert analysis.overall.profiles is None
    assert analysis.verdict.startswith("Over 3 workloads ")
    assert "Its probability of improvement is 0." in analysis.verdict


def test_profiles_from_four_workloads_on():
    analysis = analyze(several("abcd", targets=dict.fromkeys("abcd", 0.9)))
    taus, fractions = analysis.overall.profiles
    assert [standing.optimizer for standing in analysis.overall.standings][2] == "sgd"
    assert taus[0] == 1 and (fractions[:2] == 1).all() and (fractions[2] == 0).all()


def test_overall_needs_an_optimizer_that_ran_everywhere():
    records = several("ab")
    some = [run for run in records if not (run.workload == "b" and run.optimizer == "sgd")]
    labels = [standing.optimizer for standing in analyze(some).overall.standings]
    assert sorted(labels) == ["adabound", "adam"]
    none = [run for run in records if run.workload == "a" or run.phase != "final"]
    analysis = analyze(none)
    assert analysis.overall is None
    assert analysis.verdict == "No optimizer has final runs on all 2 workloads yet."


def test_one_seed_on_each_workload_has_no_intervals():
    analysis = analyze(several("ab", seeds=1, noise=0))
    assert analysis.verdict == (
        "Over 2 workloads adam has the highest interquartile mean score, 0.950. Its probability of "
        "improvement is 1.00 over adabound and 1.00 over sgd."
    )
