"""Codecs: how an array of float32 numbers is kept in fewer bytes.

| name | bytes a number | what is kept |
|---|---|---|
| float32 | 4 | the number |
| bfloat16 | 2 | 8 significant bits |
| float8_e4m3, float8_e5m2 | 1 + 1/32 | 4 or 3 significant bits, and a unit a block |
| int8 | 1 + 1/32 | sign and root, of 128 steps, and a unit a block |
| uint8 | 1 + 1/32 | root of a number that is not negative, of 256 steps, and a unit a block |
| int4 | 1/2 + 1/32 | sign and root, of 8 steps, and a unit a block |

**Blocks** are 32 successive numbers along the last axis (all of it where it is shorter). Each has
a unit for its largest number, as in Dettmers et al. 2022 (arXiv 2110.02861), but here it is a
power of two, kept as one byte: the exponent of a float32, whose whole range it so has. A unit
stays the same while its block's largest number moves within a factor of two, and as long as it
does, a number that has not moved is encoded as the same code, without a new rounding error.
Units that follow the largest number closely round everything anew whenever it moves; in a mean
over 1000 steps (b2 = 0.999) of squares of normal numbers, that makes the noise of stochastic
rounding 1.5 times as large.

**Roots** (companding): code k means k², so that small numbers of a block have finer steps than
large ones, as in FlashOptim (Ortiz et al. 2026, arXiv 2602.23349), which keeps second moments so.
We keep first moments so as well: with those of a small transformer and of an MLP, 8-bit roots
change Adam's update by 1.0 % and 1.2 %, FlashOptim's softsign by 1.2 % and 1.5 %, equal steps by
1.8 % and 2.2 %. Squares of integers also make decoding and encoding exact in float32.

**Rounding** is stochastic unless asked otherwise. A mean with b2 = 0.999 moves by a thousandth a
step, and the next 8-bit code is a hundredth away: rounding to nearest either never moves it or
always too far; the mean squares of the example above are then off by 15 to 47 %, with stochastic
rounding by 0.1 %.
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
    """An array in codes, and for each block of them the biased exponent of its unit.

    The codes have the array's shape: int8, uint8, or the bits of 8-bit floats as uint8; two of
    four bits share a byte of uint8. In `exponents`, uint8, the last axis has one number a block,
    255 where a number of the block is not finite. In a state both are trees of such arrays.

    >>> x = jax.ShapeDtypeStruct((64, 100), jnp.float32)
    >>> blocks = jax.eval_shape(lambda x: codec("int4").encode(x, count=0), x)
    >>> blocks.codes.shape, blocks.exponents.shape
    ((64, 50), (64, 4))
    """

    codes: jax.Array
    exponents: jax.Array


class Codec(Protocol):
    """How float32 arrays are stored; one of your own has these three functions and `signed`.

    Attributes:
      signed: whether it is for numbers of both signs, or else for squares; None where both are
        fine.

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
        """The stored array, rounded at random with `count` and `salt` as in `stochastic_round`."""
        ...

    def decode(self, stored: Any) -> jax.Array:
        """What `encode` returned, in float32."""
        ...

    def made(self, x: jax.Array | Blocks) -> bool:
        """Whether `x` is of the kind that `encode` returns."""
        ...


def _check_rounding(value):
    if value not in ("stochastic", "nearest"):
        raise ValueError(f"rounding must be 'stochastic' or 'nearest', got {value!r}")


@dataclasses.dataclass(frozen=True)
class Floats:
    """Plain floating-point numbers of another type, bfloat16 or float32.

    Args:
      dtype: its name.
      rounding: "stochastic" (default) or "nearest".

    Raises:
      ValueError: `dtype` or `rounding` is another.

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
    """8-bit floats in units of their block.

    What is not 0 never becomes 0, lest a step be divided by it: a number below the smallest of
    its block, 2^-17 (e4m3) or 2^-31 (e5m2) of the largest, becomes that one, with its sign.

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
        """The type's number for a block's unit, so large that twice as much is within its range."""
        return 2.0 ** (jnp.finfo(self.dtype).maxexp - 2)

    @property
    def _largest(self):
        """The type's largest number below two units."""
        return self._unit * (2 - 2.0 ** -jnp.finfo(self.dtype).nmant)


@dataclasses.dataclass(frozen=True)
class RootBlocks:
    r"""Integers of 8 or 4 bits whose squares are the numbers, in units of their block.

    .. math::
        x = 2\,\mathrm{sign}(k) \left(\frac{k}{K}\right)^2 unit, \qquad
        |k| < K = 2^{bits}\ (\text{signed: } 2^{bits - 1})

    Squares are divided by, so where numbers are not signed what is not 0 never becomes 0: the
    least root is 1/255 to 1/180 of the largest in its block. No step then grows by more than a
    factor of 2 by rounding, and a coordinate with still smaller gradients makes shorter steps.

    Args:
      bits: 8, or 4 for signed numbers. Arrays in 4 bits whose last axis is odd take a byte each.
      signed: False refuses negative numbers: their block becomes NaN.
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
        square = jnp.where(jnp.isfinite(square), square, 0)  # the exponent tells
        below = jnp.floor(jnp.sqrt(square))
        threshold = _threshold(self, size.shape, count, salt)
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
"""Name -> codec, as given to `with_storage`."""


def codec(name: str | Codec) -> Codec:
    """The codec of that name; a codec is itself.

    Args:
      name: one of `CODECS`, or a codec.

    Raises:
      ValueError: there is none of that name.

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
    """With the last axis as two: blocks, and the numbers of each, 0 where there are none."""
    *rows, n = x.shape
    width = max(1, min(block, n))
    padded = jnp.pad(_in_whole_blocks(x, width), [(0, 0)] * len(rows) + [(0, -n % width)])
    return padded.reshape(*rows, -(-n // width), width)


def _in_whole_blocks(x, width):
    """Without a split of the last axis, in the types of an explicit mesh, that would cut blocks."""
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
    """For each block the e of a unit 2^(e-127): its largest, times `headroom`, is below 2 units."""
    # Sizes are in the order of their bits, with NaN last. XLA's maximum of floats loses NaN in
    # large arrays on CPUs (jax 0.10.2, 0.12), writes all sizes first, and takes ten times as long.
    bits = jnp.max(rounding.as_bits(size) & 0x7FFFFFFF, axis=-1)
    largest = jax.lax.bitcast_convert_type(bits, jnp.float32)
    largest = numerics.saturate(largest * headroom, source=largest)
    return jnp.maximum(rounding.exponent_field(largest), 1).astype(jnp.uint8)


def _units(exponents):
    return rounding.power_of_two(exponents.astype(jnp.uint32))[..., None]


def _in_half_units(numbers, exponents):
    """Over half their unit: for every unit that is a product with a number not too small."""
    return numbers * rounding.power_of_two(255 - exponents.astype(jnp.uint32))[..., None]


def _pack(codes):
    """Neighbors in one byte; unchanged where the last has no neighbor."""
    *rows, n = codes.shape
    if n % 2:
        return codes
    pairs = jax.lax.bitcast_convert_type(codes.reshape(*rows, n // 2, 2), jnp.uint16)
    return ((pairs & 0x0F) | ((pairs >> 4) & 0xF0)).astype(jnp.uint8)


def _unpack(packed):
    *rows, n = packed.shape
    wide = packed.astype(jnp.uint16)
    pairs = (wide & 0x0F) | ((wide & 0xF0) << 4)
    nibbles = jax.lax.bitcast_convert_type(pairs, jnp.int8).reshape(*rows, 2 * n)
    return (nibbles ^ 8) - 8
