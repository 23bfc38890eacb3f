"""Codecs, which store an array of float32 numbers in fewer bytes.

| name | bytes per number | stored |
|---|---|---|
| float32 | 4 | the number |
| bfloat16 | 2 | 8 significant bits |
| float8_e4m3, float8_e5m2 | 1 + 1/32 | 4 or 3 significant bits, and a unit per block |
| int8 | 1 + 1/32 | sign and root, in 128 levels, and a unit per block |
| uint8 | 1 + 1/32 | root of a nonnegative number, in 256 levels, and a unit per block |
| int4 | 1/2 + 1/32 | sign and root, in 8 levels, and a unit per block |

**Blocks** are 32 successive numbers along the last axis, or the whole axis if it is shorter. Each
block has a unit derived from its largest number, as in Dettmers et al. 2022 (arXiv 2110.02861).
Here the unit is a power of two. It is stored in one byte, as the exponent of a float32, and covers
float32's whole range. It stays the same while the block's largest number moves within a factor
of two. Meanwhile, a number that does not change keeps its code, without a new rounding error. A
unit that followed the largest number closely would round all numbers again whenever that number
moved. For the mean over 1000 steps (b2 = 0.999) of squared normal numbers, this makes the noise of
stochastic rounding 1.5 times as large.

**Roots** (companding): code k stands for k², so the levels are finer for the small numbers of a
block than for the large ones. FlashOptim (Ortiz et al. 2026, arXiv 2602.23349) stores second
moments this way. We store first moments this way, too: measured on the first moments of a small
transformer and of an MLP, 8-bit roots change Adam's update by 1.0 % and 1.2 %, FlashOptim's
softsign by 1.2 % and 1.5 %, and equal steps by 1.8 % and 2.2 %. Since the values are squares of
integers, decoding and encoding are also exact in float32.

**Rounding** is stochastic by default. A mean with b2 = 0.999 moves by a thousandth per step, and
the next 8-bit code is a hundredth away. Rounding to nearest therefore moves it either never or too
far every time. The mean squares of the example above are then off by 15 to 47 %; with stochastic
rounding they are off by 0.1 %.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, Protocol

import jax
import jax.numpy as jnp

from adaptive_jax import numerics
from adaptive_jax.storage import rounding
from adaptive_jax.typing import Scalar
from adaptive_jax.validation import near_misses, steps

Rounding = Literal["stochastic", "nearest"]


class Blocks(NamedTuple):
    """The codes of an array, and the biased exponent of each block's unit.

    `codes` has the array's shape and is int8, uint8, or the bits of 8-bit floats as uint8. Two
    4-bit codes share one uint8, which halves the last axis. `exponents` is uint8. Its last axis has
    one number per block, which is 255 if a number in the block is not finite. In an optimizer's
    state, both are trees of such arrays.

    >>> x = jax.ShapeDtypeStruct((64, 100), jnp.float32)
    >>> blocks = jax.eval_shape(lambda x: codec("int4").encode(x, count=0), x)
    >>> blocks.codes.shape, blocks.exponents.shape
    ((64, 50), (64, 4))
    """

    codes: jax.Array
    exponents: jax.Array


class Codec(Protocol):
    """The interface of a codec. Your own codec needs these three methods and `signed`.

    Attributes:
      signed: True for numbers of both signs, False for squares, None if the codec suits both.

    >>> class Float16:
    ...     signed = None
    ...     def encode(self, x, count, salt=0):
    ...         return x.astype(jnp.float16)
    ...     def decode(self, stored):
    ...         return stored.astype(jnp.float32)
    ...     def made(self, x):
    ...         return getattr(x, "dtype", None) == jnp.float16
    >>> from adaptive_jax import with_storage, momentum
    >>> tx = with_storage(momentum(0.9), trace=Float16(), minimum=1)
    >>> jax.eval_shape(tx.init, jnp.ones(2)).inner.trace.dtype
    dtype('float16')
    """

    @property
    def signed(self) -> bool | None: ...

    def encode(self, x: jax.Array, count: Scalar, salt: int = 0) -> jax.Array | Blocks:
        """Returns the stored form of `x`; `count` and `salt` are those of `stochastic_round`."""
        ...

    def decode(self, stored: Any) -> jax.Array:
        """Returns the float32 array that `stored` stands for."""
        ...

    def made(self, x: jax.Array | Blocks) -> bool:
        """Returns True if `x` has the type and dtype that `encode` returns."""
        ...


def _check_rounding(value):
    if value not in ("stochastic", "nearest"):
        raise ValueError(f"rounding must be 'stochastic' or 'nearest', got {value!r}")


@dataclasses.dataclass(frozen=True)
class Floats:
    """Stores arrays as bfloat16 or float32.

    Args:
      dtype: "bfloat16" or "float32".
      rounding: "stochastic" (default) or "nearest".

    Raises:
      ValueError: `dtype` or `rounding` has another value.

    >>> Floats("bfloat16").encode(jnp.ones(2), count=0)
    Array([1, 1], dtype=bfloat16)
    """

    dtype: Literal["bfloat16", "float32"]
    rounding: Rounding = "stochastic"
    signed = None

    def __post_init__(self) -> None:
        _check_rounding(self.rounding)
        if self.dtype not in ("bfloat16", "float32"):
            raise ValueError(f"dtype must be 'bfloat16' or 'float32', got {self.dtype!r}")

    def encode(self, x: jax.Array, count: Scalar, salt: int = 0) -> jax.Array:
        if self.dtype == "float32":
            return x
        if self.rounding == "nearest":
            return numerics.cast(x, jnp.bfloat16)
        return rounding.stochastic_round(x, jnp.bfloat16, count, salt)

    def decode(self, stored: jax.Array) -> jax.Array:
        return stored.astype(jnp.float32)

    def made(self, x: jax.Array | Blocks) -> bool:
        return not isinstance(x, Blocks) and x.dtype == self.dtype


@dataclasses.dataclass(frozen=True)
class Float8Blocks:
    """Stores arrays as 8-bit floats, in units of their block.

    A nonzero number never becomes 0, since a step may be divided by it. A number below the smallest
    one of its block, which is 2^-17 (e4m3) or 2^-31 (e5m2) of the largest, becomes that smallest
    number with its own sign.

    Args:
      dtype: "float8_e4m3fn" or "float8_e5m2".
      block: how many numbers share a unit. Default 32, as in MXFP8.
      rounding: "stochastic" (default) or "nearest".

    Raises:
      ValueError: an argument is out of range.

    Reference: the OCP Microscaling formats (Rouhani et al. 2023, arXiv 2310.10537), MXFP8.

    >>> codec = Float8Blocks("float8_e4m3fn")
    >>> print(codec.decode(codec.encode(jnp.array([1.0, -0.3, 1e-9, 0.0]), count=0)))
    [ 1.0000000e+00 -3.1250000e-01  1.5258789e-05  0.0000000e+00]
    """

    dtype: Literal["float8_e4m3fn", "float8_e5m2"]
    block: int = 32
    rounding: Rounding = "stochastic"
    signed = None

    def __post_init__(self) -> None:
        _check_rounding(self.rounding)
        steps("block", self.block)
        if self.dtype not in ("float8_e4m3fn", "float8_e5m2"):
            raise ValueError(f"dtype must be 'float8_e4m3fn' or 'float8_e5m2', got {self.dtype!r}")

    def encode(self, x: jax.Array, count: Scalar, salt: int = 0) -> Blocks:
        numbers = _blocked(x, self.block)
        exponents = _exponents(jnp.abs(numbers), headroom=2 * self._unit / self._largest)
        scaled = _in_half_units(numbers, exponents) * (self._unit / 2)
        scaled = jnp.clip(scaled, -self._largest, self._largest)
        threshold = _threshold(self, scaled.shape, count, salt)
        bits = rounding.narrow_bits(scaled, self.dtype, threshold)
        bits = jnp.where(((bits & 0x7F) == 0) & (numbers != 0), bits | 1, bits)
        return Blocks(_joined(bits, x.shape), exponents)

    def decode(self, stored: Blocks) -> jax.Array:
        bits = _blocked(stored.codes, self.block)
        codes = rounding.from_narrow_bits(bits, self.dtype)
        return _joined(codes / self._unit * _units(stored.exponents), stored.codes.shape)

    def made(self, x: jax.Array | Blocks) -> bool:
        return isinstance(x, Blocks)

    @property
    def _unit(self):
        """The largest power of two whose double is within the type's range: a block's unit."""
        return 2.0 ** (jnp.finfo(self.dtype).maxexp - 2)

    @property
    def _largest(self):
        """The largest number of the type that is below two units."""
        return self._unit * (2 - 2.0 ** -jnp.finfo(self.dtype).nmant)


@dataclasses.dataclass(frozen=True)
class RootBlocks:
    r"""Stores the roots of numbers as 8-bit or 4-bit integers, in units of their block.

    .. math::
        x = 2\,\mathrm{sign}(k) \left(\frac{k}{K}\right)^2 unit, \qquad
        |k| < K = 2^{bits}\ (\text{signed: } 2^{bits - 1})

    Steps are divided by second moments, so an unsigned nonzero number never becomes 0. The smallest
    root is 1/255 to 1/180 of the largest one in its block. Rounding then lengthens no step by more
    than a factor of 2, and a coordinate with even smaller gradients takes shorter steps.

    Args:
      bits: 8, or 4 for signed numbers. A 4-bit array whose last axis is odd takes a byte per
        number.
      signed: False is for nonnegative numbers: a block with a negative number becomes NaN.
      block: how many numbers share a unit. Default 32.
      rounding: "stochastic" (default) or "nearest".

    Raises:
      ValueError: an argument is out of range.

    >>> codec = RootBlocks(8, signed=False)
    >>> print(codec.decode(codec.encode(jnp.array([1.0, 0.25, 1e-9, 0.0]), count=0)))
    [1.0108643e+00 2.5271606e-01 3.0517578e-05 0.0000000e+00]
    """

    bits: Literal[8, 4]
    signed: bool
    block: int = 32
    rounding: Rounding = "stochastic"

    def __post_init__(self) -> None:
        _check_rounding(self.rounding)
        steps("block", self.block)
        if self.bits != 8 and not (self.bits == 4 and self.signed):
            raise ValueError(f"bits must be 8, or 4 if signed, got {self.bits!r}")

    def encode(self, x: jax.Array, count: Scalar, salt: int = 0) -> Blocks:
        numbers = _blocked(x, self.block)
        size = jnp.abs(numbers) if self.signed else jnp.where(numbers < 0, jnp.nan, numbers)
        exponents = _exponents(size, headroom=(self._levels / self._largest) ** 2)
        square = _in_half_units(size, exponents) * (self._levels**2 / 4)
        square = jnp.where(jnp.isfinite(square), square, 0)  # the exponent 255 marks the block
        below = jnp.floor(jnp.sqrt(square))
        threshold = _threshold(self, size.shape, count, salt)
        # The squares of `below` and `below + 1` differ by 2·below + 1.
        up = square - below * below > threshold * (2 * below + 1)
        root = jnp.minimum(below + up.astype(x.dtype), self._largest)
        if self.signed:
            codes = _joined(jnp.copysign(root, numbers).astype(jnp.int8), x.shape)
            return Blocks(_pack(codes) if self.bits == 4 else codes, exponents)
        root = jnp.where(size > 0, jnp.maximum(root, 1), root)
        return Blocks(_joined(root.astype(jnp.uint8), x.shape), exponents)

    def decode(self, stored: Blocks) -> jax.Array:
        packed = self.bits == 4 and stored.codes.dtype == jnp.uint8
        codes = _unpack(stored.codes) if packed else stored.codes
        root = _blocked(codes, self.block).astype(jnp.float32)
        numbers = root * jnp.abs(root) * (2 / self._levels**2) * _units(stored.exponents)
        return _joined(numbers, codes.shape)

    def made(self, x: jax.Array | Blocks) -> bool:
        return isinstance(x, Blocks)

    @property
    def _levels(self):
        return 2 ** (self.bits - self.signed)

    @property
    def _largest(self):
        return self._levels - 1


CODECS: Mapping[str, Codec] = {
    "float32": Floats("float32"),
    "bfloat16": Floats("bfloat16"),
    "float8_e4m3": Float8Blocks("float8_e4m3fn"),
    "float8_e5m2": Float8Blocks("float8_e5m2"),
    "int8": RootBlocks(8, signed=True),
    "uint8": RootBlocks(8, signed=False),
    "int4": RootBlocks(4, signed=True),
}
"""The codecs by the names that `with_storage` accepts."""


def codec(name: str | Codec) -> Codec:
    """Returns the codec with a given name.

    Args:
      name: one of `CODECS`, or a codec, which is returned as is.

    Raises:
      ValueError: no codec has this name.

    >>> codec("int9")
    Traceback (most recent call last):
      ...
    ValueError: no codec 'int9': did you mean 'int8' or 'int4' or 'uint8'?
    """
    if not isinstance(name, str):
        return name
    if name not in CODECS:
        raise ValueError(f"no codec {name!r}: {near_misses(name, CODECS)}")
    return CODECS[name]


def _threshold(codec, shape, count, salt):
    return 0.5 if codec.rounding == "nearest" else rounding.uniform(shape, count, salt)


# Blocks along the last axis.


def _blocked(x, block):
    """Splits the last axis into blocks and the numbers of each; the last block is padded with 0."""
    *rows, n = x.shape
    width = max(1, min(block, n))
    padded = jnp.pad(_in_whole_blocks(x, width), [(0, 0)] * len(rows) + [(0, -n % width)])
    return padded.reshape(*rows, -(-n // width), width)


def _in_whole_blocks(x, width):
    """Replicates the last axis if the sharding on an explicit mesh would cut through blocks."""
    sharding = jax.typeof(x).sharding
    *rows, split = sharding.spec
    names = split if isinstance(split, tuple) else (split,) if split else ()
    devices = math.prod(sharding.mesh.shape[name] for name in names)
    if not names or x.shape[-1] % (devices * width) == 0:
        return x
    whole = jax.sharding.PartitionSpec(*rows, None)
    return jax.sharding.reshard(x, jax.sharding.NamedSharding(sharding.mesh, whole))


def _joined(blocked, shape):
    *rows, count, width = blocked.shape
    return blocked.reshape(*rows, count * width)[..., : shape[-1]]


def _exponents(size, headroom):
    """Returns each block's e, for a unit of 2^(e-127): `headroom · largest` is below 2 units."""
    # Nonnegative floats sort like their bits, with NaN last. On CPUs, XLA's maximum of floats
    # loses NaN in large arrays (jax 0.10.2, 0.12), writes all sizes first, and takes ten times as
    # long as that of the bits.
    bits = jnp.max(rounding.as_bits(size) & 0x7FFFFFFF, axis=-1)
    largest = jax.lax.bitcast_convert_type(bits, jnp.float32)
    largest = numerics.saturate(largest * headroom, source=largest)
    return jnp.maximum(rounding.exponent_field(largest), 1).astype(jnp.uint8)


def _units(exponents):
    return rounding.power_of_two(exponents.astype(jnp.uint32))[..., None]


def _in_half_units(numbers, exponents):
    """Divides by half the unit, as a product: its inverse is a normal number for every unit."""
    return numbers * rounding.power_of_two(255 - exponents.astype(jnp.uint32))[..., None]


def _pack(codes):
    """Packs two neighboring codes into a byte; an odd number of codes is returned unchanged."""
    *rows, n = codes.shape
    if n % 2:
        return codes
    # A pair of int8 codes is read as one uint16; the low four bits of each byte are moved together.
    pairs = jax.lax.bitcast_convert_type(codes.reshape(*rows, n // 2, 2), jnp.uint16)
    return ((pairs & 0x0F) | ((pairs >> 4) & 0xF0)).astype(jnp.uint8)


def _unpack(packed):
    *rows, n = packed.shape
    wide = packed.astype(jnp.uint16)
    pairs = (wide & 0x0F) | ((wide & 0xF0) << 4)
    nibbles = jax.lax.bitcast_convert_type(pairs, jnp.int8).reshape(*rows, 2 * n)
    return (nibbles ^ 8) - 8  # extends the sign of a 4-bit number to 8 bits
