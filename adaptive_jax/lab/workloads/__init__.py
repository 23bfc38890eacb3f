"""Workloads: the training problems of the lab. `get(name)` returns one."""

from adaptive_jax.lab.workloads.downloads import DataError as DataError
from adaptive_jax.lab.workloads.models import Model as Model
from adaptive_jax.lab.workloads.registry import WORKLOADS as WORKLOADS
from adaptive_jax.lab.workloads.registry import get as get
from adaptive_jax.lab.workloads.workload import Data as Data
from adaptive_jax.lab.workloads.workload import Split as Split
from adaptive_jax.lab.workloads.workload import Stream as Stream
from adaptive_jax.lab.workloads.workload import Workload as Workload

# After the imports from the module of the same name, which it replaces as an attribute.
from adaptive_jax.lab.workloads.simple import workload as workload  # isort: skip
