"""The table in `notebooks/docs/methods.md`: from the registry, the states and the trajectories.

python -m tests.table_of_methods
"""

import json
from pathlib import Path

import jax
import jax.numpy as jnp

from adaptive_jax.optimizers.registry import OPTIMIZERS
from tests.families import PORTS

TRAJECTORIES = json.loads((Path(__file__).parent / "reference" / "trajectories.json").read_text())
LIBRARIES = {
    "torch": "PyTorch",
    "keras": "Keras",
    "adabound": "authors",
    "pytorch_optimizer": "pytorch_optimizer",
}
# Recipes that another library has as an argument of a class: what is recorded of them.
ARGUMENTS = {
    "amsgrad": {"amsgrad": True},
    "nadamw": {"decoupled_weight_decay": True},
    "amsbound": {"amsbound": True},
}
CLASSES = {"amsgrad": "Adam", "nadamw": "NAdam", "amsbound": "AdaBound"}


def bytes_per_parameter(tx) -> float:
    """What the state of a 256 × 256 matrix in float32 takes."""
    matrix = jax.ShapeDtypeStruct((256, 256), jnp.float32)
    state = jax.eval_shape(tx.init, matrix)
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state)) / matrix.size


def equal_to(name: str) -> str:
    """The libraries whose recorded trajectories of the method are met."""
    wanted = CLASSES.get(name, name.replace("_", "")).lower()
    arguments = ARGUMENTS.get(name, {})
    found = {
        case["source"]
        for case in TRAJECTORIES["cases"]
        if case["name"].lower() == wanted
        and arguments.items() <= case["kwargs"].items()
        and not (case["source"] == "pytorch_optimizer" and PORTS[case["name"]].differs)
    }
    return ", ".join(LIBRARIES[source] for source in LIBRARIES if source in found) or "its formula"


def table() -> str:
    """The table in Markdown."""
    lines = [
        "| method | what it does | paper | state, bytes a parameter | equal to |",
        "|---|---|---|---|---|",
    ]
    for name, entry in OPTIMIZERS.items():
        size = bytes_per_parameter(entry.factory())
        cells = (f"`{name}`", entry.description, entry.reference, f"{size:.2g}", equal_to(name))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
