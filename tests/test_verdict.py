"""What a comparison says it found, in the very words."""

import numpy as np

from adaptive_jax.lab.analysis import analyze
from adaptive_jax.registry import OPTIMIZERS
from tests import synthetic

SGD = "sgd:momentum=0.9"
BASE = np.array([0.90, 0.92, 0.91, 0.94, 0.93])
NEAR = BASE + np.array([0.001, -0.002, 0.002, -0.001, 0.0005])
FAR = BASE - [0.010, 0.011, 0.009, 0.012, 0.008]
FARTHER = BASE - [0.100, 0.110, 0.090, 0.120, 0.080]


def verdict(scores, **settings):
    """Of one workload, on which nothing was tuned."""
    settings = {"tune": 0} | settings
    records = synthetic.records({("digits", o): s for o, s in scores.items()}, **settings)
    return analyze(records).verdict


def test_two_alike_and_one_behind():
    assert verdict({"adam": BASE, "adabound": NEAR, SGD: FAR}) == (
        "adabound and adam are equal within 0.25 points (n = 5). Both beat sgd momentum=0.9; the "
        "largest margin is adabound's, 1.0 ± 0.2 points."
    )


def test_two_alike_and_two_behind():
    assert verdict({"adam": BASE, "adabound": NEAR, SGD: FAR, "sgd": FARTHER}) == (
        "adabound and adam are equal within 0.25 points (n = 5). Both beat sgd momentum=0.9 and "
        "sgd; the largest margin is adabound's over sgd, 10 ± 2 points."
    )


def test_one_ahead_of_all():
    assert verdict({"adam": FAR, "adabound": BASE, SGD: FARTHER}) == (
        "adabound beats adam by 1.0 ± 0.2 points and sgd momentum=0.9 by 10 ± 2 points (n = 5)."
    )


def test_all_alike():
    assert (
        verdict({"adam": BASE, "sgd": NEAR}) == "sgd and adam are equal within 0.25 points (n = 5)."
    )
    wider = BASE + np.array([0.01, -0.02, 0.02, -0.01, 0.005])
    assert verdict({"adam": BASE, "sgd": wider}) == ("sgd and adam are statistically tied (n = 5).")


def test_level_with_the_best_alone():
    """The second is too noisy to be told from anything, so only the best beats the third."""
    noisy = BASE - [0.05, -0.03, 0.04, -0.04, 0.03]
    assert verdict({"adam": BASE, "lion": noisy, SGD: FAR}) == (
        "adam and lion are statistically tied (n = 5). adam beats sgd momentum=0.9 by 1.0 ± 0.2 "
        "points."
    )


def test_those_level_with_the_best_may_differ_from_each_other():
    """The best is noisy: it cannot be told from two that can be told from each other."""
    noisy = BASE + np.array([0.06, -0.05, 0.05, -0.04, 0.05])
    assert verdict({"adam": noisy, "sgd": BASE, "lion": FAR}) == (
        "sgd and lion are statistically tied with adam, the best (n = 5)."
    )


def test_losses_are_better_when_lower():
    assert verdict({"adam": BASE, "adabound": NEAR, SGD: FAR}, losses=["digits"]) == (
        "sgd momentum=0.9 beats adam by 0.010 ± 0.002 in loss and adabound by 0.010 ± 0.002 in "
        "loss (n = 5)."
    )


def test_one_seed_tells_nothing_about_seeds():
    assert verdict({"adam": 0.98, "sgd": 0.9}, seeds=1, noise=0) == (
        "adam has the highest test accuracy, 98.00 %, but one run each does not show what "
        "another seed would change."
    )


def test_one_optimizer_has_nothing_to_be_compared_with():
    assert verdict({"adam": BASE}) == "adam alone has final runs: test accuracy 92 ± 2 % (n = 5)."
    high = [0.9, 0.99, 0.99, 0.99, 0.99]
    assert verdict({"adam": high}) == (
        "adam alone has final runs: test accuracy 97 (92 to 100) % (n = 5)."
    )


def test_divergence_is_named_and_is_no_draw():
    scores = {"adam": BASE, "adabound": NEAR, SGD: FAR, "sgd": NEAR}
    assert verdict(scores, diverged={("digits", "sgd"): [1, 4]}) == (
        "adabound and adam are equal within 0.25 points (n = 3 to 5). Both beat sgd momentum=0.9; "
        "the largest margin is adabound's, 1.0 ± 0.2 points. sgd is not ranked, because of "
        "diverged runs. Diverged: sgd in 2 of 5 runs (12 to 77 %); margins leave these runs out."
    )
    two = verdict({"adam": BASE, "sgd": NEAR}, diverged={("digits", "sgd"): [1, 4]})
    assert two == (
        "adam has the best test accuracy in the mean (n = 3). sgd is not ranked, because of "
        "diverged runs. Diverged: sgd in 2 of 5 runs (12 to 77 %); margins leave these runs out."
    )


def test_divergence_that_is_significant():
    text = verdict({"adam": BASE, "sgd": FAR}, diverged={("digits", "sgd"): range(5)})
    assert text == (
        "adam has the highest test accuracy, 92 ± 2 % (n = 5), but no two optimizers have two "
        "seeds with which neither diverged. Diverged: sgd in 5 of 5 runs (57 to 100 %); margins "
        "leave these runs out. Significantly, sgd more often than adam."
    )


def test_a_typical_run_that_is_better_does_not_beat_what_is_better_in_the_mean():
    """Adam is better by a point where it does not diverge, and diverges in one run of five."""
    text = verdict({"adam": BASE, "sgd": FAR}, diverged={("digits", "adam"): [2]})
    assert "beat" not in text and "Diverged: adam in 1 of 5 runs (4 to 62 %)" in text


def test_what_does_not_vary_is_not_tested():
    same = {"adam": [0.5] * 3, "sgd": [0.1] * 3, "lion": [0.1 + 5e-7] * 3}
    assert verdict(same, losses=["digits"]) == (
        "sgd and lion are equal within 0.0001 in loss (n = 3). Both beat adam; the largest margin "
        "is sgd's, 0.4 in loss. Runs that do not vary with the seed are compared without a test."
    )


def test_the_same_optimizer_at_two_rates_keeps_them_apart():
    assert verdict({"adam": BASE, "adam:learning_rate=0.1": FAR}) == (
        "adam beats adam learning_rate=0.1 by 1.0 ± 0.2 points (n = 5)."
    )


def test_many_optimizers_stay_readable():
    scores = {name: 0.98 - 0.03 * max(0, i - 20) for i, name in enumerate(OPTIMIZERS)}
    text = verdict(scores)
    assert "are statistically tied" in text and "others" in text
    assert text.endswith("The table has the others.") and len(text) < 400
