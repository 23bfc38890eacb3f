"""`adaptive-jax surfaces`."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from adaptive_jax.lab.cli.common import (
    console,
    disk_errors,
    make_folder,
    shown_as,
    usage_errors,
)

_MOST_STEPS = 100_000  # each is drawn, and 50 learning rates run at once


@dataclasses.dataclass(frozen=True)
class Surfaces:
    """Draw the paths of optimizers over functions of two variables, at tuned learning rates."""

    optimizers: Annotated[tuple[str, ...], shown_as("OPTIMIZER ...")] = ()
    """Names, optionally with fixed settings: adam sgd:momentum=0.9,nesterov=true.
    A fixed learning_rate is not tuned. Default: six classic optimizers."""
    surface: Annotated[tuple[str, ...], tyro.conf.arg(metavar="SURFACE ...")] = ("ravine",)
    """One or several of ravine, rosenbrock, beale, himmelblau, rastrigin, saddle; or all."""
    steps: Annotated[int | None, shown_as("N")] = None
    """Number of updates. Default: the surface's."""
    out: Annotated[Path, tyro.conf.arg(metavar="FOLDER")] = Path("surfaces")
    """Folder for SURFACE.png and SURFACE.gif."""
    gallery: bool = False
    """Also write SURFACE_gallery.png with a small picture of every optimizer."""


def run(args: Surfaces) -> int:
    """Tunes and draws; returns the exit status."""
    from adaptive_jax.diagnostics import SURFACES, get_surface
    from adaptive_jax.lab.surfaces import pictures as pictures
    from adaptive_jax.lab.surfaces.trajectories import CLASSICS, tune_on_surface
    from adaptive_jax.lab.training import OptimizerSpec
    from adaptive_jax.registry import OPTIMIZERS
    from adaptive_jax.validation import steps

    with usage_errors():
        optimizers = [OptimizerSpec.parse(name) for name in args.optimizers or CLASSICS]
        names = SURFACES if "all" in args.surface else dict.fromkeys(args.surface)
        surfaces = [get_surface(name) for name in names]
        if not surfaces:
            raise ValueError("--surface needs a name, such as ravine, or all")
        if args.steps is not None:
            steps("steps", args.steps, maximum=_MOST_STEPS)
    make_folder(args.out)
    terminal = console()
    for surface in surfaces:
        files = [args.out / f"{surface.name}.png", args.out / f"{surface.name}.gif"]
        paths = tune_on_surface(optimizers, surface, args.steps)
        with disk_errors(args.out):
            pictures.draw_trajectories(surface, paths).savefig(files[0])
            pictures.animate_trajectories(surface, paths, files[1])
        terminal.print(_surface_table(surface, paths))
        if args.gallery:
            files.append(args.out / f"{surface.name}_gallery.png")
            paths = tune_on_surface(OPTIMIZERS, surface, args.steps)
            with disk_errors(args.out):
                pictures.draw_gallery(surface, paths).savefig(files[-1])
        terminal.print(*files, sep="\n", soft_wrap=True)
    return 0


def _surface_table(surface, paths):
    from rich.table import Table

    from adaptive_jax.lab.analysis.labels import short_label

    table = Table(surface.name, box=None)
    for heading in ("rate", "last value", "highest at end", "steps to 1/1000"):
        table.add_column(heading, justify="right", no_wrap=True)
    for path in paths:
        steps = path.steps_to(1e-3)
        table.add_row(
            short_label(path.optimizer.label),
            f"{path.learning_rate:g}",
            f"{path.values[-1]:.3g}",
            f"{path.highest_at_end:.3g}",
            "never" if steps is None else str(steps),
        )
    return table
