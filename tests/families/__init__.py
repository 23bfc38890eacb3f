"""Every method's rows, one file a method or room; files are found by themselves.

A family's file has `CASES`, the rows of the contract (tests/test_contract.py), and `FORMULAS`,
each a transformation of ours beside the same method as a loop in NumPy
(tests/test_exactness.py). `PORTS`, if there, says which recorded trajectories of
pytorch_optimizer are the family's.
"""

import importlib
import pkgutil

from adaptive_jax.registry import OPTIMIZERS

MODULES = [
    importlib.import_module(f"{__name__}.{file.name}") for file in pkgutil.iter_modules(__path__)
]
CASES = [case for module in MODULES for case in module.CASES]
RECIPES = [case for case in CASES if case.make.__name__ in OPTIMIZERS]
FORMULAS = [formula for module in MODULES for formula in module.FORMULAS]
PORTS = {name: port for module in MODULES for name, port in getattr(module, "PORTS", {}).items()}
