"""Options of the commands that several processes run together."""

import dataclasses
from typing import Annotated

import tyro

from adaptive_jax.lab.cli.common import UsageError, shown_as


@dataclasses.dataclass(frozen=True)
class Processes:
    """Options of a run by several processes, each started with the same command."""

    distributed: bool = False
    """Use the devices of several processes, of which this is one. `train` splits every batch among
    them, `compare` splits the runs. The first process prints and writes. Without a cluster that
    JAX detects, the next three options are required."""
    coordinator: Annotated[str | None, shown_as("HOST:PORT")] = None
    """HOST:PORT at which the others reach the first process."""
    num_processes: Annotated[int | None, shown_as("N")] = None
    """Number of processes."""
    process_id: Annotated[int | None, shown_as("N")] = None
    """Number of this process; the first is 0."""
    wait: Annotated[int, tyro.conf.arg(metavar="SECONDS")] = 300
    """Seconds to wait for the others."""


ALONE = Processes()
"""The options of a single process."""


def join(processes: Processes) -> None:
    """Joins several processes, if the options say so."""
    given = {field.name: getattr(processes, field.name) for field in dataclasses.fields(processes)}
    if not given.pop("distributed"):
        for field in dataclasses.fields(processes):
            if getattr(processes, field.name) != field.default:
                raise UsageError(f"--{field.name.replace('_', '-')} needs --distributed")
        return
    from adaptive_jax.lab.training.processes import join

    try:
        join(**given)
    except (ValueError, OSError) as error:
        raise UsageError(error) from error
