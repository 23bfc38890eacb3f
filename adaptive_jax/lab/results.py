"""A comparison in Python: run it, read its verdict, plot and save it."""

import dataclasses
import functools
import shutil
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np

from adaptive_jax.lab.analysis.analysis import Analysis, WorkloadAnalysis, analyze
from adaptive_jax.lab.comparison.config import CompareConfig, Optimizers
from adaptive_jax.lab.comparison.runs import run_protocol
from adaptive_jax.lab.comparison.search import SearchName, best_trial, trials_of
from adaptive_jax.lab.report import tables
from adaptive_jax.lab.report.html import render
from adaptive_jax.lab.report.report import stored_min_effect, write_report
from adaptive_jax.lab.training import records as disk
from adaptive_jax.lab.training.callbacks import Callback
from adaptive_jax.lab.training.records import RunRecord
from adaptive_jax.lab.workloads.workload import Workload

if typing.TYPE_CHECKING:
    import pandas  # pyright: ignore[reportMissingImports]
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
      min_effect: the smallest difference of interest, see `CompareConfig`. Default: None.

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
    min_effect: float | None = None

    @classmethod
    def load(cls, folder: Path | str) -> "Comparison":
        """Loads a comparison from the folder that holds its `runs.jsonl`."""
        folder = Path(folder)
        return cls(list(disk.read(folder / "runs.jsonl")), folder, stored_min_effect(folder))

    @functools.cached_property
    def analysis(self) -> Analysis:
        """The analysis of the records, see `analyze`."""
        return analyze(self.records, self.min_effect)

    @property
    def verdict(self) -> str:
        """The main result, in words."""
        return self.analysis.verdict

    def table(self) -> list[dict[str, Any]]:
        """Returns a dict for each optimizer on each workload, as `pandas.DataFrame` takes them.

        The keys are "workload", the fields of `Summary`, and "tuned", a dict of all hyperparameters
        that were tuned, as in `best`. The best optimizer is first.
        """
        return [
            {**tables.as_dict(workload.workload, summary), "tuned": self._best(workload, summary)}
            for workload in self.analysis.workloads
            for summary in workload.summaries
        ]

    @property
    def best(self) -> dict[str, dict[str, Any]]:
        """The tuned hyperparameters: label -> name -> value, empty for what was given.

        Of several studies, those of the one whose final runs have the best validation metric. For
        several workloads there is a dict of these for each workload's name.
        """
        best = {
            analysis.workload: {s.optimizer: self._best(analysis, s) for s in analysis.summaries}
            for analysis in self.analysis.workloads
        }
        return next(iter(best.values())) if len(best) == 1 else best

    @property
    def trials(self) -> list[dict[str, Any]]:
        """All trials of tuning, a dict each, as `pandas.DataFrame` takes them.

        The keys are "workload", "optimizer", "study", "phase" ("default" for the default setting,
        else "tune"), "runs", the means of the validation metrics over them ("validation_loss", and
        "validation_accuracy" if there is one), "diverged" (how many did), and the tuned
        hyperparameters by name.
        """
        tried: dict[str, list[RunRecord]] = {}
        for run in self.records:
            if run.phase in ("tune", "default"):
                key = run.workload, run.optimizer, run.study, sorted(run.varied.items())
                tried.setdefault(repr(key), []).append(run)
        return [_trial(runs) for runs in tried.values()]

    def to_pandas(self, what: Literal["results", "trials"] = "results") -> "pandas.DataFrame":
        """Returns `table` ("results", default) or `trials` as a DataFrame.

        Raises:
          ValueError: there is no such table.
          ModuleNotFoundError: pandas is not installed.
        """
        if what not in ("results", "trials"):
            raise ValueError(f"what must be 'results' or 'trials', got {what!r}")
        try:
            import pandas  # pyright: ignore[reportMissingImports]
        except ModuleNotFoundError:
            raise ModuleNotFoundError(
                "to_pandas needs pandas: pip install pandas; table() and trials need nothing"
            ) from None
        return pandas.DataFrame(self.table() if what == "results" else self.trials)

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

    def _best(self, analysis, summary):
        """Returns what was tuned for an optimizer, of the study that validates best."""
        studies: dict[int, list[RunRecord]] = {}
        for run in self.records:
            where = run.workload, run.optimizer, run.phase
            if where == (analysis.workload, summary.optimizer, "final"):
                studies.setdefault(run.study, []).append(run)
        finals = {study: best_trial(trials_of(runs)) for study, runs in studies.items()}
        return best_trial(list(finals.values())).setting

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


def _trial(runs: list[RunRecord]) -> dict[str, Any]:
    first = runs[0]
    validation = [name for name in first.final if name.startswith("validation_")]
    return {
        "workload": first.workload,
        "optimizer": first.optimizer,
        "study": first.study,
        "phase": first.phase,
        "runs": len(runs),
        **{name: float(np.mean([run.final[name] for run in runs])) for name in validation},
        "diverged": sum(run.diverged for run in runs),
        **first.varied,
    }


def compare(
    workloads: Workload | str | Sequence[Workload | str] = "digits_cnn",
    optimizers: Optimizers = (),
    *,
    budget: Literal["quick", "default", "full"] = "default",
    trials: int | None = None,
    extra_trials: int | None = None,
    tuning_seeds: int | None = None,
    seeds: int | None = None,
    epochs: int | None = None,
    search: SearchName | None = None,
    schedule: str | None = None,
    studies: int = 1,
    seed: int = 0,
    min_effect: float | None = None,
    join: str | None = None,
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
        registry entries, factories such as `optax.adam`, or transformations such as
        `optax.adam(1e-3)`, which run as they are. A dict gives them labels. What has a range and
        is not given is tuned: the learning rate, and the weight decay of methods with one.
        Default: the workload's own list.
      budget: "default" is the workload's budget, with 2 tuning seeds. "quick" has a third of its
        epochs, at most 3 trials and 3 seeds, and 1 tuning seed. "full" has about twice its trials,
        4 tuning seeds, and 4 times its seeds. Trials are multiplied by the largest number of
        hyperparameters that an optimizer tunes.
      trials: settings to try first for each optimizer, besides its default one; 1 means its
        defaults, without tuning. Default: the budget's.
      extra_trials: settings to try afterwards, around the best one or beyond the edge. Default: 4,
        or 2 for "quick", for each hyperparameter.
      tuning_seeds: runs of each trial, whose mean counts. Default: the budget's.
      seeds: final runs of each optimizer. Default: the budget's.
      epochs: epochs of every run. Default: the budget's.
      search: "grid" tries one hyperparameter at even distances, "sobol" all of them at quasi-random
        points; both refine around the best. "random" draws all trials independently. Each name has
        the same points for all optimizers. Default: "grid" if none of them tunes more than one
        hyperparameter, else "sobol".
      schedule: shape of the learning rate, a name in `SCHEDULES`. Default: the workload's.
      studies: independent repetitions of tuning and final runs, so that tuning's luck shows in the
        results. Default: 1.
      seed: decides all seeds and points. Default: 0.
      min_effect: the smallest difference of interest, in units of the metric, see `analyze`.
        Default: None.
      join: a file `runs.jsonl` of another comparison, whose optimizers join this one without being
        run again. Its protocol, data and versions must be the same. Default: none.
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
        studies=studies,
        seed=seed,
        min_effect=min_effect,
        join=join,
        data_dir=data_dir,
        width=width,
        max_memory=max_memory,
    )
    return run_comparison(config, out, callback)


def run_comparison(
    config: CompareConfig, out: str | Path | None = None, callback: Callback | None = None
) -> Comparison:
    """Runs a comparison, or resumes it.

    On each workload all tuned optimizers try the same number of settings, their default one among
    them, judged by the final validation metric, with seeds that no final run has. The last
    `extra_trials` of them refine the search around the best one, or extend it beyond the edge, and
    the winner may lie between them, see `comparison.search`. Final runs share initial parameters
    and order of examples across optimizers, and only they use the test set, once.

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
      FolderError: `join` of the config cannot be joined; the message says in what it differs.

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
    folder = None if out is None or jax.process_index() > 0 else Path(out)
    return Comparison(records, folder, config.min_effect)
