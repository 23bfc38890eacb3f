raise ImportError("adaptive_jax.training is adaptive_jax.lab.training since 0.2")
