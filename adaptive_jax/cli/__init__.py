"""The command line `adaptive-jax`: list, train, compare, surfaces; a file each.

What a command needs is imported where it runs: an unknown option need not wait for Flax,
Matplotlib and the rest.
"""

import sys
from collections.abc import Sequence

try:
    import tyro
except ModuleNotFoundError:
    needs = "the command line needs more packages: pip install 'adaptive_jax[lab]'"
    print(f"adaptive-jax: error: {needs}", file=sys.stderr)
    raise SystemExit(2) from None

from adaptive_jax.cli import compare, listing, surfaces, train
from adaptive_jax.cli.common import UsageError
from adaptive_jax.cli.compare import Compare
from adaptive_jax.cli.listing import List
from adaptive_jax.cli.surfaces import Surfaces
from adaptive_jax.cli.train import Train

_DESCRIPTION = "Adaptive optimizers for JAX: list them, train with one, compare several."


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit status: 2 for a usage error, 130 for Ctrl-C."""
    command = tyro.cli(
        List | Train | Compare | Surfaces,
        args=argv,
        prog="adaptive-jax",
        description=_DESCRIPTION,
    )
    commands = {
        List: listing.run,
        Train: train.run,
        Compare: compare.run,
        Surfaces: surfaces.run,
    }
    run = commands[type(command)]
    try:
        return run(command)
    except UsageError as error:
        print(f"adaptive-jax: error: {error}", file=sys.stderr)
        return 2
