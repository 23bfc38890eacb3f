"""The statistics: known answers, brute force, and what the intervals and tests really hold."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from adaptive_jax.lab import statistics

# Student's "sleep" data (1908): extra hours of sleep of ten patients under two drugs.
SLEEP_1 = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
SLEEP_2 = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]


def tolerance(share, repeats):
    """Three standard deviations of a share counted in so many repeats."""
    return 3 * math.sqrt(share * (1 - share) / repeats)


def held(interval, truth=0.0):
    return np.mean((interval.low <= truth) & (truth <= interval.high))


# One sample, and pairs


def test_the_paired_t_test_of_students_sleep_data():
    """t = 4.0621 at 9 degrees of freedom, p = 0.002833, interval 0.7001 to 2.4599."""
    interval = statistics.paired_t_interval(SLEEP_2, SLEEP_1)
    np.testing.assert_allclose(interval, (1.58, 0.7001142, 2.4598858), atol=1e-7)
    p = statistics.paired_t_test(SLEEP_2, SLEEP_1)
    assert p == pytest.approx(0.00283289, abs=1e-8)
    assert p == pytest.approx(stats.ttest_rel(SLEEP_2, SLEEP_1).pvalue, rel=1e-12)


def test_the_t_interval_is_scipys():
    ours = statistics.t_interval(SLEEP_1)
    scipys = stats.ttest_1samp(SLEEP_1, 0.0).confidence_interval()
    np.testing.assert_allclose(ours[1:], scipys, rtol=1e-12)


def test_interval_and_test_agree_and_take_batches():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.8, 1.0, (200, 4)), rng.normal(size=(200, 4))
    interval = statistics.paired_t_interval(a, b, 0.5)
    p = statistics.paired_t_test(a, b, 0.5)
    np.testing.assert_array_equal(p < 0.05, (interval.low > 0) | (interval.high < 0))
    assert 0 < np.sum(p < 0.05) < 200
    for row in (0, 199):
        alone = statistics.paired_t_interval(a[row], b[row], 0.5)
        np.testing.assert_allclose(alone, [part[row] for part in interval], rtol=1e-12)


def test_a_resolution_keeps_equal_differences_from_being_certain():
    step = 1 / 325
    a, b = [320 * step] * 3, [319 * step] * 3
    assert statistics.paired_t_test(a, b, step) == pytest.approx(
        2 * stats.t.sf(math.sqrt(3) * math.sqrt(6), 2)  # mean 1 step, deviation 1/√6 of one
    )
    assert statistics.paired_t_test(a, b, step) > 0.05
    assert statistics.t_interval(a, step).low < a[0] < statistics.t_interval(a, step).high
    # Where the runs vary more than that, it changes nothing.
    assert statistics.paired_t_test(SLEEP_1, SLEEP_2, 0.1) == statistics.paired_t_test(
        SLEEP_1, SLEEP_2
    )


def test_the_variance_of_rounding():
    """What the resolution stands for: the rounding of two metrics, simulated."""
    values = np.random.default_rng(0).uniform(0, 1000, (2, 100_000))
    error = np.diff(np.round(values) - values, axis=0)
    assert np.std(error) == pytest.approx(math.sqrt(1 / 6), rel=0.01)
    _, low, high = statistics.paired_t_interval(np.zeros(9), np.zeros(9), 1.0)
    assert high - low == pytest.approx(2 * stats.t.ppf(0.975, 8) / math.sqrt(6) / 3)


def test_differences_that_are_all_zero():
    same = [0.9, 0.8, 0.7, 0.95]
    assert statistics.paired_t_test(same, same) == 1.0
    assert statistics.wilcoxon_test(same, same) == 1.0
    np.testing.assert_array_equal(statistics.paired_t_interval(same, same), 0.0)
    np.testing.assert_array_equal(statistics.paired_bootstrap_interval(same, same), 0.0)


def test_one_run_and_what_is_not_finite():
    for function in (statistics.paired_t_interval, statistics.paired_bootstrap_interval):
        estimate, low, high = function([0.5], [0.25])
        assert estimate == 0.25 and np.isnan([low, high]).all()
        for bad in (np.nan, np.inf):
            assert np.isnan(function([1, 2, 3, 4, bad], np.zeros(5))[1:]).all()
    assert np.isnan(statistics.paired_t_test([0.5], [0.25]))
    assert np.isnan(statistics.paired_t_test([np.inf, 1.0], [0.0, 0.0]))
    assert np.isnan(statistics.wilcoxon_test([np.nan, 1.0], [0.0, 0.0]))
    with pytest.raises(ValueError, match="at least one run"):
        statistics.t_interval([])


def brute_wilcoxon(differences):
    """Over all signs: how often the rank sum is as far from its middle as the one at hand."""
    differences = np.asarray([d for d in differences if d])
    ranks = stats.rankdata(np.abs(differences))
    middle = ranks.sum() / 2
    found = abs(ranks[differences > 0].sum() - middle)
    sums = [
        abs(sum(itertools.compress(ranks, signs)) - middle)
        for signs in itertools.product((0, 1), repeat=len(ranks))
    ]
    return np.mean(np.asarray(sums) >= found - 1e-9)


@pytest.mark.parametrize(
    "differences",
    [
        [1, 2, 3, 4, 5],
        [1, -2, 3, 4, 5, 7],
        [1, 1, 1, -1, 2, 2],  # ties
        [0, 0, 3, 1, 2, -1],  # zeros, and a tie
        [2, 2],
        [-1],
    ],
)
def test_wilcoxon_is_exact(differences):
    p = statistics.wilcoxon_test(differences, np.zeros(len(differences)))
    assert p == pytest.approx(brute_wilcoxon(differences))


def test_five_seeds_cannot_convince_wilcoxon():
    assert statistics.wilcoxon_test(np.arange(1, 6), np.zeros(5)) == 2 / 2**5


def test_the_studentized_bootstrap_by_enumeration():
    """All 4⁴ resamples of four differences in place of random ones."""
    differences = np.array([0.3, 0.1, 0.45, 0.2])
    drawn = differences[list(itertools.product(range(4), repeat=4))]
    mean, error = differences.mean(), stats.sem(differences)
    with np.errstate(divide="ignore"):
        ratios = (drawn.mean(1) - mean) / stats.sem(drawn, axis=1)
    low, high = np.quantile(ratios, [0.025, 0.975], method="inverted_cdf")
    interval = statistics.paired_bootstrap_interval(differences, np.zeros(4), 100_000)
    np.testing.assert_allclose(interval, (mean, mean - high * error, mean - low * error))
    again = statistics.paired_bootstrap_interval(differences, np.zeros(4), 500, seed=3)
    assert again == statistics.paired_bootstrap_interval(differences, np.zeros(4), 500, seed=3)


# What intervals hold: the numbers in the docstring of paired_bootstrap_interval

COVERAGE = {  # differences, seeds -> studentized, t interval, percentile bootstrap
    ("normal", 5): (94.8, 94.7, 83.5),
    ("normal", 10): (95.0, 94.9, 89.9),
    ("exponential", 5): (92.6, 87.7, 77.5),
    ("exponential", 10): (94.2, 90.0, 86.2),
    ("lognormal", 5): (89.7, 82.7, 72.5),
    ("lognormal", 10): (91.2, 84.6, 81.0),
}
MEANS = {"normal": 0.0, "exponential": 1.0, "lognormal": math.exp(0.5)}


@pytest.mark.parametrize(("shape", "seeds"), COVERAGE)
def test_coverage(shape, seeds):
    repeats, zeros = 2000, np.zeros(seeds)
    differences = getattr(np.random.default_rng(seeds), shape)(size=(repeats, seeds))
    held_by = {"studentized": [], "t": [], "percentile": []}
    # Groups of their own, so that not all repeats share the same few resamples.
    for i, group in enumerate(np.split(differences, 20)):
        drawn = group[:, np.random.default_rng(i).integers(seeds, size=(1000, seeds))].mean(-1)
        percentile = statistics.Interval(None, *np.quantile(drawn, [0.025, 0.975], axis=-1))
        studentized = statistics.paired_bootstrap_interval(group, zeros, 1000, seed=i)
        held_by["studentized"].append(held(studentized, MEANS[shape]))
        held_by["t"].append(held(statistics.paired_t_interval(group, zeros), MEANS[shape]))
        held_by["percentile"].append(held(percentile, MEANS[shape]))
    for shares, percent in zip(held_by.values(), COVERAGE[shape, seeds], strict=True):
        stated = percent / 100
        assert np.mean(shares) == pytest.approx(stated, abs=tolerance(stated, repeats))
    if shape == "normal":
        assert np.mean(held_by["t"]) == pytest.approx(0.95, abs=tolerance(0.95, repeats))


# Proportions


@pytest.mark.parametrize(("successes", "trials"), [(0, 5), (1, 5), (5, 5), (7, 10)])
def test_wilsons_ends_solve_his_equation(successes, trials):
    """Each end p satisfies (k/n - p)² = z² p (1 - p) / n."""
    estimate, *ends = statistics.wilson_interval(successes, trials)
    z = stats.norm.ppf(0.975)
    for p in ends:
        assert (estimate - p) ** 2 == pytest.approx(z**2 * p * (1 - p) / trials, abs=1e-12)
    assert 0 <= ends[0] <= estimate <= ends[1] <= 1


def test_no_trials_have_no_proportion():
    assert np.isnan(statistics.wilson_interval(0, 0)).all()


# Many tests


def test_holms_worked_example():
    # Four tests: 4 · 0.005, 3 · 0.01, 2 · 0.03, 1 · 0.04 raised to the one before it.
    np.testing.assert_allclose(statistics.holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])


def test_holm_properties():
    p = np.random.default_rng(0).uniform(0, 0.3, (100, 7))
    adjusted = statistics.holm(p)
    assert (adjusted >= p).all() and (adjusted <= np.minimum(7 * p, 1)).all()
    order = np.argsort(p, -1)
    assert (np.diff(np.take_along_axis(adjusted, order, -1)) >= 0).all()  # monotone
    np.testing.assert_array_equal(statistics.holm(p[0]), adjusted[0])
    # Rejecting by adjusted p values is Holm's step-down procedure.
    for row, ours in zip(p, adjusted, strict=True):
        ascending = np.sort(row)
        rejected = list(itertools.takewhile(lambda i: ascending[i] * (7 - i) < 0.05, range(7)))  # noqa: B023
        assert np.sum(ours < 0.05) == len(rejected)


def test_holm_leaves_out_what_was_not_tested():
    adjusted = statistics.holm([0.01, np.nan, 0.04])
    np.testing.assert_array_equal(adjusted, [0.02, np.nan, 0.04])
    assert statistics.holm([]).shape == (0,)


# Two samples


@pytest.mark.parametrize(
    ("a", "b"),
    [([1, 2, 3], [4, 5, 6, 7]), ([1, 2, 2], [2, 3, 3]), ([5, np.inf], [np.inf, np.inf, 1])],
)
def test_the_rank_sum_test_is_exact(a, b):
    """Over all ways to divide the values, ties and missed targets among them."""
    ranks = stats.rankdata([*a, *b])
    middle = len(a) * ranks.mean()
    sums = [sum(part) for part in itertools.combinations(ranks, len(a))]
    found = abs(ranks[: len(a)].sum() - middle)
    expected = np.mean(np.abs(np.array(sums) - middle) >= found - 1e-9)
    assert statistics.rank_sum_test(a, b) == pytest.approx(expected)


def test_the_rank_sum_test_of_nothing():
    assert np.isnan(statistics.rank_sum_test([], [1.0]))
    assert np.isnan(statistics.rank_sum_test([np.nan], [1.0]))


def test_counts_that_can_and_cannot_be_significant():
    assert statistics.count_test(5, 5, 0, 5) == pytest.approx((2 / 252, 2 / 252))
    p, least = statistics.count_test(1, 5, 0, 5)
    assert (p, least) == pytest.approx((1.0, 1.0))
    assert statistics.count_test(2, 5, 3, 5).least == pytest.approx(2 / 252)
    assert statistics.count_test(0, 3, 0, 3) == (1.0, 1.0)


# What the seeds do not show


def test_a_common_error_widens_the_interval():
    a, b = SLEEP_2, SLEEP_1
    plain, wide = (statistics.paired_t_interval(a, b, 0.0, error) for error in (0.0, 2.0))
    assert wide.estimate == plain.estimate and wide.low < plain.low - 1.9
    # Where it is all there is, it is normal.
    alone = statistics.paired_t_interval([1.0] * 4, [0.0] * 4, 0.0, 0.5)
    assert alone.high == pytest.approx(1 + 0.5 * stats.norm.ppf(0.975))
    for error in (0.0, 0.3):
        p = statistics.paired_t_test(a, b, 0.0, error)
        interval = statistics.paired_t_interval(a, b, 0.0, error)
        assert (p < 0.05) == (interval.low > 0)


def test_a_test_with_a_common_error_holds_its_level():
    repeats, seeds = 4000, 5
    rng = np.random.default_rng(0)
    common = 0.7 * rng.normal(size=(repeats, 1))
    runs = rng.normal(size=(repeats, seeds)) + common
    false = np.mean(statistics.paired_t_test(runs, 0 * runs, 0.0, 0.7) < 0.05)
    assert false <= 0.05 + tolerance(0.05, repeats)
    assert np.mean(statistics.paired_t_test(runs, 0 * runs) < 0.05) > 0.15


def test_bounds_cut_intervals():
    assert statistics.t_interval([0.9, 1.0, 1.0], bounds=(0, 1)).high == 1
    assert statistics.paired_t_interval([1, 1, 0.9], [0, 0.1, 0], bounds=(-1, 1)).high == 1


def test_equivalence_is_the_interval_within_the_margin():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 300, 6))
    p = statistics.equivalence_test(a, b, 1.0)
    difference = a - b
    half = stats.t.ppf(0.95, 5) * stats.sem(difference, axis=-1)
    within = np.abs(difference.mean(-1)) + half < 1.0
    np.testing.assert_array_equal(p < 0.05, within)
    assert 0 < within.sum() < 300
    assert statistics.equivalence_test([1.0, 2.0], [1.0, 2.0], 0.0) == 0
    assert statistics.equivalence_test([1.5, 2.5], [1.0, 2.0], 0.1) == 1


# What tuning may have missed


def test_the_shortfall_of_a_parabola_is_exact():
    x = np.array([-1.6, -0.8, 0.1, 0.9, 1.4])
    y = 0.9 - 0.3 * (x - 0.25) ** 2
    expected = 0.3 * 0.15**2
    assert statistics.tuning_shortfall(x, y, chosen=0.1) == pytest.approx(expected, rel=0.01)
    fitted = statistics.tuning_shortfall(x, y, chosen=0.1, noise=1e-6)
    assert fitted == pytest.approx(expected, rel=0.03)
    assert statistics.tuning_shortfall(x, y, chosen=0.25, noise=1e-6) < 1e-5


def test_a_cliff_does_not_inflate_the_shortfall():
    """The parabola through the cliff alone would say 0.1."""
    x, y = [-2, -1, 0, 1], [0.90, 0.97, 0.98, 0.10]
    assert statistics.tuning_shortfall(x, y, chosen=0) < 0.005
    assert statistics.tuning_shortfall(x, y, chosen=0, noise=0.002) < 0.01


def test_the_shortfall_covers_what_a_grid_misses():
    """In the mean square, with noise and without, for the grid of `scripts/false_verdicts.py`."""
    rng = np.random.default_rng(0)
    for noise in (0.0, 0.003):
        real, stated = [], []
        for _ in range(150):
            x = 0.75 * (np.arange(5) - 2 + rng.uniform(-0.5, 0.5))
            y = -0.0225 * x**2 + noise * rng.normal(size=5)
            best = x[np.argmax(y)]
            real.append(0.0225 * best**2)
            stated.append(statistics.tuning_shortfall(x, y, best, noise, draws=50))
        ratio = np.sqrt(np.mean(np.square(stated)) / np.mean(np.square(real)))
        assert 0.85 < ratio < 2.5, noise


def test_the_shortfall_of_random_search():
    """Of 12 points in the unit square, below the peak of a paraboloid."""
    rng = np.random.default_rng(0)
    points = rng.uniform(-1, 1, (400, 12, 2))
    scores = -np.sum(points**2, -1)
    real = np.sqrt(np.mean(scores.max(-1) ** 2))
    stated = [statistics.search_shortfall(each, 2) for each in scores]
    assert 0.7 < np.sqrt(np.mean(np.square(stated))) / real < 1.6


# The whole procedure, from runs to verdicts: A/A and power


def verdicts(runs, resolution=0.0):
    """`(repeats, optimizers, seeds)` -> Holm's p values of all pairs, `(repeats, pairs)`."""
    pairs = list(itertools.combinations(range(runs.shape[1]), 2))
    p = [statistics.paired_t_test(runs[:, i], runs[:, j], resolution) for i, j in pairs]
    return statistics.holm(np.stack(p, -1))


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("examples", [None, 325])
def test_identical_optimizers_are_rarely_told_apart(seeds, examples):
    """A/A: of four identical optimizers, a pair differs significantly in at most 5% of repeats."""
    repeats = 4000
    rng = np.random.default_rng(0)
    seed_effect = rng.normal(size=(repeats, 1, seeds))
    runs = 0.98 + 0.005 * (seed_effect + rng.normal(size=(repeats, 4, seeds)))
    resolution = 0.0
    if examples:
        resolution = 1 / examples
        runs = np.round(np.clip(runs, 0, 1) * examples) / examples
    false = np.mean((verdicts(runs, resolution) < 0.05).any(-1))
    assert false <= 0.05 + tolerance(0.05, repeats)


def test_accuracies_that_move_by_single_examples_are_rarely_told_apart():
    """The hardest case: most runs agree to the example, so differences repeat by chance."""
    repeats, examples = 4000, 325
    wrong = np.random.default_rng(0).binomial(examples, 0.002, (repeats, 4, 5))
    runs = 1 - wrong / examples
    false = np.mean((verdicts(runs, 1 / examples) < 0.05).any(-1))
    assert false <= 0.05 + tolerance(0.05, repeats)


def beats(differences, resolution=0.0):
    """The rule of `analyze` for pairs, with Wilcoxon's test by all assignments of signs."""
    seeds = differences.shape[-1]
    p = statistics.paired_t_test(differences, 0 * differences, resolution)
    ranks = stats.rankdata(np.where(differences, np.abs(differences), np.inf), axis=-1)
    ranks = np.where(differences, ranks, 0)
    signs = np.array(list(itertools.product((-1, 1), repeat=seeds)))
    found = np.abs(np.sum(ranks * np.sign(differences), -1))
    wilcoxon = np.mean(np.abs(ranks @ signs.T) >= found[:, None] - 1e-9, -1)
    return (p < 0.05) & (wilcoxon <= max(0.05, 2 / 2**seeds))


def failing(rng, size):
    return rng.normal(size=size) - 160 * (rng.random(size) < 0.1)


NOISES = {
    "normal": lambda rng, size: rng.normal(size=size),
    "exponential": lambda rng, size: rng.exponential(size=size),
    "log-normal": lambda rng, size: rng.lognormal(size=size),
    "one in ten fails": failing,
    "ties": lambda rng, size: np.round(2 * rng.random(size)) / 325,
}


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("noise", NOISES)
def test_the_rule_survives_heavy_tails_failures_and_ties(noise, seeds):
    """Two optimizers with the same noise, and with noise of the same median and other shapes."""
    repeats = 2000
    rng = np.random.default_rng(seeds)
    a, b = NOISES[noise](rng, (2, repeats, seeds))
    resolution = 1 / 325 if noise == "ties" else 0.0
    false = np.mean(beats(a - b, resolution))
    assert false <= 0.05 + tolerance(0.05, repeats)
    if noise == "one in ten fails":  # against one that never does
        false = np.mean(beats(a - rng.normal(size=a.shape)))
        assert false <= 0.05 + tolerance(0.05, repeats)


@pytest.mark.parametrize(("seeds", "power"), [(3, 0.74), (5, 0.98), (10, 1.0)])
def test_the_rule_keeps_its_power(seeds, power):
    """A difference of three standard deviations."""
    rng = np.random.default_rng(seeds)
    found = np.mean(beats(3 + rng.normal(size=(2000, seeds))))
    assert found == pytest.approx(power, abs=0.03)


@pytest.mark.parametrize(("seeds", "power"), [(5, 0.745), (10, 0.999)])
def test_true_differences_are_found(seeds, power):
    """Three optimizers, one of them worse by two standard deviations of a paired difference.

    Each of its two differences is found in three of four repeats at 5 seeds, in nearly all at 10.
    """
    repeats = 4000
    runs = np.random.default_rng(seeds).normal(size=(repeats, 3, seeds)) / math.sqrt(2)
    runs[:, 2] -= 2.0
    equal, *different = (np.mean(p < 0.05) for p in verdicts(runs).T)
    np.testing.assert_allclose(different, power, atol=tolerance(power, repeats))
    assert equal <= 0.05 + tolerance(0.05, repeats)


# Several workloads


def test_probability_of_improvement_is_mann_and_whitneys():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 6, 7), rng.integers(0, 6, 5)  # with ties
    counted = np.mean([(x > y) + (x == y) / 2 for x in a for y in b])
    ours = statistics.probability_of_improvement(a, b)
    assert ours == pytest.approx(counted)
    assert ours == pytest.approx(stats.mannwhitneyu(a, b).statistic / 35)
    assert ours + statistics.probability_of_improvement(b, a) == pytest.approx(1)
    assert statistics.probability_of_improvement([np.inf, 1], [-np.inf, np.inf]) == 0.625
    assert np.isnan(statistics.probability_of_improvement([1, np.nan], [0, 0]))


def test_mean_improvement():
    a, b = [[3, 4, 5], [1, 2]], [[1, 2, 3], [1, 2]]
    assert statistics.mean_improvement(a, b).estimate == pytest.approx((8.5 / 9 + 0.5) / 2)
    wins = statistics.mean_improvement([[3, 4], [8, 9]], [[1, 2], [6, 7]])
    assert wins == (1.0, 1.0, 1.0)
    with pytest.raises(ValueError, match="same workloads, got 2 and 1"):
        statistics.mean_improvement(a, b[:1])


def test_interquartile_mean():
    # Of eight the middle four, wherever they come from; of five the middle three.
    assert statistics.interquartile_mean([[1, 2, 30, 40], [3, 4, 5, -np.inf]]).estimate == 3.5
    assert statistics.interquartile_mean([[9, 1, 2, 3, -7]]).estimate == 2.0
    assert np.isnan(statistics.interquartile_mean([[1, np.nan, 2]])).all()
    one = statistics.interquartile_mean([[0.5], [0.1, 0.2]])
    assert one.estimate == pytest.approx((0.5 + 0.1 + 0.2) / 3) and np.isnan(one[1:]).all()


def test_the_bootstrap_stays_within_its_strata():
    """Two workloads without any noise have no interval, however far apart they are."""
    np.testing.assert_allclose(
        statistics.interquartile_mean([[0.1] * 5, [0.9] * 5]), 0.5, rtol=1e-12
    )


def test_intervals_over_workloads_hold_the_truth():
    """With 10 runs on each of 6 workloads; percentile intervals are a little short."""
    repeats, workloads, runs = 300, 6, 10
    rng = np.random.default_rng(0)
    a = rng.normal(0.5, 1.0, (repeats, workloads, runs))
    b = rng.normal(size=(repeats, workloads, runs))
    better = stats.norm.cdf(0.5 / math.sqrt(2))
    found = [statistics.mean_improvement(*pair, resamples=400) for pair in zip(a, b, strict=True)]
    middle = [statistics.interquartile_mean(scores, resamples=400) for scores in a]
    for intervals, truth in ((found, better), (middle, 0.5)):
        covered = np.mean([held(interval, truth) for interval in intervals])
        assert covered == pytest.approx(0.93, abs=tolerance(0.93, repeats))


def test_performance_profiles():
    # Ratios to the best: 1 1 3 inf, 2 1 1 inf, 4 inf 9 inf.
    costs = [[1, 2, 3, np.inf], [2, 2, 1, np.inf], [4, np.inf, 9, np.inf]]
    taus, fractions = statistics.performance_profiles(costs)
    np.testing.assert_array_equal(taus, [1, 2, 3, 4, 9])
    np.testing.assert_array_equal(
        4 * fractions, [[2, 2, 3, 3, 3], [2, 3, 3, 3, 3], [0, 0, 0, 1, 2]]
    )
    nobody = statistics.performance_profiles(np.full((2, 4), np.inf))
    np.testing.assert_array_equal(nobody.taus, [1])
    np.testing.assert_array_equal(nobody.fractions, [[0], [0]])


@pytest.mark.parametrize(
    ("costs", "message"),
    [
        (np.ones((2, 3)), "at least 4 workloads"),
        ([[1, 2, 3, 0]], "must be positive"),
        ([[1, 2, 3, np.nan]], "got nan"),
    ],
)
def test_bad_costs_are_refused(costs, message):
    with pytest.raises(ValueError, match=message):
        statistics.performance_profiles(costs)


# A tuning budget


def test_the_expected_best_by_enumeration():
    scores = [0.31, 0.9, 0.9, -2.0, 0.5, 0.77]
    every = [np.mean([max(c) for c in itertools.combinations(scores, k)]) for k in range(1, 7)]
    np.testing.assert_allclose(statistics.expected_best(scores), every, rtol=1e-12)


@pytest.mark.parametrize("count", [1, 2, 5, 13])
def test_the_band_of_a_distribution_is_exact(count):
    repeats = 4000
    low, high = statistics.distribution_band(count)
    uniform = np.sort(np.random.default_rng(count).uniform(size=(repeats, count)), -1)
    inside = np.mean(((low <= uniform) & (uniform <= high)).all(-1))
    assert inside == pytest.approx(0.95, abs=tolerance(0.95, repeats))


@pytest.mark.parametrize("levels", [None, 10])
def test_the_band_of_the_best_so_far_holds_the_whole_curve(levels):
    """Of uniform scores the best of k has the median 0.5^(1/k); with ties it is rounded."""
    repeats, count = 500, 20
    scores = np.random.default_rng(0).uniform(size=(repeats, count))
    truth = 0.5 ** (1 / np.arange(1, count + 1))
    if levels:
        scores, truth = (np.floor(levels * values) / levels for values in (scores, truth))
    bands = [statistics.best_so_far(each, 0, 1) for each in scores]
    inside = [((band.low <= truth) & (truth <= band.high)).all() for band in bands]
    assert np.mean(inside) >= 0.95
    widths = np.mean([band.high - band.low for band in bands], 0)
    assert widths[2] < 0.6  # and says something


def test_best_so_far_of_one_trial_and_of_bad_ones():
    estimate, low, high = statistics.best_so_far([0.5])
    assert estimate == [0.5] and (low, high) == (-np.inf, np.inf)
    for bad in ([], [0.5, np.nan], [np.inf]):
        with pytest.raises(ValueError, match="one or more finite numbers"):
            statistics.best_so_far(bad)
