"""Records of the calls that built transformations, with source code as their repr."""

import functools
import inspect
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import optax

from adaptive_jax.validation import is_traced


class Call(NamedTuple):
    """A function and the arguments of a call. Its repr is source code."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def __repr__(self) -> str:
        bound = inspect.signature(self.function).bind(*self.args, **self.kwargs)
        texts = []
        for name, value in bound.arguments.items():
            kind = bound.signature.parameters[name].kind
            if kind is inspect.Parameter.POSITIONAL_ONLY:
                texts.append(shown(value))
            elif kind is inspect.Parameter.VAR_POSITIONAL:
                texts += map(shown, value)
            elif kind is inspect.Parameter.VAR_KEYWORD:
                texts += [f"{k}={shown(v)}" for k, v in value.items()]
            else:
                texts.append(f"{name}={shown(value)}")
        return f"{shown(self.function)}({', '.join(texts)})"

    def again(self) -> tuple[Callable[..., Any], tuple[()]]:
        """Returns the call in the form of `__reduce__`, so that unpickling repeats it."""
        return functools.partial(self.function, *self.args, **self.kwargs), ()


def shown(value: Any, depth: int = 8) -> str:
    """Returns the value's repr without memory addresses, which differ from run to run.

    A function that was built by another function, such as a schedule, is shown as a call of that
    function with the values it closes over. So is an Optax transformation, which consists of
    such functions.

    >>> shown(optax.chain(optax.clip(1.0), optax.scale(-0.1)))
    'chain(clip(max_delta=1.0), scale(step_size=-0.1))'
    """

    def inner(value):
        return shown(value, depth - 1)

    if isinstance(getattr(value, "call", None), Call):
        return repr(value)
    if isinstance(value, optax.GradientTransformation):
        return inner(value.update)
    outer, local, _ = getattr(value, "__qualname__", "").partition(".<locals>")
    if local and inspect.isfunction(value) and value.__closure__ and depth > 0:
        held = inspect.getclosurevars(value).nonlocals
        if outer == "with_extra_args_support" and "tx" in held:
            return inner(held["tx"])
        if outer == "chain" and "update_fns" in held:
            return f"chain({', '.join(map(inner, held['update_fns']))})"
        values = [f"{k}={inner(v)}" for k, v in sorted(held.items()) if v is not value]
        return f"{outer}({', '.join(values)})"
    if inspect.isroutine(value) or inspect.isclass(value):
        # The update of an Optax transformation that closes over nothing, such as identity().
        return value.__qualname__.replace(".<locals>.update_fn", "()")
    if type(value) is list:
        return f"[{', '.join(map(inner, value))}]"
    if type(value) is tuple:
        return f"({', '.join(map(inner, value))}{',' if len(value) == 1 else ''})"
    if is_traced(value):
        return f"<traced {value.dtype}>"
    if isinstance(value, jax.Array) and not value.shape:
        return repr(value.item())
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))
