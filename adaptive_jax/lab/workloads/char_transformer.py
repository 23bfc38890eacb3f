"""A small decoder-only transformer that predicts the next byte of a text."""

import jax
import jax.numpy as jnp
from flax import nnx

from adaptive_jax.lab.workloads import text
from adaptive_jax.lab.workloads.workload import Workload

CONTEXT = 64  # bytes in a sequence
_WIDTH, _HEADS, _BLOCKS = 64, 4, 2
_VOCABULARY = 256  # all byte values, so that the model does not depend on the text
# A tenth of the text must hold one sequence and the byte that follows it.
_MINIMUM = 10 * (CONTEXT + 1)


def _load(data_dir):
    content = text.generated() if data_dir is None else text.read(data_dir, _MINIMUM)
    return text.next_bytes(content, CONTEXT)


class Block(nnx.Module):
    """A pre-norm transformer block: causal attention, then an MLP with GELU and 4x width."""

    def __init__(self, rngs: nnx.Rngs):
        self.norm1 = nnx.LayerNorm(_WIDTH, rngs=rngs)
        self.attention = nnx.MultiHeadAttention(_HEADS, _WIDTH, decode=False, rngs=rngs)
        self.norm2 = nnx.LayerNorm(_WIDTH, rngs=rngs)
        self.dense1 = nnx.Linear(_WIDTH, 4 * _WIDTH, rngs=rngs)
        self.dense2 = nnx.Linear(4 * _WIDTH, _WIDTH, rngs=rngs)

    def __call__(self, x, mask):
        x = x + self.attention(self.norm1(x), mask=mask)
        return x + self.dense2(jax.nn.gelu(self.dense1(self.norm2(x))))


class CharTransformer(nnx.Module):
    """A transformer with learned positions: two blocks of width 64 with four heads.

    Maps bytes (batch, time) to logits (batch, time, 256).
    """

    def __init__(self, rngs: nnx.Rngs):
        self.tokens = nnx.Embed(_VOCABULARY, _WIDTH, rngs=rngs)
        self.positions = nnx.Embed(CONTEXT, _WIDTH, rngs=rngs)
        self.blocks = nnx.List([Block(rngs) for _ in range(_BLOCKS)])
        self.norm = nnx.LayerNorm(_WIDTH, rngs=rngs)
        self.output = nnx.Linear(_WIDTH, _VOCABULARY, rngs=rngs)

    def __call__(self, tokens):
        x = self.tokens(tokens) + self.positions(jnp.arange(tokens.shape[1]))
        mask = nnx.make_causal_mask(tokens)
        for block in self.blocks:
            x = block(x, mask)
        return self.output(self.norm(x))


CHAR_TRANSFORMER = Workload(
    name="char_transformer",
    description="a generated or given text, a small transformer",
    load=_load,
    model=CharTransformer,
    metric="loss",
    target=0.5,
    batch_size=20,
    epochs=8,
    optimizers=("sgd:momentum=0.9", "rmsprop", "adam", "adamw", "adabound"),
    seeds=3,
    width=1,
)
