"""Digests of functions and data that are the same in every process."""

import copyreg
import dataclasses
import enum
import functools
import hashlib
import importlib.metadata
import inspect
import sys
import sysconfig
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from adaptive_jax.validation import is_traced

_LENGTH = 12  # hexadecimal digits of a digest
_HASHED_BYTES = 2**24  # of an array, at once
NAME = "__identity__"
"""The attribute of a function or object whose string is digested instead of its contents."""
LIBRARIES = ("adaptive_jax", "jax", "jaxlib", "flax", "optax")
"""The packages whose versions `identity.versions` has, so that digests leave them out."""


class UnidentifiedError(ValueError):
    """A value has contents that cannot be read, such as an open file or a lock."""


def digest(*values: Any) -> str:
    """Returns a digest of values: the same for equal values, in every process.

    The digest of a function covers its compiled code, its defaults, the variables that it closes
    over and the globals that it uses, recursively. That of a class covers its methods and
    attributes, that of an object its class and contents. A function, class or module of an
    installed package counts by its name and the version of the package. An object with
    an attribute `__identity__` counts by that string.

    Raises:
      UnidentifiedError: A value, or something it refers to, cannot be read.

    >>> def scaled(factor):
    ...     return lambda x: factor * x
    >>> digest(scaled(2)) == digest(scaled(2)), digest(scaled(2)) == digest(scaled(3))
    (True, False)
    """
    walk = _Walk()
    for value in values:
        walk.add(value)
    return walk.hash.hexdigest()[:_LENGTH]


class _Walk:
    """Hashes values and all that they refer to, each object once.

    Attributes:
      hash: The hash of everything added so far.
    """

    def __init__(self):
        self.hash = hashlib.sha256()
        self._seen: dict[int, tuple[int, Any]] = {}

    def _write(self, *words):
        for word in words:
            content = word if isinstance(word, bytes) else str(word).encode()
            self.hash.update(f"{len(content)}:".encode())
            self.hash.update(content)

    def add(self, value: Any) -> None:
        if isinstance(value, (bool, int, float, complex, str, bytes, type(None), type(...))):
            content = value if isinstance(value, bytes) else repr(value)
            return self._write(type(value).__name__, content)
        if isinstance(value, (np.ndarray, np.generic, jax.Array)):
            return self._array(value)
        # Objects may refer to themselves, so one that was seen is written as its number. Constants
        # of code are exempt: whether equal ones are the same object is up to Python's compiler
        # and may differ between processes. They cannot refer to themselves.
        if not isinstance(value, (types.CodeType, tuple, frozenset)):
            if id(value) in self._seen:
                return self._write("again", self._seen[id(value)][0])
            self._seen[id(value)] = (
                len(self._seen),
                value,
            )  # so its id stays taken
        named = _named(value)
        if named is not None:
            return self._write("named", named, _version(getattr(value, "__module__", None)))
        for kinds, method in self._METHODS:
            if isinstance(value, kinds):
                return method(self, value)
        if hasattr(value, "__wrapped__"):  # jax.jit, jax.custom_jvp, ...
            parts = [getattr(value, name, None) for name in ("__wrapped__", "jvp", "fwd", "bwd")]
            return self._parts("wrapped", parts)
        return self._object(value)

    def _parts(self, kind, parts):
        parts = list(parts)
        self._write(kind, len(parts))
        for part in parts:
            self.add(part)

    def _items(self, kind, mapping):
        self._write(kind, len(mapping))
        for key, item in mapping.items():
            self.add(key)
            self.add(item)

    def _array(self, array):
        if is_traced(array):
            raise UnidentifiedError("an array whose values are not known while tracing")
        if isinstance(array, jax.Array) and jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
            self._write("key", str(array.dtype))
            array = jax.random.key_data(array)
        self._write("array", array.dtype, array.shape)
        if array.dtype == object:
            self._parts("objects", array.ravel().tolist())
            return
        # In parts, since a memory-mapped array may be larger than the memory.
        array = array if array.ndim else array[None]
        rows = max(1, _HASHED_BYTES // max(1, array[:1].nbytes))
        for start in range(0, len(array), rows):
            self.hash.update(np.ascontiguousarray(array[start : start + rows]).tobytes())

    def _code(self, code):
        # The code without its file and lines. The constants include docstrings.
        counts = code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags
        self._write("code", code.co_code, *counts)
        self._write(*code.co_names, "|", *code.co_varnames, "|", *code.co_freevars)
        self._parts("constants", code.co_consts)

    def _function(self, function):
        self._code(function.__code__)
        self.add(function.__defaults__)
        self._items("defaults", function.__kwdefaults__ or {})
        for name, cell in zip(
            function.__code__.co_freevars, function.__closure__ or (), strict=True
        ):
            self._write("closure", name)
            try:
                self.add(cell.cell_contents)
            except ValueError as error:
                if isinstance(error, UnidentifiedError):
                    raise UnidentifiedError(
                        f"{function.__qualname__}, which closes over {name}: {error}"
                    ) from error
                self._write("empty")
        if _is_installed(function.__globals__.get("__name__", "")):
            return  # made by a package, whose version counts, of what it closes over
        for name, value in _globals(function):
            self._write("global", name)
            try:
                self.add(value)
            except UnidentifiedError as error:
                raise UnidentifiedError(
                    f"{function.__qualname__}, which uses {name}: {error}"
                ) from error

    def _class(self, cls):
        self._write("class", cls.__qualname__)
        self._parts("bases", cls.__bases__)
        members = {k: v for k, v in sorted(vars(cls).items()) if _is_own(k, v)}
        self._items("members", members)

    def _set(self, value):
        self._write("set", *sorted(digest(item) for item in value))

    def _object(self, value):
        held = _held(value)
        if held is None:
            raise UnidentifiedError(f"an object of type {type(value).__name__} cannot be read")
        self.add(type(value))
        self.add(held)

    _METHODS = (
        (np.dtype, lambda walk, x: walk._write("dtype", x.name)),
        (enum.Enum, lambda walk, x: walk._write("enum", type(x).__qualname__, x.name)),
        (types.ModuleType, lambda walk, x: walk._write("module", x.__name__, _version(x.__name__))),
        (types.CodeType, _code),
        (types.FunctionType, _function),
        (types.MethodType, lambda walk, x: walk._parts("method", [x.__self__, x.__func__])),
        (functools.partial, lambda walk, x: walk._parts("partial", [x.func, x.args, x.keywords])),
        (property, lambda walk, x: walk._parts("property", [x.fget, x.fset])),
        ((staticmethod, classmethod), lambda walk, x: walk._parts("method", [x.__func__])),
        (type, _class),
        (nnx.Variable, lambda walk, x: walk._parts("variable", [type(x), x[...]])),
        (Mapping, lambda walk, x: walk._items("mapping", x)),
        ((list, tuple), lambda walk, x: walk._parts(type(x).__qualname__, x)),
        ((set, frozenset), _set),
    )


def _named(value):
    """Returns the name that stands for a value, or None.

    It is the value's `__identity__`, or its qualified name in an installed package.
    """
    given = getattr(value, NAME, None) if not isinstance(value, types.ModuleType) else None
    if isinstance(given, str):
        return given
    if isinstance(value, types.BuiltinFunctionType):
        owner = value.__self__
        if owner is None or isinstance(owner, (types.ModuleType, type)):
            return f"{value.__module__}.{value.__qualname__}"
        return None
    if not (isinstance(value, (type, types.FunctionType)) or hasattr(value, "__wrapped__")):
        return None
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not (isinstance(module, str) and isinstance(name, str)) or "<locals>" in name:
        return None
    return f"{module}.{name}" if _is_installed(module) else None


@functools.cache
def _is_installed(module: str) -> bool:
    """Returns whether a module is part of Python or of an installed package."""
    top = module.partition(".")[0]
    if top == "adaptive_jax" or top in sys.stdlib_module_names:
        return True
    path = getattr(sys.modules.get(module), "__file__", None)
    if path is None:  # part of a compiled package, or created at run time
        return top != module and _is_installed(top)
    return is_in_packages(Path(path))


def is_in_packages(path: Path) -> bool:
    """Returns whether a path is in a folder of Python's or of installed packages."""
    folders = {sysconfig.get_paths()[key] for key in ("stdlib", "platstdlib", "purelib", "platlib")}
    # Those of the user and of the system, which an environment may include.
    folders |= {p for p in sys.path if Path(p).name in ("site-packages", "dist-packages")}
    return any(path.resolve().is_relative_to(Path(folder).resolve()) for folder in folders)


def _globals(function):
    """Yields the globals that a function uses, by name, and attributes of modules among them."""
    # The code lists the names of globals and of attributes together, without the objects that the
    # attributes belong to. So every attribute of a module whose name is listed counts as used.
    names = sorted(_names(function.__code__))
    for name in names:
        if name not in function.__globals__:
            continue
        value = function.__globals__[name]
        if not isinstance(value, types.ModuleType):
            yield name, value
            continue
        yield name, (value.__name__, _version(value.__name__))
        if not _is_installed(value.__name__):
            for attribute in names:
                if hasattr(value, attribute):
                    yield f"{name}.{attribute}", getattr(value, attribute)


def _names(code):
    inner = [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
    return set(code.co_names).union(*map(_names, inner))


_LEFT_OUT = ("__dict__", "__weakref__", "__doc__", "__module__", "__annotations__", "__slots__")


def _is_own(name, member):
    """Returns whether a class's author wrote a member, and not a decorator or a metaclass."""
    if name in _LEFT_OUT or name.startswith(("_abc_", "__dataclass_", "_pytree__", "__annot")):
        return False
    readable = (types.FunctionType, staticmethod, classmethod, property, type)
    data = (bool, int, float, complex, str, bytes, tuple, list, dict, type(None), np.ndarray)
    return isinstance(member, (*readable, *data, functools.partial, jax.Array))


def _held(value):
    """Returns the contents of an object, None if they cannot be read."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name, None) for f in dataclasses.fields(value)}
    if inspect.isroutine(value):
        return None
    if hasattr(value, "__dict__") and not _is_installed(type(value).__module__):
        return {k: v for k, v in vars(value).items() if not k.startswith(("_pytree_", "_object_"))}
    reduce: Any = copyreg.dispatch_table.get(type(value))
    try:
        reduced = cast(Any, value).__reduce_ex__(2) if reduce is None else reduce(value)
    except (TypeError, ValueError, AttributeError, NotImplementedError):
        return None
    return reduced if isinstance(reduced, str) else list(reduced[1:3])


@functools.cache
def _version(module: str | None) -> str:
    """Returns the version of a module's package, empty for those in `identity.versions`."""
    top = (module or "").partition(".")[0]
    if top in (*LIBRARIES, "__main__") or top in sys.stdlib_module_names or not top:
        return ""
    packages = _packages().get(top, ())
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in sorted(set(packages)))


@functools.cache
def _packages():
    return importlib.metadata.packages_distributions()
