"""`adaptive-jax list`."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class List:
    """List the optimizers, with their default learning rates, and the workloads."""


def run(args: List) -> int:
    """Prints both; returns the exit status."""
    from adaptive_jax.lab.workloads import WORKLOADS
    from adaptive_jax.registry import OPTIMIZERS

    width = max(map(len, (*OPTIMIZERS, *WORKLOADS)))
    print(f"{'optimizer':<{width}}{'rate':>7}  what it does")
    for entry in OPTIMIZERS.values():
        rate = entry.defaults["learning_rate"]
        print(f"{entry.name:<{width}}{rate:>7g}  {entry.description}")
    print(f"\n{'workload':<{width}}{'epochs':>7}  what it is")
    for workload in WORKLOADS.values():
        print(f"{workload.name:<{width}}{workload.epochs:>7}  {workload.description}")
    return 0
