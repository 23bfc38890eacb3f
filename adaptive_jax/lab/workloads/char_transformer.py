"""A small decoder-only transformer that predicts a text byte by byte."""

import jax
import jax.numpy as jnp
from flax import nnx

from adaptive_jax.lab.workloads import text
from adaptive_jax.lab.workloads.workload import Workload

CONTEXT = 64  # bytes in a sequence
_WIDTH, _HEADS, _BLOCKS = 64, 4, 2
_VOCABULARY = 256  # every byte, so that the model is the same for every text
# A tenth of the text must give a sequence and the byte after it.
_MINIMUM = 10 * (CONTEXT + 1)


def _load(data_dir):
    content = text.generated() if data_dir is None else text.read(data_dir, _MINIMUM)
    return text.next_bytes(content, CONTEXT)


class Block(nnx.Module):
    """Causal attention and a GELU network of four times the width, each after a LayerNorm."""

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
    """Two blocks of width 64 with four heads, learned positions; maps (batch, time) to logits."""

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
