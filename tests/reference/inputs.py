"""Inputs shared by the recording scripts of this folder."""

import json
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent
AT = [1, 2, 5, 12, 24]
"""The updates after which parameters are recorded."""


def inputs():
    """The parameters at the start and the gradients, name -> array, of trajectories.npz."""
    with np.load(FOLDER / "trajectories.npz") as arrays:
        return tuple(
            {name: arrays[f"{kind}/{name}"] for name in ("w", "b", "s")}
            for kind in ("params0", "grads")
        )


def arguments_of(signature):
    """Name -> default of a constructor's arguments, in their order."""
    return {
        name: None if parameter.default is parameter.empty else parameter.default
        for name, parameter in signature.parameters.items()
        if name != "params" and parameter.kind is not parameter.VAR_KEYWORD
    }


def write(name, recorded):
    (FOLDER / name).write_text(json.dumps(recorded) + "\n")
