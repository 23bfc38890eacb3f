"""Options of the commands that several processes run together."""

import dataclasses

from adaptive_jax.lab.cli.common import UsageError


@dataclasses.dataclass(frozen=True)
class Processes:
    """Options of a run by several processes; each is started with the same command."""

    distributed: bool = False
    """Use the devices of several processes, of which this is one: train shares the work on every
    batch among them, compare the runs. The first prints and writes. The next three options are
    needed where no cluster says them."""
    coordinator: str | None = None
    """HOST:PORT at which the first process is to be reached by the others."""
    num_processes: int | None = None
    """How many there are."""
    process_id: int | None = None
    """Which of them this is; 0 is the first."""
    wait: int = 300
    """Seconds to wait for the others."""


ALONE = Processes()
"""Where none of them is given."""


def join(processes: Processes) -> None:
    """Makes this process one of several, if that is asked for."""
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
