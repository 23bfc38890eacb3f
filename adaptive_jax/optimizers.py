raise ImportError(
    "adaptive_jax.optimizers is adaptive_jax.methods since 0.2, with adaptive_jax.registry; "
    "all public names are in adaptive_jax"
)
