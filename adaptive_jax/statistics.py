raise ImportError("adaptive_jax.statistics is adaptive_jax.lab.statistics since 0.2")
