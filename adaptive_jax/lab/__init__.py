"""The lab trains models, compares optimizers on them, and reports what it found.

It needs the extra packages of `pip install 'adaptive_jax[lab]'`. From the ground up, its rooms are
`workloads` (data, model and loss), `training` (runs), `statistics`, `comparison` (the protocol:
tuning and final runs), `analysis` (from records to a verdict), `report` (tables, figures, the
page), `surfaces` (paths on test functions) and `cli`. `results` joins the middle ones:
`compare` runs the protocol and returns a `Comparison` that analyzes, plots and saves itself.

Each name loads its room on first use. So training does not import the report, and the command
line refuses a wrong option before Flax is imported.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adaptive_jax.lab.analysis import Analysis as Analysis
    from adaptive_jax.lab.analysis import analyze as analyze
    from adaptive_jax.lab.comparison import CompareConfig as CompareConfig
    from adaptive_jax.lab.report import write_report as write_report
    from adaptive_jax.lab.results import Comparison as Comparison
    from adaptive_jax.lab.results import compare as compare
    from adaptive_jax.lab.results import run_comparison as run_comparison
    from adaptive_jax.lab.surfaces import tune_on_surface as tune_on_surface
    from adaptive_jax.lab.surfaces import vary_on_surface as vary_on_surface
    from adaptive_jax.lab.training import Callback as Callback
    from adaptive_jax.lab.training import OptimizerSpec as OptimizerSpec
    from adaptive_jax.lab.training import RunConfig as RunConfig
    from adaptive_jax.lab.training import RunRecord as RunRecord
    from adaptive_jax.lab.training import train as train
    from adaptive_jax.lab.workloads import Data as Data
    from adaptive_jax.lab.workloads import Model as Model
    from adaptive_jax.lab.workloads import Split as Split
    from adaptive_jax.lab.workloads import Stream as Stream
    from adaptive_jax.lab.workloads import Workload as Workload
    from adaptive_jax.lab.workloads import workload as workload

_NAMES = {
    "workloads": ("Data", "Model", "Split", "Stream", "Workload", "workload"),
    "training": ("Callback", "OptimizerSpec", "RunConfig", "RunRecord", "train"),
    "comparison": ("CompareConfig",),
    "analysis": ("Analysis", "analyze"),
    "report": ("write_report",),
    "results": ("Comparison", "compare", "run_comparison"),
    "surfaces": ("tune_on_surface", "vary_on_surface"),
}
_ROOM_OF = {name: room for room, names in _NAMES.items() for name in names}
_ROOMS = (*_NAMES, "statistics", "cli")

if not TYPE_CHECKING:  # so that type checkers report unknown names

    def __getattr__(name):
        """Imports a room, or a name from its room, on first use."""
        if name in _ROOMS:
            return importlib.import_module(f"{__name__}.{name}")
        if name in _ROOM_OF:
            return getattr(importlib.import_module(f"{__name__}.{_ROOM_OF[name]}"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_ROOMS, *_ROOM_OF})
