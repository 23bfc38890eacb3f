raise ImportError(
    "adaptive_jax.transforms is adaptive_jax.methods since 0.2, with adaptive_jax.stages and "
    "adaptive_jax.wrappers; all public names are in adaptive_jax"
)
