"""`adaptive-jax compare`."""

import contextlib
import dataclasses
import shlex
import sys
import time
from collections.abc import Sequence
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
from adaptive_jax.lab.files import read_at_most

_CONFIG_BYTES = 2**20  # at most, of a config


@dataclasses.dataclass(frozen=True)
class Compare:
    """Compare optimizers: tune on validation data, run new seeds, test, and write a report."""

    workloads: Annotated[tyro.conf.Positional[tuple[str, ...]], shown_as("[WORKLOAD ...]")] = ()
    """Workloads, see `adaptive-jax list`, or module:name; several also get standings over all.
    Default: digits_cnn."""
    optimizers: Annotated[tuple[str, ...], shown_as("OPTIMIZER ...")] = ()
    """Names, separated by spaces, with settings to fix and ranges to search after a colon: adam
    sgd:momentum=0.9,nesterov=true optax.adamw:mask=ndim2 adam:learning_rate=1e-4..1e-2
    adamw:weight_decay=0|1e-4|1e-2 sgd:momentum=linear:0..0.9 muon:ns_steps=int:3..6
    torch.Adam my_module:my_optimizer. What is fixed is not tuned. Default: the workload's."""
    quick: bool = False
    """Use a third of the epochs, at most 3 trials and 3 seeds, and 1 tuning seed."""
    full: bool = False
    """Use about twice the trials, 4 tuning seeds, and 4 times the seeds."""
    search: Annotated[Literal["grid", "sobol", "random"] | None, shown_as("grid|sobol|random")] = (
        None
    )
    """How to tune: grid, for one hyperparameter; sobol, quasi-random points for several; or random.
    Default: grid, or sobol if an optimizer has several."""
    trials: Annotated[int | None, shown_as("N")] = None
    """Settings to try first for each optimizer; 1 means its defaults. Default: the workload's."""
    extra_trials: Annotated[int | None, shown_as("N")] = None
    """Settings to try then, around the best or beyond the edge. Default: 4 (quick: 2) for each
    hyperparameter."""
    tuning_seeds: Annotated[int | None, shown_as("N")] = None
    """Runs of each trial. Default: 2 (quick: 1, full: 4)."""
    seeds: Annotated[int | None, shown_as("N")] = None
    """Final runs of each optimizer. Default: the workload's."""
    epochs: Annotated[int | None, shown_as("N")] = None
    """Epochs of every run. Default: the workload's."""
    studies: Annotated[int | None, shown_as("N")] = None
    """Independent repetitions of tuning and final runs. Default: 1."""
    seed: Annotated[int | None, shown_as("N")] = None
    """Decides all seeds and all points of the search. Default: 0."""
    min_effect: Annotated[float | None, shown_as("X")] = None
    """The smallest difference of interest, in units of the metric, such as 0.001 for a tenth of a
    point of accuracy."""
    schedule: Annotated[str | None, shown_as("NAME")] = None
    """Shape of the learning rate: constant, cosine or linear. Default: the workload's."""
    data_dir: Annotated[str | None, shown_as("FOLDER")] = None
    """Folder with the data (for char_transformer a text file). Default: the cache, else a
    download."""
    width: Annotated[int | None, shown_as("N")] = None
    """Runs side by side on each device. Default: the workload's on a CPU, else as many as fit."""
    max_memory: Annotated[float | None, shown_as("GIB")] = None
    """GiB that runs side by side may take on each device. Default: half of the memory."""
    join: Annotated[str | None, shown_as("FILE")] = None
    """runs.jsonl of another comparison with the same protocol, data and versions, whose optimizers
    join this one without being run again."""
    config: Annotated[Path | None, shown_as("FILE")] = None
    """A config.json to run again; other options replace its values."""
    resume: Annotated[Path | None, shown_as("FOLDER")] = None
    """Folder of an interrupted comparison to resume."""
    out: Annotated[Path | None, shown_as("FOLDER")] = None
    """New folder for config, runs and report. Default: comparisons/WORKLOAD-DATE-TIME."""
    format: Annotated[str, tyro.conf.arg(metavar="FORMAT,...")] = "html"
    """Formats of the report, one or several: html,md,csv,png"""
    log: Annotated[tuple[str, ...], shown_as("FILE.csv|csv|tensorboard")] = ()
    """Also log every epoch of every run: to FILE.csv, or to log.csv or tensorboard/ in the
    folder."""
    processes: tyro.conf.OmitArgPrefixes[Processes] = ALONE


def run(args: Compare) -> int:
    """Runs or resumes a comparison, and reports; returns the exit status."""
    import jax

    from adaptive_jax.lab.report.report import check_formats
    from adaptive_jax.lab.results import run_comparison

    if args.resume is not None:
        given = [f.name for f in dataclasses.fields(args) if getattr(args, f.name) != f.default]
        if others := set(given) - {"resume", "format", "log", "processes"}:
            raise UsageError(f"--resume uses the folder's own config: drop --{min(others)}")
    check_logs(args.log, "csv", "tensorboard")
    formats = list(dict.fromkeys(name.strip() for name in args.format.split(",")))
    join(args.processes)
    with usage_errors():
        check_formats(formats)
        config = _config(args)
    if jax.process_index() > 0:
        with progress() as callback:
            run_comparison(config, None, callback)
        return 0
    out = args.resume or args.out or _new_folder(config)
    if args.resume is None:
        make_folder(out)
        if any(out.iterdir()):
            raise UsageError(f"{out} is not empty: name another --out folder, or --resume it")
    with _resumable(out):
        try:
            with progress(_logs(args.log, out)) as callback:
                run_comparison(config, out, callback)
        except KeyboardInterrupt:
            _show(out, formats)
            raise
        _show(out, formats)
    return 0


@contextlib.contextmanager
def _resumable(out: Path):
    """Prints how to resume a comparison that stopped or could not be written.

    A folder in which nothing was written, as when the data are missing, is removed.
    """

    def how():
        if not (out / "config.json").exists():
            return ""
        again = f"adaptive-jax compare --resume {shlex.quote(str(out))}"
        return f": the finished runs are kept; to resume: {again}"

    try:
        with disk_errors(out, how):
            yield
    except KeyboardInterrupt:
        with contextlib.suppress(OSError):  # the terminal may be gone
            print(f"stopped{how()}", file=sys.stderr)
        raise
    finally:
        with contextlib.suppress(OSError):
            out.rmdir()


def _config(args: Compare):
    """Returns the config from the options, from a file, or from the folder to resume."""
    from adaptive_jax.lab.comparison import CompareConfig

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
        text = read_at_most(path, _CONFIG_BYTES).decode("utf-8-sig")
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {path}: {getattr(error, 'strerror', error)}") from error
    return CompareConfig.from_json(text, **settings)


def _new_folder(config) -> Path:
    name = "-".join(workload.name for workload in config.workloads[:3]).replace(":", ".")
    return Path("comparisons") / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"


def _logs(names: Sequence[str], out: Path):
    """Returns the callbacks that write logs."""
    from adaptive_jax.lab.training import TensorBoardLogger

    logs = []
    for name in dict.fromkeys(names):
        if name == "tensorboard":
            try:
                logs.append(TensorBoardLogger(out / "tensorboard"))
            except ModuleNotFoundError as error:
                raise UsageError(error) from error
        else:
            logs.append(csv_logger(out / "log.csv" if name == "csv" else Path(name)))
    return logs


def _show(out: Path, formats: Sequence[str]) -> None:
    """Writes the report of a comparison and prints its table, if it has final runs."""
    from rich.table import Table

    from adaptive_jax.lab.report import write_report
    from adaptive_jax.lab.report.tables import footnote, result_columns
    from adaptive_jax.lab.results import Comparison

    path = out / "runs.jsonl"
    if not path.exists():
        return
    reports = write_report(out, formats)
    analysis = Comparison.load(out).analysis
    terminal = console()
    terminal.print(f"{analysis.verdict}\n")
    for workload in analysis.workloads:
        if not workload.summaries:
            continue
        columns = [column for column in result_columns(workload) if column.brief]
        table = Table(box=None)
        for column in columns:
            numeric = bool(column.best)
            table.add_column(column.title, justify="right" if numeric else "left", no_wrap=numeric)
        for summary in workload.summaries:
            table.add_row(*(column.text(summary) for column in columns))
        terminal.print(table)
        terminal.print(footnote(workload))
    terminal.print(*reports, path, sep="\n", soft_wrap=True)
