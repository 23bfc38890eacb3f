"""How often does a comparison tell an optimizer from itself?

Each simulated comparison is of one optimizer under two names, the second with its learning rate in
other units. So their grids have other offsets to the best rate. Each is tuned with noise, and both
then run with the same new seeds. The records go through `lab.analysis`, as those of a comparison
do. The tuning curve, its cliff and the noise are like those of `digits_cnn`: an accuracy of 0.99 at
the best rate that falls by a curvature of 0.045 per squared decade, a grid of five points 0.75
decades apart, seeds with a standard deviation of 0.5 points, half of their variance common to both
optimizers, and 320 and 325 examples for validation and test.

    python scripts/false_verdicts.py                # 2000 simulated comparisons
    python scripts/false_verdicts.py --noise        # the shapes of noise in place of the grids
    python scripts/false_verdicts.py --real 60      # real comparisons, Adam against Adam

A false verdict is that the two differ. It is printed for three rules: the t test of the paired
differences alone, the t test whose error includes what tuning may have missed, and the whole rule
of `analyze`. Power is the share of comparisons in which the same rule finds a true difference.
"""

import argparse
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from adaptive_jax.lab.analysis import analyze
from adaptive_jax.lab.statistics import paired_t_test, wilson_interval
from adaptive_jax.lab.training import RunRecord

EXAMPLES = {"train": 1152, "validation": 320, "test": 325}
BEST, CURVATURE, CLIFF, NOISE = 0.99, 0.045, 0.5, 0.005
SPACING, TRIALS = 0.75, 5
RULES = ("t test", "with tuning", "rule")


def curve(decades: np.ndarray, cliff: float = CLIFF) -> np.ndarray:
    """Returns the expected accuracy at a distance in decades from the best rate."""
    beyond = np.maximum(decades - 0.6, 0)
    return np.maximum(BEST - CURVATURE * decades**2 / 2 - cliff * beyond**2, 0.1)


def on_examples(accuracy: np.ndarray, split: str) -> np.ndarray:
    """Rounds accuracies to whole examples, at most all of them."""
    return np.round(np.clip(accuracy, 0, 1) * EXAMPLES[split]) / EXAMPLES[split]


def record(label: str, phase: str, seed: int, rate: float, accuracies, diverged=False) -> RunRecord:
    """Returns a record with (validation, test) accuracies and nothing else that counts."""
    validation, test = map(float, accuracies)
    values = {"validation_accuracy": validation, "validation_loss": 1 - validation}
    values |= {"train_accuracy": validation, "train_loss": 1 - validation}
    if phase == "final":
        values |= {"test_accuracy": test, "test_loss": 1 - test}
    return RunRecord(
        id=f"{label} {phase} {seed} {rate:.4g}",
        workload="simulated",
        optimizer=label,
        hyperparameters={"learning_rate": rate},
        varied={"learning_rate": rate},
        phase=phase,
        seed=seed,
        epochs=1,
        batch_size=1,
        schedule="cosine",
        steps=1,
        parameters=1,
        examples=EXAMPLES,
        metric="accuracy",
        target=None,
        initial_loss=2.3,
        curve=[values],
        rates=None,
        final=values,
        diverged=diverged,
        train_seconds=0.0,
        compile_seconds=0.0,
        cost=None,
        versions={},
        device="none",
    )


def tuned_pair(rng: np.random.Generator, seeds: int, behind: float = 0.0) -> list[RunRecord]:
    """Returns the records of a comparison of an optimizer with itself.

    Args:
      rng: the source of all noise.
      seeds: number of final seeds.
      behind: how much worse the second one is at its best rate, for power.
    """
    common = rng.normal(size=(2, seeds))
    records = []
    for label, less in (("a", 0.0), ("b", behind)):
        decades = SPACING * (np.arange(TRIALS) - TRIALS // 2 + rng.uniform(-0.5, 0.5))
        shared, own = rng.normal(), rng.normal(size=TRIALS)
        noise = NOISE * math.sqrt(0.5) * (shared + own)
        tried = on_examples(curve(decades) - less + noise, "validation")
        best = decades[np.argmax(tried)]
        records += [
            record(label, "tune", 1_000_000, float(10**x), (y, y))
            for x, y in zip(decades, tried, strict=True)
        ]
        noise = NOISE * math.sqrt(0.5) * (common + rng.normal(size=(2, seeds)))
        ends = curve(best) - less + noise
        validation, test = on_examples(ends[0], "validation"), on_examples(ends[1], "test")
        records += [
            record(label, "final", seed, float(10**best), pair)
            for seed, pair in enumerate(zip(validation, test, strict=True))
        ]
    return records


def _fails(rng, size, flagged):
    """Normal noise, and one run in ten that fails; its accuracy is 80 points lower."""
    lost = rng.random(size) < 0.1
    return rng.normal(size=size) - 160 * lost, lost & flagged


SHAPES: dict[str, Callable] = {
    "normal": lambda rng, size: (rng.normal(size=size), np.zeros(size, bool)),
    "exponential": lambda rng, size: (-rng.exponential(size=size), np.zeros(size, bool)),
    "log-normal": lambda rng, size: (-rng.lognormal(size=size) / 2, np.zeros(size, bool)),
    "one in ten diverges": lambda rng, size: _fails(rng, size, True),
    "one in ten is stuck": lambda rng, size: _fails(rng, size, False),
    "ties": lambda rng, size: (2 * (rng.random(size) < 0.3) - 0.6, np.zeros(size, bool)),
}
"""Noise of single runs, in units of `NOISE`, and whether a run diverged."""


def untuned_pair(
    rng: np.random.Generator, seeds: int, shapes: Sequence[str], behind: float = 0.0
) -> list[RunRecord]:
    """Returns the records of two optimizers at given rates, with noise of the given shapes."""
    records = []
    for label, shape, less in zip("ab", shapes, (0.0, behind), strict=True):
        noise, diverged = SHAPES[shape](rng, seeds)
        test = on_examples(0.9 - less + NOISE * noise, "test")
        records += [
            record(label, "final", seed, 1.0, (value, value), bool(lost))
            for seed, (value, lost) in enumerate(zip(test, diverged, strict=True))
        ]
    return records


def verdicts(records: list[RunRecord]) -> tuple[bool, bool, bool]:
    """Returns whether each of the three rules tells the two optimizers apart."""
    (difference,) = analyze(records).workloads[0].differences
    finals = {
        label: [
            r.final["test_accuracy"] for r in records if (r.optimizer, r.phase) == (label, "final")
        ]
        for label in "ab"
    }
    p = float(paired_t_test(finals["a"], finals["b"]))  # NaN for equal differences, "certainly"
    return p < 0.05 or math.isnan(p), difference.p < 0.05, difference.distinguishable


def shares(
    made: Callable[[np.random.Generator], list[RunRecord]], repeats: int, seed: int
) -> np.ndarray:
    """Returns how many of so many comparisons each rule decides, `(3,)`."""
    rng = np.random.default_rng(seed)
    return np.sum([verdicts(made(rng)) for _ in range(repeats)], 0)


def lines(title: str, counts: np.ndarray, repeats: int) -> Iterator[str]:
    """Yields a line for each rule, with Wilson's interval."""
    for rule, count in zip(RULES, counts, strict=True):
        low, high = (100 * end for end in wilson_interval(int(count), repeats)[1:])
        yield f"{title:38} {rule:12} {100 * count / repeats:5.1f} % ({low:.1f} to {high:.1f})"


def simulate(repeats: int, seed: int, noise: bool, power: bool = True) -> None:
    """Prints the shares of false verdicts, and power at one and three points."""
    for seeds in (3, 5, 10):
        if noise:
            for shape in SHAPES:
                made = lambda rng, s=shape, n=seeds: untuned_pair(rng, n, (s, s))  # noqa: E731
                print(
                    *lines(f"{shape}, n = {seeds}", shares(made, repeats, seed), repeats), sep="\n"
                )
        else:
            made = lambda rng, n=seeds: tuned_pair(rng, n)  # noqa: E731
            print(*lines(f"rescaled, n = {seeds}", shares(made, repeats, seed), repeats), sep="\n")
        for behind in (0.01, 0.03) if power else ():
            if noise:
                made = lambda rng, n=seeds, d=behind: untuned_pair(rng, n, ("normal",) * 2, d)  # noqa: E731
            else:
                made = lambda rng, n=seeds, d=behind: tuned_pair(rng, n, d)  # noqa: E731
            few = max(1, repeats // 5)
            title = f"power at {100 * behind:.0f} points, n = {seeds}"
            print(*lines(title, shares(made, few, seed), few), sep="\n", flush=True)


def rescaled_adam(learning_rate, units: float = 3.0):
    """Adam with its learning rate in other units."""
    from adaptive_jax import adam

    return adam(units * learning_rate)


def real(count: int, seed: int) -> None:
    """Prints how often real comparisons tell Adam from itself with its rate in other units."""
    from adaptive_jax.lab import compare

    false = 0
    for i in range(count):
        name = ("noisy_quadratic", "digits_mlp")[i % 2]
        first, units = (
            seed + 100 * i,
            float(10 ** np.random.default_rng(seed + i).uniform(-0.4, 0.4)),
        )

        def other(learning_rate, units=units):
            return rescaled_adam(learning_rate, units)

        result = compare(name, ["adam", other], budget="quick", seed=first)
        false += any(d.distinguishable for d in result.analysis.workloads[0].differences)
        print(f"{i + 1} {name}, units {units:.2f}: {result.verdict}", flush=True)
    low, high = (100 * end for end in wilson_interval(false, count)[1:])
    print(f"false verdicts: {false} of {count} ({low:.1f} to {high:.1f} %)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=2000, help="simulated comparisons")
    parser.add_argument("--noise", action="store_true", help="vary the shape of the noise")
    parser.add_argument("--real", type=int, default=0, metavar="N", help="N real comparisons")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.real:
        real(options.real, options.seed)
    else:
        simulate(options.repeats, options.seed, options.noise)


if __name__ == "__main__":
    main()
