"""The table in `notebooks/docs/methods.md`: from the registry, the states and the trajectories.

What it says of equality is what `test_equals_recorded_trajectory` asserts: of each recorded case
of PyTorch, Keras and AdaBound's authors, and of the cases of pytorch_optimizer that a recipe
itself (not another chain of its stages) repeats.

python -m tests.table_of_methods
"""

import json
from pathlib import Path

import jax
import jax.numpy as jnp

from adaptive_jax.registry import OPTIMIZERS
from tests.families import PORTS
from tests.family import Port

TRAJECTORIES = json.loads((Path(__file__).parent / "reference" / "trajectories.json").read_text())
LIBRARIES = {
    "torch": "PyTorch",
    "keras": "Keras",
    "adabound": "authors",
}
# Recipes that another library has as an argument of a class: what is recorded of them.
ARGUMENTS = {
    "amsgrad": {"amsgrad": True},
    "nadamw": {"decoupled_weight_decay": True},
    "amsbound": {"amsbound": True},
}
CLASSES = {"amsgrad": "Adam", "nadamw": "NAdam", "amsbound": "AdaBound"}


def bytes_per_parameter(tx) -> float:
    """Returns the bytes of the state of a 256 × 256 matrix in float32."""
    matrix = jax.ShapeDtypeStruct((256, 256), jnp.float32)
    state = jax.eval_shape(tx.init, matrix)
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state)) / matrix.size


def equal_to(name: str) -> str:
    """The libraries whose recorded trajectories of the method are repeated."""
    wanted = CLASSES.get(name, name.replace("_", "")).lower()
    arguments = ARGUMENTS.get(name, {})
    found = {
        case["source"]
        for case in TRAJECTORIES["cases"]
        if case["source"] != "pytorch_optimizer"
        and case["name"].lower() == wanted
        and arguments.items() <= case["kwargs"].items()
    }
    equal = [LIBRARIES[source] for source in LIBRARIES if source in found]
    return ", ".join([*equal, *map(shown, ports_of(name))]) or "its formula"


def ports_of(name: str) -> list[Port]:
    """The recorded ports of pytorch_optimizer that the recipe of that name repeats."""
    recorded = {case["name"] for case in TRAJECTORIES["cases"]}
    return [
        port
        for port_name, port in PORTS.items()
        if port.recipe == name and port_name in recorded and not (port.chain or port.differs)
    ]


def shown(port: Port) -> str:
    """The library's name, and the recipe's arguments with which it equals the port's defaults."""
    arguments = [
        f"`{key}={getattr(value, '__name__', value)}`" for key, value in port.arguments.items()
    ]
    return "pytorch_optimizer" + (f" ({', '.join(arguments)})" if arguments else "")


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
