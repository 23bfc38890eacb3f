"""The registry of workloads."""

from collections.abc import Mapping

from adaptive_jax.lab.workloads.char_transformer import CHAR_TRANSFORMER
from adaptive_jax.lab.workloads.cifar import CIFAR10_CNN
from adaptive_jax.lab.workloads.digits import DIGITS_CNN, DIGITS_MLP
from adaptive_jax.lab.workloads.mnist import FASHION_MNIST_CNN, MNIST_CNN
from adaptive_jax.lab.workloads.mnist1d import MNIST1D
from adaptive_jax.lab.workloads.noisy_quadratic import NOISY_QUADRATIC
from adaptive_jax.lab.workloads.workload import Workload
from adaptive_jax.validation import near_misses

WORKLOADS: Mapping[str, Workload] = {
    w.name: w
    for w in (
        DIGITS_CNN,
        DIGITS_MLP,
        MNIST_CNN,
        FASHION_MNIST_CNN,
        CIFAR10_CNN,
        MNIST1D,
        CHAR_TRANSFORMER,
        NOISY_QUADRATIC,
    )
}
"""Name -> `Workload`."""


def get(name: str | Workload) -> Workload:
    """Returns the workload with the given name; a `Workload` is returned unchanged.

    Args:
      name: a key of `WORKLOADS`, or a `Workload`.

    Raises:
      ValueError: there is no workload with this name. The message lists similar names.

    >>> get("mnist")
    Traceback (most recent call last):
      ...
    ValueError: no workload 'mnist': did you mean 'mnist1d' or 'mnist_cnn'?
    """
    if isinstance(name, Workload):
        return name
    if not isinstance(name, str):
        raise ValueError(f"a workload must be a name or a Workload, got {name!r}")
    if name not in WORKLOADS:
        raise ValueError(f"no workload {name!r}: {near_misses(name, WORKLOADS)}")
    return WORKLOADS[name]
