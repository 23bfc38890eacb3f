"""Settings of an optimizer as text: values, and the ranges to search."""

import ast
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

from adaptive_jax.lab.training import identity

_DIGITS = 4  # significant digits of a value from a range


class Range(NamedTuple):
    """A range of numbers to search for a hyperparameter.

    Attributes:
      low, high: The ends.
      scale: "log" (the text `1e-4..1e-2`), "linear" (`linear:0..0.9`) or "int" (`int:1..10`). If
        both ends of a log range are between 1/2 and 1, as for decay rates, the scale is that of
        1 - value.

    >>> Range(1e-4, 1e-2).at(0.5), Range(0.9, 0.999).at(0.5), Range(1, 10, "int").at(0.5)
    (0.001, 0.99, 6)
    """

    low: float
    high: float
    scale: Literal["log", "linear", "int"] = "log"

    def at(self, share: float) -> float:
        """Returns the value at a share of the way from `low` to `high`, which may be outside."""
        if self.scale == "int":  # each whole number has an equal part of the shares
            return int(min(self.low + max(share, 0) * (self.high - self.low + 1), self.high))
        low, high = map(self._coordinate, (self.low, self.high))
        value = low + share * (high - low)
        if self.scale == "linear":
            return _rounded(value)
        return float(1 - _rounded(10**value)) if self._complement else _rounded(10**value)

    def share(self, value: float) -> float:
        """Returns the share of a value, the inverse of `at`; NaN for one that is off the scale."""
        if self.scale == "int":
            return (value - self.low + 0.5) / (self.high - self.low + 1)
        low, high, here = map(self._coordinate, (self.low, self.high, value))
        return (here - low) / (high - low)

    @property
    def _complement(self):
        return self.low >= 0.5 and self.high < 1

    def _coordinate(self, value):
        if self.scale == "linear":
            return value
        value = 1 - value if self._complement else value
        return math.log10(value) if value > 0 else math.nan

    def __str__(self) -> str:
        scale = "" if self.scale == "log" else f"{self.scale}:"
        return f"{scale}{self.low!r}..{self.high!r}"


class Choice(tuple):
    """Values to choose from for a hyperparameter, in text `0|1e-4|1e-2` or `true|false`.

    Numbers with a fraction among them are all floats, so that they share a compiled program.

    >>> print(Choice([0, 1e-4, 1e-2]), Choice([True, False]).at(0.7))
    0.0|0.0001|0.01 False
    """

    def __new__(cls, values: Iterable[Any]) -> "Choice":
        values = list(values)
        if all(type(value) in (int, float) for value in values) and float in map(type, values):
            values = [float(value) for value in values]
        return super().__new__(cls, values)

    def at(self, share: float) -> Any:
        """Returns the value at a share in [0, 1); each value has an equal part of it."""
        return self[min(int(share * len(self)), len(self) - 1)]

    def __str__(self) -> str:
        return "|".join(map(identity.text, self))


def as_range(name: str, given: Any) -> Range | Choice:
    """Returns a range in any of its notations as a `Range` or a `Choice`.

    Args:
      name: The hyperparameter, for error messages.
      given: A `Range`, (low, high) for a log range, a list or `Choice` of values, or text.

    Raises:
      ValueError: It is none of these, or its ends are out of order or off the scale.

    >>> as_range("b1", (0.9, 0.99)), as_range("momentum", "linear:0..0.9").scale
    (Range(low=0.9, high=0.99, scale='log'), 'linear')
    """
    if isinstance(given, str):
        given = parse_value(name, given)
    if isinstance(given, (Choice, list)):
        texts = [identity.text(value) for value in given]
        if len(texts) < 2 or len(set(texts)) < len(texts):
            raise ValueError(
                f"{name} must have two or more different values to choose from, such as "
                f"0|1e-4|1e-2; got {'|'.join(texts)}"
            )
        return Choice(given)
    if not (isinstance(given, tuple) and 2 <= len(given) <= 3):
        raise ValueError(
            f"the range of {name} must be low..high, linear:low..high, int:low..high or values "
            f"such as 0|0.1; got {given!r}"
        )
    found = Range(*given)
    low, high, scale = found
    if scale not in ("log", "linear", "int"):
        raise ValueError(f"the range of {name} must be log, linear or int, got {scale!r}")
    numbers = all(isinstance(end, (int, float)) and math.isfinite(end) for end in (low, high))
    if not (numbers and low < high and (scale != "log" or low > 0)):
        hint = f". From 0, write linear:{low!r}..{high!r}" if scale == "log" and low == 0 else ""
        raise ValueError(
            f"the range of {name} must be low..high with {'0 < ' if scale == 'log' else ''}low "
            f"< high, both finite, got {low!r}..{high!r}{hint}"
        )
    if scale == "int" and not all(float(end).is_integer() for end in (low, high)):
        raise ValueError(f"the range int:{low!r}..{high!r} of {name} must have whole ends")
    if scale == "int":
        return Range(int(low), int(high), scale)
    return Range(float(low), float(high), scale)


def split_settings(text: str) -> list[str]:
    """Splits the settings in a label at the commas outside of brackets and quotes.

    >>> split_settings("betas=(0.9, 0.99),adjust='a,b',eps=1e-08")
    ['betas=(0.9, 0.99)', "adjust='a,b'", 'eps=1e-08']
    """
    return _split(text, ",")


def _split(text, separator):
    parts, depth, quote, escaped = [""], 0, "", False
    for c in text:
        if quote:
            quote = "" if c == quote and not escaped else quote
            escaped = c == "\\" and not escaped
        else:
            quote = c if c in "'\"" else ""
            depth += (c in "([{") - (c in ")]}")
        if c == separator and not quote and depth <= 0:
            parts.append("")
        else:
            parts[-1] += c
    return parts


def parse_settings(pairs: Iterable[str]) -> dict[str, Any]:
    """Parses strings of the form `key=value`.

    A value is a number, `true`, `false`, `none`, a word or a quoted string, a Python literal of a
    list, tuple or dict of these, or something to search: a `Range` or a `Choice`.

    >>> parse_settings(["learning_rate=1e-3", "nesterov=true", "mask=ndim2", "betas=(0.9, 0.99)"])
    {'learning_rate': 0.001, 'nesterov': True, 'mask': 'ndim2', 'betas': (0.9, 0.99)}
    """
    settings = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not (key and equals):
            raise ValueError(f"a setting is written key=value, such as b1=0.9; got {pair!r}")
        if key in settings:
            raise ValueError(f"{key} is set twice")
        settings[key] = parse_value(key, text)
    return settings


def parse_value(key: str, text: str) -> Any:
    """Returns the value, `Range` or `Choice` that a text means.

    Raises:
      ValueError: It means none. The message has the key.
    """
    values = _split(text, "|")
    if len(values) > 1:
        return as_range(key, Choice(parse_value(key, value) for value in values))
    scale, colon, ends = text.partition(":")
    if not colon:
        scale, ends = "log", text
    low, dots, high = ends.partition("..")
    numbers = _literal(low), _literal(high)
    if dots and all(type(end) in (int, float) for end in numbers):
        return as_range(key, (*numbers, scale))
    value = _literal(text)
    if value is not _INVALID:
        return value
    if re.fullmatch(r"[\w.]+#[0-9a-f]{8}", text):
        raise ValueError(
            f"{key} was given as {text.partition('#')[0]}, an object that text cannot hold: "
            "pass the optimizers again in Python, to CompareConfig.from_json(text, "
            "optimizers=...) or compare"
        )
    if re.fullmatch(r"[^\W\d][\w-]*", text):
        return text
    raise ValueError(
        f"{key} must be a number, true or false, a word, low..high or values such as 0|0.1; "
        f"got {text!r}"
    )


def check_words(name: str, settings: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    """Raises a ValueError if a word is given where a number, true or false belongs."""
    for key, value in settings.items():
        is_number = key == "learning_rate" or isinstance(defaults.get(key), (int, float))
        if isinstance(value, str) and is_number:
            allowed = "true or false" if isinstance(defaults.get(key), bool) else "a number"
            raise ValueError(f"{name}: {key} must be {allowed}, got {value!r}")


_INVALID = object()
_WORDS = {"true": "True", "false": "False", "none": "None", "inf": "1e999", "-inf": "-1e999"}


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(_WORDS.get(text.lower(), text))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return _INVALID


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
