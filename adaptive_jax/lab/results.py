"""A comparison in Python: run it, read its verdict, plot and save it."""

import dataclasses
import functools
import shutil
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import jax

from adaptive_jax.lab.analysis.analysis import Analysis, WorkloadAnalysis, analyze
from adaptive_jax.lab.comparison.config import CompareConfig
from adaptive_jax.lab.comparison.runs import run_protocol
from adaptive_jax.lab.report import tables
from adaptive_jax.lab.report.html import render
from adaptive_jax.lab.report.report import write_report
from adaptive_jax.lab.training import records as disk
from adaptive_jax.lab.training.callbacks import Callback
from adaptive_jax.lab.training.config import AnyOptimizer, OptimizerSpec
from adaptive_jax.lab.training.records import RunRecord
from adaptive_jax.lab.workloads.workload import Workload

if typing.TYPE_CHECKING:
    from matplotlib.axes import Axes

# Matplotlib is imported where it is used, so that a verdict does not wait for it.


@dataclasses.dataclass(frozen=True, repr=False)
class Comparison:
    """The result of a comparison: the records of its runs, and their analysis.

    A notebook shows its verdict and its table, and `print` shows the same as text. The `plot_`
    methods return Matplotlib axes in the style of the report; `axes[0].get_figure(root=True)` is
    the figure that they share.

    Attributes:
      records: the records of all runs.
      folder: the folder that holds them on disk. Default: None, they are in memory alone.

    >>> from adaptive_jax.lab import compare
    >>> comparison = compare("noisy_quadratic", ("sgd", "adam"), trials=1, seeds=2)
    >>> [row["optimizer"] for row in comparison.table()]
    ['sgd', 'adam']
    >>> axes = comparison.plot_learning_curves()
    >>> axes[0].get_xlabel()
    'epoch'
    """

    records: Sequence[RunRecord]
    folder: Path | None = None

    @classmethod
    def load(cls, folder: Path | str) -> "Comparison":
        """Loads a comparison from the folder that holds its `runs.jsonl`."""
        folder = Path(folder)
        return cls(list(disk.read(folder / "runs.jsonl")), folder)

    @functools.cached_property
    def analysis(self) -> Analysis:
        """The analysis of the records, see `analyze`."""
        return analyze(self.records)

    @property
    def verdict(self) -> str:
        """The main result, in words."""
        return self.analysis.verdict

    def table(self) -> list[dict[str, Any]]:
        """Returns a dict for each optimizer on each workload, as `pandas.DataFrame` takes them.

        The keys are "workload" and the fields of `Summary`. The best optimizer is first.
        """
        return [
            tables.as_dict(workload.workload, summary)
            for workload in self.analysis.workloads
            for summary in workload.summaries
        ]

    def plot_learning_curves(self, workload: str | None = None) -> "list[Axes]":
        """Draws training loss and validation metric by epoch, a pair of axes per eight optimizers.

        Args:
          workload: name of the workload, here and below. None is enough if there is only one.
        """
        return self._plot("learning_curves", workload)

    def plot_tuning(self, workload: str | None = None) -> "list[Axes]":
        """Draws the tuning results against learning rate and number of trials, in pairs of axes."""
        return self._plot("tuning", workload)

    def plot_differences(self, workload: str | None = None) -> "list[Axes]":
        """Draws the paired differences with their 95% intervals."""
        return self._plot("differences", workload)

    def plot_costs(self, workload: str | None = None) -> "list[Axes]":
        """Draws steps and seconds to the target, and the measured costs of the optimizers."""
        return self._plot("costs", workload)

    def plot_effective_learning_rates(self, workload: str | None = None) -> "list[Axes]":
        """Draws the distribution of effective learning rates, axes for each adaptive optimizer."""
        return self._plot("effective_learning_rates", workload)

    def save(self, folder: Path | str, formats: Sequence[str] = ("html",)) -> list[Path]:
        """Writes the records, and reports on them in the formats of `write_report`.

        Args:
          folder: is created if it is missing.
          formats: formats of the reports. Default: "html". Empty for the records alone.

        Returns:
          The paths of the reports.

        Raises:
          ValueError: the folder holds the runs of another comparison, or a format is unknown.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "runs.jsonl"
        if path.exists():
            if [run.id for run in disk.read(path)] != [run.id for run in self.records]:
                raise ValueError(f"{path} holds other runs than these: name another folder")
        else:
            for record in self.records:
                disk.append(path, record)
            config = self.folder and self.folder / "config.json"
            if config and config.exists():
                shutil.copy(config, folder)
        return write_report(folder, formats)

    def _plot(self, name, workload):
        from adaptive_jax.lab.report import charts, figures

        analysis = self._workload(workload)
        own = [record for record in self.records if record.workload == analysis.workload]
        palette = charts.report_palette(self.analysis, self.records)
        for chart in charts.workload_charts(analysis, own, palette):
            if chart.name == name:
                with figures.theme():
                    return chart.figure().axes
        raise ValueError(f"the records of {analysis.workload} have nothing to plot {name} from")

    def _workload(self, name: str | None) -> WorkloadAnalysis:
        known = {analysis.workload: analysis for analysis in self.analysis.workloads}
        if name is None and len(known) == 1:
            (name,) = known
        if name not in known:
            raise ValueError(f"workload must be one of {', '.join(known)}, got {name!r}")
        return known[name]

    def __repr__(self) -> str:
        parts = [self.verdict]
        for workload in self.analysis.workloads:
            if workload.summaries:
                columns = [column for column in tables.result_columns(workload) if column.brief]
                parts += [workload.workload, tables.text_table(columns, workload.summaries)]
        return "\n\n".join(parts)

    def _repr_html_(self) -> str:
        results = [
            (workload.workload, tables.result_columns(workload), workload.summaries)
            for workload in self.analysis.workloads
            if workload.summaries
        ]
        return render("notebook.html", verdict=self.verdict, tables=results)


def compare(
    workloads: Workload | str | Sequence[Workload | str] = "digits_cnn",
    optimizers: Sequence[OptimizerSpec | AnyOptimizer] | OptimizerSpec | AnyOptimizer = (),
    *,
    budget: Literal["quick", "default", "full"] = "default",
    trials: int | None = None,
    extra_trials: int | None = None,
    tuning_seeds: int | None = None,
    seeds: int | None = None,
    epochs: int | None = None,
    search: Literal["grid", "random"] = "grid",
    schedule: str | None = None,
    seed: int = 0,
    data_dir: str | None = None,
    width: int | None = None,
    max_memory: float | None = None,
    out: str | Path | None = None,
    callback: Callback | None = None,
) -> Comparison:
    """Compares optimizers on one or several workloads.

    This is `run_comparison` of a `CompareConfig` with these options. The run has a tuning phase,
    in which each optimizer gets the same number of trials, and final runs on new seeds.

    Args:
      workloads: a workload or the name of a registered one, or several. Default: "digits_cnn".
      optimizers: what to compare: texts such as `"sgd:momentum=0.9"` or `"optax.adamw"`, specs,
        registry entries, or factories such as `optax.adam`. An optimizer whose learning rate is
        given runs at that rate; the others are tuned. Default: the workload's own list.
      budget: "default" is the workload's budget. "quick" has a third of its epochs, and at most
        3 trials and 3 seeds. "full" has about twice its trials, 3 tuning seeds, and 4 times its
        seeds.
      trials: settings to try for each optimizer; 1 means its defaults. Default: the budget's.
      extra_trials: further trials, at most, if the best learning rate is at the edge of the grid.
        Default: 4, or 2 for "quick".
      tuning_seeds: runs of each trial, whose mean counts. Default: 1, or 3 for "full".
      seeds: final runs of each optimizer. Default: the budget's.
      epochs: epochs of every run. Default: the budget's.
      search: "grid" (default) tries learning rates on a log grid. "random" draws every
        hyperparameter that has a range, with the same random numbers for all optimizers.
      schedule: shape of the learning rate, a name in `SCHEDULES`. Default: the workload's.
      seed: the first seed of the final runs. Default: 0.
      data_dir: a folder with the data, or a text file, for workloads that read one. Default: the
        cache of downloads.
      width: runs that train side by side on each device, see `Population`. Default: the
        workload's on a CPU, as many as fit elsewhere.
      max_memory: GiB that runs side by side may take on each device. Default: half of the memory.
      out: a folder for `config.json` and `runs.jsonl`, in which an interrupted comparison
        resumes, see `run_comparison`. Default: nothing is written.
      callback: receives the plan and every epoch. Default: none.

    Returns:
      The comparison, with its records, verdict, tables and figures.

    Raises:
      ValueError: an option is refused by `CompareConfig`, or a run by `run_comparison`.
      DataError: a workload's data are missing or wrong.

    >>> optimizers = ["sgd:learning_rate=0.1", "optax.sgd:learning_rate=0.1"]
    >>> print(compare("noisy_quadratic", optimizers, seeds=3).verdict)
    sgd and optax.sgd are equal within 2.8e-05 in loss (n = 3).
    """
    config = CompareConfig(
        workloads,
        optimizers,
        budget=budget,
        trials=trials,
        extra_trials=extra_trials,
        tuning_seeds=tuning_seeds,
        seeds=seeds,
        epochs=epochs,
        search=search,
        schedule=schedule,
        seed=seed,
        data_dir=data_dir,
        width=width,
        max_memory=max_memory,
    )
    return run_comparison(config, out, callback)


def run_comparison(
    config: CompareConfig, out: str | Path | None = None, callback: Callback | None = None
) -> Comparison:
    """Runs a comparison, or resumes it.

    On each workload all tuned optimizers have the same number of trials, judged by the final
    validation metric, with seeds that no final run has. If the best learning rate is at the edge
    of the grid, up to `extra_trials` further trials extend the grid there. Final runs share initial
    parameters and order of examples across optimizers, and only they use the test set, once.

    Args:
      config: what to compare.
      out: a folder for `config.json` and `runs.jsonl`, created if it is missing. If it holds a
        comparison with the same config, finished runs are kept. Runs of code or data that changed
        since, see `Population.identity`, move to `runs.old.jsonl` and run again, and stderr says
        what changed. Default: nothing is written.
      callback: receives the plan and every epoch. Default: none.

    With several processes joined by `jax.distributed`, all call this. The first process has the
    folder, and all return the same numbers, except for times.

    Returns:
      The comparison, with its records, verdict, tables and figures.

    Raises:
      ValueError: the folder holds a comparison with another config, or another process writes to
        it; a workload's model or loss does not fit its data; an optimizer cannot be trained; or
        `out` is given and the source of a function, or a value that it uses, cannot be read.
      DataError: a workload's data are missing or wrong.

    >>> import tempfile
    >>> from adaptive_jax.lab.analysis import summarize
    >>> from adaptive_jax.lab.report import write_report
    >>> rates = "sgd:learning_rate=0.1", "sgd:learning_rate=0.01"
    >>> config = CompareConfig("noisy_quadratic", rates, seeds=2)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     comparison = run_comparison(config, folder)
    ...     [path.name for path in write_report(folder, ["md", "csv"])]
    ['report.md', 'results.csv', 'differences.csv']
    >>> [(summary.optimizer, summary.runs) for summary in summarize(comparison.records)]
    [('sgd:learning_rate=0.1', 2), ('sgd:learning_rate=0.01', 2)]
    """
    records = run_protocol(config, out, callback)
    return Comparison(records, None if out is None or jax.process_index() > 0 else Path(out))
