"""Copies the cases named here out of a folder with `trajectories.npz` and `trajectories.json`.

python tests/reference/copy_trajectories.py SOURCE_FOLDER
"""

import json
import sys
from pathlib import Path

import numpy as np

# fmt: off
SELECTION = {
    "adabound": ["AdaBound", "AdaBoundW"],
    "keras": ["Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "Ftrl", "Lamb", "Lion",
              "Nadam", "RMSprop", "SGD"],
    "torch": ["ASGD", "Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "Muon",
              "NAdam", "RAdam", "RMSprop", "Rprop", "SGD"],
    "pytorch_optimizer": ["ADOPT", "AdEMAMix", "AdaBelief", "AdaMod", "AdaShift", "Adan",
                          "DiffGrad", "LARS", "Lamb", "LaProp", "Lion", "NovoGrad", "PAdam",
                          "QHAdam", "SM3", "SWATS", "ScheduleFreeAdamW", "ScheduleFreeSGD",
                          "SignSGD", "Yogi"],
}
# fmt: on


def copy(source: Path, target: Path) -> int:
    """Writes the selected cases to `target` and returns how many there are."""
    index = json.loads((source / "trajectories.json").read_text())
    index["cases"] = [
        case for case in index["cases"] if case["name"] in SELECTION.get(case["source"], [])
    ]
    prefixes = ("params0/", "grads/", *(case["id"] + "/" for case in index["cases"]))
    with np.load(source / "trajectories.npz") as arrays:
        kept = {key: arrays[key] for key in arrays.files if key.startswith(prefixes)}
    np.savez_compressed(target / "trajectories.npz", **kept)
    (target / "trajectories.json").write_text(json.dumps(index, indent=1) + "\n")
    return len(index["cases"])


if __name__ == "__main__":
    print(copy(Path(sys.argv[1]), Path(__file__).parent), "cases")
