raise ImportError("adaptive_jax.cli is adaptive_jax.lab.cli since 0.2")
