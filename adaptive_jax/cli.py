"""The command line `adaptive-jax`: list, train, compare."""

import contextlib
import dataclasses
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

try:
    import tyro
except ModuleNotFoundError:
    needs = "the command line needs more packages: pip install 'adaptive_jax[lab]'"
    print(f"adaptive-jax: error: {needs}", file=sys.stderr)
    raise SystemExit(2) from None

# Everything else is imported where it is used: an unknown option need not wait for Flax,
# Matplotlib and the rest.

_DESCRIPTION = "Adaptive optimizers for JAX: list them, train with one, compare several."
_Repeatable = tyro.conf.UseAppendAction


class UsageError(Exception):
    """What the user asked for cannot be; the message is one line."""


@dataclasses.dataclass(frozen=True)
class List:
    """List the optimizers, with their default learning rates, and the workloads."""


@dataclasses.dataclass(frozen=True)
class Train:
    """Train one model with one optimizer."""

    workload: tyro.conf.Positional[str]
    """What to train, see `adaptive-jax list`."""
    optimizer: str = "adam"
    """Its name, see `adaptive-jax list`."""
    set: Annotated[tuple[tuple[str, ...], ...], _Repeatable] = ()
    """Hyperparameters: learning_rate=0.01 nesterov=true"""
    epochs: int | None = None
    """Default: the workload's."""
    seed: int = 0
    """Of the initial parameters and the order of the examples."""
    schedule: str | None = None
    """Shape of the learning rate: constant, cosine or linear. Default: the workload's."""
    data_dir: str | None = None
    """Folder with the data. Default: the cache, else a download."""
    out: Path | None = None
    """Folder whose runs.jsonl the record is added to."""


@dataclasses.dataclass(frozen=True)
class Compare:
    """Tune optimizers on validation data, run fresh seeds, and report test results."""

    workload: tyro.conf.Positional[str] = "digits_cnn"
    """What to train, see `adaptive-jax list`."""
    optimizers: tuple[str, ...] = ()
    """Names, with fixed settings if wanted: adam sgd:momentum=0.9,nesterov=true.
    One with a learning_rate is not tuned. Default: the workload's."""
    trials: int | None = None
    """Learning rates to try for each; 1 means its default. Default: the workload's."""
    seeds: int | None = None
    """Final runs of each. Default: the workload's."""
    epochs: int | None = None
    """Default: the workload's."""
    seed: int = 0
    """The first seed."""
    schedule: str | None = None
    """Shape of the learning rate: constant, cosine or linear. Default: the workload's."""
    data_dir: str | None = None
    """Folder with the data. Default: the cache, else a download."""
    out: Path | None = None
    """New folder for runs.jsonl and report.html. Default: comparisons/WORKLOAD-DATE-TIME."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit status: 2 for a usage error, 130 for Ctrl-C."""
    command = tyro.cli(
        List | Train | Compare, args=argv, prog="adaptive-jax", description=_DESCRIPTION
    )
    run = {List: _list, Train: _train, Compare: _compare}[type(command)]
    try:
        return run(command)
    except UsageError as error:
        print(f"adaptive-jax: error: {error}", file=sys.stderr)
        return 2


def _list(args: List) -> int:
    from adaptive_jax.optimizers.registry import OPTIMIZERS
    from adaptive_jax.workloads import WORKLOADS

    width = max(map(len, (*OPTIMIZERS, *WORKLOADS)))
    print(f"{'optimizer':<{width}}{'rate':>7}  what it does")
    for entry in OPTIMIZERS.values():
        rate = entry.defaults["learning_rate"]
        print(f"{entry.name:<{width}}{rate:>7g}  {entry.description}")
    print(f"\n{'workload':<{width}}{'epochs':>7}  what it is")
    for workload in WORKLOADS.values():
        print(f"{workload.name:<{width}}{workload.epochs:>7}  {workload.description}")
    return 0


def _train(args: Train) -> int:
    from rich.console import Console
    from rich.table import Table

    from adaptive_jax.training import OptimizerSpec, RunConfig, records, train
    from adaptive_jax.training.config import parse_settings

    with _usage_errors():
        optimizer = OptimizerSpec.parse(args.optimizer)
        settings = parse_settings(pair for pairs in args.set for pair in pairs)
        optimizer = OptimizerSpec(optimizer.name, {**optimizer.hyperparameters, **settings})
        config = RunConfig(
            args.workload,
            optimizer,
            epochs=args.epochs,
            seed=args.seed,
            schedule=args.schedule,
            data_dir=args.data_dir,
        )
        if args.out is not None:
            _make_folder(args.out)
    with _progress(f"{config.workload.name}, {optimizer.label}", config.epochs) as advance:
        record = train(config, advance)
    table = Table(*("epoch", *(name.replace("_", " ") for name in record.curve[0])), box=None)
    every = max(1, len(record.curve) // 20)
    for epoch, point in enumerate(record.curve, 1):
        if epoch % every == 0 or epoch == len(record.curve):
            table.add_row(str(epoch), *(f"{value:.4f}" for value in point.values()))
    console = Console()
    console.print(table)
    final = record.final
    console.print(
        f"test accuracy {100 * final['test_accuracy']:.2f} %, test loss {final['test_loss']:.4f}, "
        f"{record.steps} steps in {record.train_seconds:.1f} s "
        f"after {record.compile_seconds:.1f} s of compilation"
        + (", diverged" if record.diverged else "")
    )
    if args.out is not None:
        records.append(args.out / "runs.jsonl", record)
        console.print(f"record added to {args.out / 'runs.jsonl'}")
    return 0


def _compare(args: Compare) -> int:
    from adaptive_jax.comparison import CompareConfig, compare

    with _usage_errors():
        config = CompareConfig(
            args.workload,
            args.optimizers,
            trials=args.trials,
            seeds=args.seeds,
            epochs=args.epochs,
            schedule=args.schedule,
            seed=args.seed,
            data_dir=args.data_dir,
        )
    stamp = time.strftime("%Y%m%d-%H%M%S")
    out = args.out or Path("comparisons") / f"{config.workload.name}-{stamp}"
    _make_folder(out)
    if (out / "runs.jsonl").exists():
        raise UsageError(f"{out} already holds the runs of a comparison: name another --out folder")
    try:
        with _progress(config.workload.name, config.epochs_in_all) as advance:
            compare(config, out, advance)
    except UsageError:  # the data are missing: leave no empty folder behind
        with contextlib.suppress(OSError):
            out.rmdir()
        raise
    except KeyboardInterrupt:
        _show(out)
        print(f"stopped: the finished runs are in {out}", file=sys.stderr)
        return 130
    _show(out)
    return 0


def _show(out: Path) -> None:
    """Prints the table of a comparison and writes its report, if it has final runs."""
    from rich.console import Console
    from rich.table import Table

    from adaptive_jax.comparison import Comparison, write_report
    from adaptive_jax.comparison.tables import footnote, result_columns

    path = out / "runs.jsonl"
    if not path.exists():
        return
    analysis = Comparison.load(out).analysis
    console = Console()
    console.print(f"{analysis.verdict}\n")
    for each in filter(lambda each: each.rows, analysis.workloads):
        columns = [column for column in result_columns(each) if column.brief]
        table = Table(box=None)
        for column in columns:
            numeric = bool(column.best)
            table.add_column(column.title, justify="right" if numeric else "left", no_wrap=numeric)
        for row in each.rows:
            table.add_row(*(column.text(row) for column in columns))
        console.print(table)
        console.print(footnote(each))
    (report,) = write_report(out)
    console.print(f"report: {report}\nevery run: {path}", soft_wrap=True)


@contextlib.contextmanager
def _usage_errors():
    """Turns what a configuration refuses into a usage error."""
    try:
        yield
    except ValueError as error:
        raise UsageError(error) from error


@contextlib.contextmanager
def _progress(description: str, epochs: int):
    """A progress bar over epochs on stderr; yields the function that advances it."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn
    from rich.progress import TextColumn as Text

    from adaptive_jax.workloads import DataError

    columns = Text("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    try:
        with Progress(*columns, Text("{task.fields[phase]}"), console=Console(stderr=True)) as bar:
            task = bar.add_task(description, total=epochs, phase="compiling")

            def advance(runs: int) -> None:
                bar.update(task, advance=runs, phase="epochs of all runs")

            yield advance
    except DataError as error:
        raise UsageError(error) from error


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot make the folder {path}: {error.strerror}") from error


if __name__ == "__main__":
    sys.exit(main())
