"""What a run counts for: which way its metric points, and what a diverged one is given."""

import math

from adaptive_jax.lab.training.records import RunRecord


def score(record: RunRecord, split: str = "test") -> float:
    """The metric at the end on one split, as `counted`, signed so that higher is better."""
    return signed(record.metric, counted(record, f"{split}_{record.metric}"))


def signed(metric: str, value: float) -> float:
    """The value, or its negative if the metric is a loss. Its own inverse."""
    return -value if metric == "loss" else value


def counted(record: RunRecord, name: str) -> float:
    """A final metric as it counts: a run that diverged is never dropped.

    Its accuracy is what it is. Its loss is at most the untrained model's, to which one can always
    return, and so is any loss that is not finite. An accuracy that is not finite counts 0.

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
    """The test metric on a scale common to workloads: 1 is perfect.

    An accuracy as it is, a loss as 1 - loss / initial loss: the share of the untrained model's
    loss that is gone. This takes 0 for the least loss that there is.
    """
    if record.metric == "accuracy":
        return score(record)
    return 1 - counted(record, "test_loss") / record.initial_loss


def epochs_to_target(record: RunRecord, target: float) -> float:
    """The first epoch, from 1 on, whose validation metric reaches the target; inf if none does."""
    for epoch, point in enumerate(record.curve, 1):
        value = point[f"validation_{record.metric}"]
        if signed(record.metric, value) >= signed(record.metric, target):
            return epoch
    return math.inf
