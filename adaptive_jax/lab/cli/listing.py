"""`adaptive-jax list`."""

import dataclasses
import json


@dataclasses.dataclass(frozen=True)
class List:
    """List the optimizers, with their default learning rates, and the workloads."""

    json: bool = False
    """Print JSON: also the papers, and the ranges that are searched."""


def run(args: List) -> int:
    """Prints both; returns the exit status."""
    from adaptive_jax.lab.workloads import WORKLOADS
    from adaptive_jax.registry import OPTIMIZERS

    if args.json:
        optimizers = [
            {
                "name": entry.name,
                "description": entry.description,
                "reference": entry.reference,
                "learning_rate": entry.defaults["learning_rate"],
                "search": entry.search,
            }
            for entry in OPTIMIZERS.values()
        ]
        names = ("name", "description", "metric", "epochs", "batch_size", "optimizers")
        workloads = [{name: getattr(w, name) for name in names} for w in WORKLOADS.values()]
        print(json.dumps({"optimizers": optimizers, "workloads": workloads}, indent=2))
        return 0
    width = max(map(len, (*OPTIMIZERS, *WORKLOADS)))
    print(f"{'optimizer':<{width}}{'rate':>7}  what it does")
    for entry in OPTIMIZERS.values():
        rate = entry.defaults["learning_rate"]
        print(f"{entry.name:<{width}}{rate:>7g}  {entry.description}")
    print(f"\n{'workload':<{width}}{'epochs':>7}  what it is")
    for workload in WORKLOADS.values():
        print(f"{workload.name:<{width}}{workload.epochs:>7}  {workload.description}")
    return 0
