"""Storage of arrays in few bytes, independent of how the optimizers use them."""

from adaptive_jax.storage.codecs import CODECS as CODECS
from adaptive_jax.storage.codecs import Blocks as Blocks
from adaptive_jax.storage.codecs import Codec as Codec
from adaptive_jax.storage.codecs import Float8Blocks as Float8Blocks
from adaptive_jax.storage.codecs import Floats as Floats
from adaptive_jax.storage.codecs import RootBlocks as RootBlocks
from adaptive_jax.storage.codecs import codec as codec
from adaptive_jax.storage.rounding import stochastic_round as stochastic_round
from adaptive_jax.storage.split import Split as Split
from adaptive_jax.storage.split import merge as merge
from adaptive_jax.storage.split import split as split
