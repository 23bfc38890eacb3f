"""Measures the memory of Adam's state in each storage: `python scripts/state_memory.py`.

There are 100 million parameters in ten arrays. After one jitted update that donates state and
parameters, the script adds up the bytes of all live arrays in the process, and subtracts those of
parameters and gradients.
"""

import gc

import jax
import jax.numpy as jnp
import optax

import adaptive_jax as aj

SHAPES = 10 * [(2500, 4000)]
PARAMETERS = 100_000_000
STATES = {
    "float32": {},
    "bfloat16": {"mu": "bfloat16", "nu": "bfloat16"},
    "float8": {"mu": "float8_e4m3", "nu": "float8_e4m3"},
    "int8, uint8": {"mu": "int8", "nu": "uint8"},
    "int4, uint8": {"mu": "int4", "nu": "uint8"},
}
WEIGHTS = {
    "float32": (jnp.float32, lambda tx: tx),
    "bfloat16 + 16 bits": (jnp.bfloat16, lambda tx: aj.with_master_weights(tx, bits=16)),
    "bfloat16 + 8 bits": (jnp.bfloat16, lambda tx: aj.with_master_weights(tx, bits=8)),
}


def live_bytes() -> int:
    gc.collect()
    return sum(array.nbytes for array in jax.live_arrays())


def after_a_step(tx, dtype) -> tuple[int, int]:
    """Returns the bytes of the state, and of state and parameters, after one step."""

    def step(params, state, grads):
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    before = live_bytes()
    params = [jnp.ones(shape, dtype) for shape in SHAPES]
    of_params = live_bytes() - before
    state = jax.jit(tx.init)(params)
    grads = [jnp.full(shape, 1e-3, dtype) for shape in SHAPES]
    params, state = jax.jit(step, donate_argnums=(0, 1))(params, state, grads)
    jax.block_until_ready((params, state))
    del grads
    whole = live_bytes() - before
    return whole - of_params, whole


if __name__ == "__main__":
    print(f"{PARAMETERS:.0e} parameters")
    print(f"{'parameters':20}{'state of Adam':16}{'state':>9}{'with them':>11}  bytes a parameter")
    for weights, (dtype, around) in WEIGHTS.items():
        for name, codecs in STATES.items():
            tx = aj.with_storage(aj.adam(1e-3), **codecs) if codecs else aj.adam(1e-3)
            state, whole = after_a_step(around(tx), dtype)
            print(
                f"{weights:20}{name:16}{state / 1e6:6.0f} MB{whole / 1e6:8.0f} MB"
                f"  {state / PARAMETERS:.3f} and {whole / PARAMETERS:.3f}"
            )
