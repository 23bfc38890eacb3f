raise ImportError("adaptive_jax.workloads is adaptive_jax.lab.workloads since 0.2")
