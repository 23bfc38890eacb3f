"""Workloads: the training problems of the lab. `get(name)` returns one."""

from adaptive_jax.lab.workloads.downloads import DataError as DataError
from adaptive_jax.lab.workloads.registry import WORKLOADS as WORKLOADS
from adaptive_jax.lab.workloads.registry import get as get
from adaptive_jax.lab.workloads.workload import Data as Data
from adaptive_jax.lab.workloads.workload import Split as Split
from adaptive_jax.lab.workloads.workload import Workload as Workload
