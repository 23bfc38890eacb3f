"""`python -m adaptive_jax.lab.cli`."""

import sys

from adaptive_jax.lab.cli import main

sys.exit(main())
