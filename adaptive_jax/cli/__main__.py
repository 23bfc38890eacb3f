"""`python -m adaptive_jax.cli`."""

import sys

from adaptive_jax.cli import main

sys.exit(main())
