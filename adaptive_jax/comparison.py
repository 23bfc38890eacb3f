raise ImportError(
    "adaptive_jax.comparison is adaptive_jax.lab.comparison since 0.2; compare and Comparison are "
    "in adaptive_jax.lab, the others in adaptive_jax.lab.analysis, .report and .surfaces"
)
