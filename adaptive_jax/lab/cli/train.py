"""`adaptive-jax train`."""

import contextlib
import dataclasses
import sys
from pathlib import Path
from typing import Annotated, Literal

import tyro

from adaptive_jax.lab.cli.common import (
    UsageError,
    check_logs,
    console,
    csv_logger,
    disk_errors,
    make_folder,
    progress,
    shown_as,
    usage_errors,
)
from adaptive_jax.lab.cli.processes import ALONE, Processes, join


@dataclasses.dataclass(frozen=True)
class Train:
    """Train one model with one optimizer."""

    workload: Annotated[tyro.conf.Positional[str], shown_as("WORKLOAD")]
    """Workload, see `adaptive-jax list`, or module:name."""
    optimizer: Annotated[str, tyro.conf.arg(metavar="OPTIMIZER")] = "adam"
    """Name of the optimizer, see `adaptive-jax list`, or module:name."""
    set: Annotated[
        tuple[tuple[str, ...], ...], tyro.conf.UseAppendAction, shown_as("KEY=VALUE ...")
    ] = ()
    """Hyperparameters: learning_rate=0.01 nesterov=true"""
    epochs: Annotated[int | None, shown_as("N")] = None
    """Number of epochs. Default: the workload's."""
    seed: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """Seed of the initial parameters and the order of the examples."""
    schedule: Annotated[str | None, shown_as("NAME")] = None
    """Shape of the learning rate: constant, cosine or linear. Default: the workload's."""
    data_dir: Annotated[str | None, shown_as("FOLDER")] = None
    """Folder with the data (for char_transformer a text file). Default: the cache, else a
    download."""
    out: Annotated[Path | None, shown_as("FOLDER")] = None
    """Folder with the runs.jsonl to which the record is appended."""
    log: Annotated[str | None, shown_as("FILE.csv")] = None
    """Also log every epoch to this file."""
    checkpoint: Annotated[Path | None, shown_as("FOLDER")] = None
    """Folder for checkpoints; if it has some, training resumes from the last."""
    checkpoint_every: Annotated[int, tyro.conf.arg(metavar="N")] = 1
    """Epochs between checkpoints."""
    on_nonfinite: Annotated[
        Literal["stop", "skip", "restore"] | None, shown_as("stop|skip|restore")
    ] = None
    """Action if a loss is not finite: stop the run, skip the update, or restore the last checkpoint
    and resume with other data. Default: continue, and mark the run as diverged."""
    processes: tyro.conf.OmitArgPrefixes[Processes] = ALONE


def run(args: Train) -> int:
    """Trains, and shows the run; returns the exit status."""
    import jax

    from adaptive_jax.lab.training import OptimizerSpec, RunConfig, records, train
    from adaptive_jax.lab.training.settings import parse_settings
    from adaptive_jax.validation import steps

    check_logs([] if args.log is None else [args.log])
    join(args.processes)  # before anything is asked of JAX's devices
    with usage_errors():
        optimizer = OptimizerSpec.parse(args.optimizer)
        settings = parse_settings(pair for pairs in args.set for pair in pairs)
        optimizer = OptimizerSpec(optimizer.entry, {**optimizer.hyperparameters, **settings})
        config = RunConfig(
            args.workload,
            optimizer,
            epochs=args.epochs,
            seed=args.seed,
            schedule=args.schedule,
            data_dir=args.data_dir,
            on_nonfinite=args.on_nonfinite,
        )
        if args.on_nonfinite == "restore" and args.checkpoint is None:
            raise UsageError("--on-nonfinite restore needs --checkpoint")
        every = steps("checkpoint_every", args.checkpoint_every)
    is_first = jax.process_index() == 0
    if args.out is not None and is_first:
        make_folder(args.out)
    devices = jax.devices() if args.processes.distributed else None
    options = {"checkpoints": args.checkpoint, "checkpoint_every": every, "devices": devices}
    try:
        logs = [csv_logger(Path(args.log))] if args.log is not None and is_first else []
        with _checkpoint_errors(args.checkpoint), progress(logs) as callback:
            record = train(config, callback, **options)
    except KeyboardInterrupt:
        how = ": to resume from the last checkpoint, run the same command again"
        with contextlib.suppress(OSError):  # the terminal may be gone
            print(f"stopped{how if args.checkpoint else ''}", file=sys.stderr)
        raise
    if is_first:
        _show_run(record)
        if args.out is not None:
            with disk_errors(args.out / "runs.jsonl"):
                records.append(args.out / "runs.jsonl", record)
            print(f"record appended to {args.out / 'runs.jsonl'}")
    return 0


@contextlib.contextmanager
def _checkpoint_errors(folder: Path | None):
    """Converts errors of checkpoints to a usage error of one line."""
    if folder is None:
        yield
        return
    from adaptive_jax.checkpoint import CheckpointError
    from adaptive_jax.checkpoint.backend import quiet

    quiet()
    try:
        yield
    except CheckpointError as error:
        raise UsageError(error) from error


def _show_run(record) -> None:
    from rich.table import Table

    table = Table(*("epoch", *(name.replace("_", " ") for name in record.curve[0])), box=None)
    every = max(1, len(record.curve) // 20)
    for epoch, point in enumerate(record.curve, 1):
        if epoch % every == 0 or epoch == len(record.curve):
            table.add_row(str(epoch), *(f"{value:.4f}" for value in point.values()))
    terminal = console()
    terminal.print(table)
    final = record.final
    scores = [f"test loss {final['test_loss']:.4f}"]
    if "test_accuracy" in final:
        scores.insert(0, f"test accuracy {100 * final['test_accuracy']:.2f} %")
    terminal.print(
        f"{', '.join(scores)}, {record.steps} steps in {record.train_seconds:.1f} s "
        f"after {record.compile_seconds:.1f} s of compilation"
        + (", diverged" if record.diverged else "")
    )
