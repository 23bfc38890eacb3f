"""`adaptive-jax compare`."""

import contextlib
import dataclasses
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import tyro

from adaptive_jax.lab.cli.common import (
    UsageError,
    console,
    disk_errors,
    make_folder,
    progress,
    usage_errors,
)
from adaptive_jax.lab.cli.processes import ALONE, Processes, join
from adaptive_jax.lab.files import read_at_most

_CONFIG_BYTES = 2**20  # at most, of a config


@dataclasses.dataclass(frozen=True)
class Compare:
    """Compare optimizers: tune on validation data, run new seeds, test, and write a report."""

    workloads: tyro.conf.Positional[tuple[str, ...]] = ()
    """Workloads, see `adaptive-jax list`; several also get standings over all. Default:
    digits_cnn."""
    optimizers: tuple[str, ...] = ()
    """Names, optionally with fixed settings or ranges: adam sgd:momentum=0.9,nesterov=true
    optax.adamw adam:learning_rate=1e-4..1e-2. A fixed learning_rate is not tuned. Default: the
    workload's."""
    quick: bool = False
    """Use a third of the epochs, and at most 3 trials and 3 seeds."""
    full: bool = False
    """Use about twice the trials, 3 tuning seeds, and 4 times the seeds."""
    search: Literal["grid", "random"] | None = None
    """Tune the learning rate on a log grid (default), or all hyperparameters with ranges at
    random."""
    trials: int | None = None
    """Settings to try for each optimizer; 1 means its defaults. Default: the workload's."""
    extra_trials: int | None = None
    """Further trials, at most, if the best rate is at the edge. Default: 4 (quick: 2)."""
    tuning_seeds: int | None = None
    """Runs of each trial. Default: 1 (full: 3)."""
    seeds: int | None = None
    """Final runs of each optimizer. Default: the workload's."""
    epochs: int | None = None
    """Epochs of every run. Default: the workload's."""
    seed: int | None = None
    """The first seed of the final runs. Default: 0."""
    schedule: str | None = None
    """Shape of the learning rate: constant, cosine or linear. Default: the workload's."""
    data_dir: str | None = None
    """Folder with the data (for char_transformer a text file). Default: the cache, else a
    download."""
    width: int | None = None
    """Runs side by side on each device. Default: the workload's on a CPU, else as many as fit."""
    max_memory: float | None = None
    """GiB that runs side by side may take on each device. Default: half of the memory."""
    config: Path | None = None
    """A config.json to run again; other options replace its values."""
    resume: Path | None = None
    """Folder of an interrupted comparison to resume."""
    out: Path | None = None
    """New folder for config, runs and report. Default: comparisons/WORKLOAD-DATE-TIME."""
    format: str = "html"
    """Formats of the report, one or several: html,md,csv,png"""
    log: tuple[Literal["csv", "tensorboard"], ...] = ()
    """Also log every epoch of every run to log.csv, or to tensorboard/, in the folder."""
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
    name = "-".join(workload.name for workload in config.workloads[:3])
    return Path("comparisons") / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"


def _logs(names: Sequence[str], out: Path):
    """Returns the callbacks that write logs."""
    from adaptive_jax.lab.training import CsvLogger, TensorBoardLogger

    try:
        return [
            CsvLogger(out / "log.csv") if name == "csv" else TensorBoardLogger(out / "tensorboard")
            for name in dict.fromkeys(names)
        ]
    except ModuleNotFoundError as error:
        raise UsageError(error) from error


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
