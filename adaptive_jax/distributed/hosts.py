"""Arrays on the host, wherever they are."""

import jax
import numpy as np
from jax.experimental import multihost_utils


def on_host(x: jax.Array) -> np.ndarray:
    """The whole array as NumPy's; one that is spread over processes is gathered by all of them."""
    if x.is_fully_addressable or x.is_fully_replicated:
        return np.asarray(x)
    return np.asarray(multihost_utils.process_allgather(x, tiled=True))
