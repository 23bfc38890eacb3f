"""The command line `adaptive-jax`: list, train, compare, surfaces."""

import contextlib
import dataclasses
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

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
    """Folder (or for char_transformer a text file) with the data. Default: the cache, else a
    download."""
    out: Path | None = None
    """Folder whose runs.jsonl the record is added to."""
    checkpoint: Path | None = None
    """Folder for checkpoints, and to go on from if it has some."""
    checkpoint_every: int = 1
    """So many epochs there is one."""
    on_nonfinite: Literal["stop", "skip", "restore"] | None = None
    """Where a loss is not finite: end the run, leave out the update, or go on from the last
    checkpoint with other data. Default: train on, and say that the run diverged."""
    processes: tyro.conf.OmitArgPrefixes[Processes] = Processes()


@dataclasses.dataclass(frozen=True)
class Compare:
    """Tune optimizers on validation data, run fresh seeds, test, and say what can be told."""

    workloads: tyro.conf.Positional[tuple[str, ...]] = ()
    """What to train, see `adaptive-jax list`; several are summed up. Default: digits_cnn."""
    optimizers: tuple[str, ...] = ()
    """Names, with fixed settings or ranges if wanted: adam sgd:momentum=0.9,nesterov=true
    optax.adamw adam:learning_rate=1e-4..1e-2. One with a learning_rate is not tuned. Default: the
    workload's."""
    quick: bool = False
    """A third of the epochs, 3 trials and 3 seeds."""
    full: bool = False
    """Twice the trials, 3 tuning seeds, 4 times the seeds."""
    search: Literal["grid", "random"] | None = None
    """Try the learning rate on a log grid (default), or draw whatever has a range at random."""
    trials: int | None = None
    """Settings to try for each optimizer; 1 means its default. Default: the workload's."""
    extra_trials: int | None = None
    """At most so many more beyond the edge of the grid, if the best one lies there. Default: 4."""
    tuning_seeds: int | None = None
    """Runs of each trial. Default: 1."""
    seeds: int | None = None
    """Final runs of each optimizer. Default: the workload's."""
    epochs: int | None = None
    """Default: the workload's."""
    seed: int | None = None
    """The first seed of the final runs. Default: 0."""
    schedule: str | None = None
    """Shape of the learning rate: constant, cosine or linear. Default: the workload's."""
    data_dir: str | None = None
    """Folder (or for char_transformer a text file) with the data. Default: the cache, else a
    download."""
    width: int | None = None
    """Runs side by side on each device. Default: the workload's on a CPU, else as many as fit."""
    max_memory: float | None = None
    """GiB that the runs side by side may take on each device. Default: half of what there is."""
    config: Path | None = None
    """A config.json to run again; options given besides are in place of what it says."""
    resume: Path | None = None
    """Folder of a comparison that was interrupted: go on with it."""
    out: Path | None = None
    """New folder for config, runs and report. Default: comparisons/WORKLOAD-DATE-TIME."""
    format: str = "html"
    """Of the report, one or several: html,md,csv,png"""
    log: tuple[Literal["csv", "tensorboard"], ...] = ()
    """Also write every epoch of every run to log.csv, or to tensorboard/, in the folder."""
    processes: tyro.conf.OmitArgPrefixes[Processes] = Processes()


@dataclasses.dataclass(frozen=True)
class Surfaces:
    """Draw the paths of optimizers over functions of two variables, at tuned learning rates."""

    optimizers: tuple[str, ...] = ()
    """Names, with fixed settings if wanted: adam sgd:momentum=0.9,nesterov=true.
    One with a learning_rate is not tuned. Default: six classics."""
    surface: tuple[str, ...] = ("ravine",)
    """ravine, rosenbrock, beale, himmelblau, rastrigin, saddle, several of them, or all."""
    steps: int | None = None
    """Updates to make. Default: the surface's."""
    out: Path = Path("surfaces")
    """Folder for SURFACE.png and SURFACE.gif."""
    gallery: bool = False
    """Also SURFACE_gallery.png: a small picture for every optimizer there is."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit status: 2 for a usage error, 130 for Ctrl-C."""
    command = tyro.cli(
        List | Train | Compare | Surfaces,
        args=argv,
        prog="adaptive-jax",
        description=_DESCRIPTION,
    )
    commands = {List: _list, Train: _train, Compare: _compare, Surfaces: _surfaces}
    run = commands[type(command)]
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
    import jax

    from adaptive_jax.training import OptimizerSpec, RunConfig, records, train
    from adaptive_jax.training.config import parse_settings
    from adaptive_jax.validation import steps

    _join(args.processes)  # before anything is asked of JAX's devices
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
            on_nonfinite=args.on_nonfinite,
        )
        if args.on_nonfinite == "restore" and args.checkpoint is None:
            raise UsageError("--on-nonfinite restore needs --checkpoint")
        every = steps("checkpoint_every", args.checkpoint_every)
    is_first = jax.process_index() == 0
    if args.out is not None and is_first:
        _make_folder(args.out)
    devices = jax.devices() if args.processes.distributed else None
    options = {"checkpoints": args.checkpoint, "checkpoint_every": every, "devices": devices}
    with _checkpoint_errors(args.checkpoint), _progress() as callback:
        record = train(config, callback, **options)
    if is_first:
        _show_run(record)
        if args.out is not None:
            records.append(args.out / "runs.jsonl", record)
            print(f"record added to {args.out / 'runs.jsonl'}")
    return 0


def _join(processes: Processes) -> None:
    """Makes this process one of several, if that is asked for."""
    given = {field.name: getattr(processes, field.name) for field in dataclasses.fields(processes)}
    if not given.pop("distributed"):
        for field in dataclasses.fields(processes):
            if getattr(processes, field.name) != field.default:
                raise UsageError(f"--{field.name.replace('_', '-')} needs --distributed")
        return
    from adaptive_jax.training.processes import join

    try:
        join(**given)
    except (ValueError, OSError) as error:
        raise UsageError(error) from error


def _show_run(record) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*("epoch", *(name.replace("_", " ") for name in record.curve[0])), box=None)
    every = max(1, len(record.curve) // 20)
    for epoch, point in enumerate(record.curve, 1):
        if epoch % every == 0 or epoch == len(record.curve):
            table.add_row(str(epoch), *(f"{value:.4f}" for value in point.values()))
    console = Console()
    console.print(table)
    final = record.final
    scores = [f"test loss {final['test_loss']:.4f}"]
    if "test_accuracy" in final:
        scores.insert(0, f"test accuracy {100 * final['test_accuracy']:.2f} %")
    console.print(
        f"{', '.join(scores)}, {record.steps} steps in {record.train_seconds:.1f} s "
        f"after {record.compile_seconds:.1f} s of compilation"
        + (", diverged" if record.diverged else "")
    )


def _compare(args: Compare) -> int:
    import jax

    from adaptive_jax.comparison import run_comparison
    from adaptive_jax.comparison.report import check_formats

    if args.resume is not None:
        given = [f.name for f in dataclasses.fields(args) if getattr(args, f.name) != f.default]
        if others := set(given) - {"resume", "format", "log", "processes"}:
            raise UsageError(f"--resume goes on with the folder's own config: drop --{min(others)}")
    formats = args.format.split(",")
    _join(args.processes)
    with _usage_errors():
        check_formats(formats)
        config = _config(args)
    if jax.process_index() > 0:
        with _progress() as callback:
            run_comparison(config, None, callback)
        return 0
    out = args.resume or args.out or _new_folder(config)
    if args.resume is None:
        _make_folder(out)
        if any(out.iterdir()):
            raise UsageError(f"{out} is not empty: name another --out folder, or --resume it")
    try:
        with _progress(_logs(args.log, out)) as callback:
            run_comparison(config, out, callback)
    except UsageError:  # the data are missing: leave no empty folder behind
        with contextlib.suppress(OSError):
            out.rmdir()
        raise
    except KeyboardInterrupt:
        _show(out, formats)
        again = f"adaptive-jax compare --resume {out}"
        print(f"stopped: the finished runs are kept; to go on: {again}", file=sys.stderr)
        return 130
    _show(out, formats)
    return 0


def _config(args: Compare):
    """The comparison's config: from the options, a file, or the folder to go on with."""
    from adaptive_jax.comparison import CompareConfig

    if args.quick and args.full:
        raise UsageError("give --quick or --full, not both")
    names = [field.name for field in dataclasses.fields(CompareConfig)]
    settings = {name: getattr(args, name) for name in names if name != "budget"}
    settings["budget"] = "quick" if args.quick else "full" if args.full else None
    settings = {name: value for name, value in settings.items() if value not in (None, ())}
    path = args.resume / "config.json" if args.resume is not None else args.config
    if path is None:
        return CompareConfig(**settings)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}: {getattr(error, 'strerror', error)}") from error
    return CompareConfig.from_json(text, **settings)


def _new_folder(config) -> Path:
    name = "-".join(workload.name for workload in config.workloads[:3])
    return Path("comparisons") / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"


def _logs(names: Sequence[str], out: Path):
    """The callbacks that write logs."""
    from adaptive_jax.training import CsvLogger, TensorBoardLogger

    try:
        return [
            CsvLogger(out / "log.csv") if name == "csv" else TensorBoardLogger(out / "tensorboard")
            for name in names
        ]
    except ModuleNotFoundError as error:
        raise UsageError(error) from error


def _show(out: Path, formats: Sequence[str]) -> None:
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
    console.print(*write_report(out, formats), path, sep="\n", soft_wrap=True)


def _surfaces(args: Surfaces) -> int:
    from rich.console import Console

    from adaptive_jax.comparison import surface_pictures as pictures
    from adaptive_jax.comparison.surfaces import CLASSICS, tune_on_surface
    from adaptive_jax.diagnostics import SURFACES, get_surface
    from adaptive_jax.optimizers.registry import OPTIMIZERS
    from adaptive_jax.training import OptimizerSpec
    from adaptive_jax.validation import steps

    with _usage_errors():
        optimizers = [OptimizerSpec.parse(name) for name in args.optimizers or CLASSICS]
        names = SURFACES if "all" in args.surface else dict.fromkeys(args.surface)
        surfaces = [get_surface(name) for name in names]
        if args.steps is not None:
            steps("steps", args.steps)
    _make_folder(args.out)
    console = Console()
    for surface in surfaces:
        files = [args.out / f"{surface.name}.png", args.out / f"{surface.name}.gif"]
        paths = tune_on_surface(optimizers, surface, args.steps)
        pictures.draw_trajectories(surface, paths).savefig(files[0])
        pictures.animate_trajectories(surface, paths, files[1])
        console.print(_surface_table(surface, paths))
        if args.gallery:
            files.append(args.out / f"{surface.name}_gallery.png")
            paths = tune_on_surface(OPTIMIZERS, surface, args.steps)
            pictures.draw_gallery(surface, paths).savefig(files[-1])
        console.print(*files, sep="\n", soft_wrap=True)
    return 0


def _surface_table(surface, paths):
    from rich.table import Table

    from adaptive_jax.comparison.names import short

    table = Table(surface.name, box=None)
    for heading in ("rate", "last value", "highest at end", "steps to 1/1000"):
        table.add_column(heading, justify="right", no_wrap=True)
    for path in paths:
        steps = path.steps_to(1e-3)
        table.add_row(
            short(path.optimizer.label),
            f"{path.learning_rate:g}",
            f"{path.values[-1]:.3g}",
            f"{path.highest_at_end:.3g}",
            "never" if steps is None else str(steps),
        )
    return table


@contextlib.contextmanager
def _usage_errors():
    """Turns what a configuration refuses into a usage error."""
    try:
        yield
    except ValueError as error:
        raise UsageError(error) from error


@contextlib.contextmanager
def _checkpoint_errors(folder: Path | None):
    """Turns what is wrong with checkpoints into a usage error, of one line."""
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


@contextlib.contextmanager
def _progress(callbacks: Sequence = ()):
    """A progress bar for each workload on stderr; yields the callback that advances them.

    Of several processes only the first shows them.
    """
    import jax
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    from adaptive_jax.training import Callback, Callbacks
    from adaptive_jax.workloads import DataError

    class Bars(Callback):
        def __init__(self, progress):
            self._progress, self._tasks = progress, {}

        def on_plan(self, workload, epochs):
            if workload not in self._tasks:
                self._tasks[workload] = self._progress.add_task(workload, total=0, unit="compiling")
            task = self._tasks[workload]
            total = self._progress.tasks[task].total + epochs
            self._progress.update(task, total=total)

        def on_epoch(self, epoch):
            task = self._tasks[epoch.workload]
            self._progress.update(task, advance=len(epoch.members), unit="epochs")

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[unit]},"),
        TimeElapsedColumn(),
        TextColumn("gone,"),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    # The estimate is of the mean speed so far: a short window would forget compilations.
    progress = Progress(
        *columns,
        console=Console(stderr=True),
        speed_estimate_period=3600,
        disable=jax.process_index() > 0,
    )
    try:
        with progress:
            yield Callbacks(Bars(progress), *callbacks)
    except DataError as error:
        raise UsageError(error) from error


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot make the folder {path}: {error.strerror}") from error


if __name__ == "__main__":
    sys.exit(main())
