"""Analysis of jaxprs: is a function affine in each coordinate?"""

from collections.abc import Callable

import jax

from adaptive_jax.typing import PyTree

_NO_INPUT, _MIXED = -1, -2  # other values are the index of the one input leaf it depends on
_LINEAR = {"add", "add_any", "sub", "neg", "convert_element_type", "copy", "reduce_precision"}
_LINEAR |= {"real", "imag", "complex", "conj", "sharding_constraint"}


def is_affine_by_coordinate(fn: Callable[[PyTree], PyTree], tree: PyTree) -> bool:
    """Returns True if `fn(tree)` is `factor · tree + summand`, both independent of `tree`.

    The answer is read from the jaxpr. False may therefore mean that the jaxpr does not show it. A
    limit against overflow (`lax.clamp`) counts as no change.

    >>> import jax.numpy as jnp
    >>> x = jnp.ones(3)
    >>> is_affine_by_coordinate(lambda x: 2 * x + 1, x)
    True
    >>> is_affine_by_coordinate(lambda x: x / jnp.linalg.norm(x), x)
    False
    """
    jaxpr = jax.make_jaxpr(fn)(tree).jaxpr
    sources = _sources(jaxpr, list(range(len(jaxpr.invars))))
    return all(source in (_NO_INPUT, leaf) for leaf, source in enumerate(sources))


def _sources(jaxpr, sources_of_inputs):
    """Returns, for each output, the index of the input leaf it is affine in, or a marker."""
    known = dict(zip(jaxpr.invars, sources_of_inputs, strict=True))

    def source_of(atom):
        return _NO_INPUT if hasattr(atom, "val") else known.get(atom, _NO_INPUT)

    for eqn in jaxpr.eqns:
        found = _after(eqn, [source_of(atom) for atom in eqn.invars])
        known.update(zip(eqn.outvars, found, strict=True))
    return [source_of(atom) for atom in jaxpr.outvars]


def _after(eqn, sources):
    name = eqn.primitive.name
    inner = eqn.params.get("jaxpr", eqn.params.get("call_jaxpr"))
    if all(source == _NO_INPUT for source in sources) or name == "is_finite":
        return [_NO_INPUT] * len(eqn.outvars)
    if name == "optimization_barrier":
        return sources
    if name in ("jit", "pjit", "closed_call", "custom_jvp_call", "remat") and inner is not None:
        return _sources(getattr(inner, "jaxpr", inner), sources)
    used = {source for source in sources if source != _NO_INPUT}
    shapes = {
        getattr(atom.aval, "shape", None)
        for atom, source in zip(eqn.invars, sources, strict=True)
        if source != _NO_INPUT
    }
    keeps_shape = all(shapes == {out.aval.shape} for out in eqn.outvars)
    if len(used) > 1 or not keeps_shape or not _is_affine(name, sources):
        return [_MIXED] * len(eqn.outvars)
    return [used.pop()] * len(eqn.outvars)


def _is_affine(name, sources):
    """Returns True if the operation is affine in those operands that depend on the input."""
    depends = [source != _NO_INPUT for source in sources]
    if name == "mul":
        return sum(depends) == 1
    if name in ("div", "select_n"):
        return not depends[1 if name == "div" else 0]
    if name == "clamp":
        return not (depends[0] or depends[2])
    return name in _LINEAR
