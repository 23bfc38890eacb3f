"""One process, two virtual CPU devices, and JAX's strictest rules for what the library does."""

import jax
import pytest

jax.config.update("jax_num_cpu_devices", 2)


@pytest.fixture(autouse=True)
def _strict(request):
    """No implicit promotion of dtypes or ranks, but in tests of models marked `relaxed`."""
    if request.node.get_closest_marker("relaxed"):
        yield
    else:
        with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
            yield
