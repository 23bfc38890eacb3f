"""The score of a run: higher is better. Runs that failed, and what they count."""

import math

from adaptive_jax.lab.training.records import RunRecord


def score(record: RunRecord, split: str = "test") -> float:
    """Returns the final metric on a split, as `counted`, signed so that higher is better."""
    return signed(record.metric, counted(record, f"{split}_{record.metric}"))


def failed(record: RunRecord) -> bool:
    """Returns True for a final run that diverged, or whose test metric is not finite."""
    return record.diverged or not math.isfinite(record.final[f"test_{record.metric}"])


def signed(metric: str, value: float) -> float:
    """Returns the value, negated if the metric is a loss; applied twice it returns the value."""
    return -value if metric == "loss" else value


def counted(record: RunRecord, name: str) -> float:
    """Returns a final metric as it counts in means: a diverged run is never dropped.

    The loss of a diverged run counts as at most the untrained model's loss, to which one can always
    return. A loss that is not finite counts as the untrained model's, an accuracy that is not
    finite as 0. Any other value counts as it is.

    Args:
      record: the run.
      name: such as "test_loss", a key of `record.final`.
    """
    value = record.final[name]
    if not name.endswith("loss"):
        return value if math.isfinite(value) else 0.0
    kept = math.isfinite(value) and (not record.diverged or value < record.initial_loss)
    return value if kept else record.initial_loss


def normalized(record: RunRecord) -> float:
    """Returns the test metric on a scale common to all workloads, on which 1 is perfect.

    An accuracy stays as it is. A loss becomes 1 - loss / initial loss, the fraction of the
    untrained model's loss that training removed; this takes 0 for the least possible loss.
    """
    if record.metric == "accuracy":
        return score(record)
    return 1 - counted(record, "test_loss") / record.initial_loss


def epochs_to_target(record: RunRecord, target: float) -> float:
    """Returns the first epoch (from 1) whose validation metric reaches the target, inf if none."""
    for epoch, point in enumerate(record.curve, 1):
        value = point[f"validation_{record.metric}"]
        if signed(record.metric, value) >= signed(record.metric, target):
            return epoch
    return math.inf
