"""One process, two virtual CPU devices, and JAX's strictest rules for what the library does."""

import jax
import pytest

jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(autouse=True)
def _strict_dtypes(request):
    with jax.numpy_dtype_promotion("strict"):
        yield
