"""Models as pure functions, and the adapters that make them from NNX, Linen, Equinox and Haiku."""

import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen, nnx
from flax.core import meta

from adaptive_jax.typing import PyTree


class Model(NamedTuple):
    """A model as a pair of pure functions.

    Attributes:
      init: `key -> (params, state)`. The parameters are trained. The state is everything else that
        changes, such as running statistics; `()` if there is none. Both are pytrees of arrays.
      apply: `(params, state, inputs, key, train) -> (outputs, state)`. The key is a new one in each
        step. `train` is True or False, and static. The returned state has the structure, shapes
        and dtypes of the given one.
      averages: A pytree of bools with the structure of the state: which leaves are exponential
        moving averages of batch statistics that start at a constant, as those of Flax's
        `BatchNorm`. Before an evaluation they are computed anew. Default: None, which means none.

    >>> def init(key):
    ...     return {"w": 0.1 * jax.random.normal(key, (4, 2)), "b": jnp.zeros(2)}, ()
    >>> def apply(params, state, inputs, key, train):
    ...     return inputs @ params["w"] + params["b"], state
    >>> model = Model(init, apply)
    >>> params, state = model.init(jax.random.key(0))
    >>> model.apply(params, state, jnp.ones((3, 4)), None, False)[0].shape
    (3, 2)
    """

    init: Callable[[jax.Array], tuple[PyTree, PyTree]]
    apply: Callable[[PyTree, PyTree, PyTree, jax.Array, bool], tuple[PyTree, PyTree]]
    averages: PyTree = None


AnyModel = Any
"""What `as_model` takes: a `Model`, a Linen module, a Haiku transform, or a factory of an NNX or an
Equinox module."""


def as_model(model: AnyModel, inputs: PyTree) -> Model:
    """Returns a model as pure functions.

    Args:
      model: One of these:

        - a `Model`, which is returned unchanged;
        - a function or class `rngs -> nnx.Module`. `train()` and `eval()` switch the module's mode;
        - a Linen module. If its `__call__` takes `train`, `training`, `is_training`,
          `deterministic` or `use_running_average`, it is told the mode. All of its random streams
          come from the key;
        - a function or class `key -> eqx.Module`, whose argument is named `key`. The module is
          called with one example, under a `vmap` whose axis is named "batch", and with `key=` if
          it takes one. With state, the factory returns `(module, state)`, as
          `eqx.nn.make_with_state` does;
        - a Haiku transform, with or without state. If the transformed function takes `train`,
          `training` or `is_training`, it is told the mode.
      inputs: A batch of inputs, of which only shapes and dtypes matter. Linen and Haiku need it to
        create parameters.

    Raises:
      ValueError: The model is none of these. The message says what to pass instead.

    >>> model = as_model(linen.Dense(2), jnp.ones((3, 4)))
    >>> params, state = model.init(jax.random.key(0))
    >>> jax.tree.map(jnp.shape, params)
    {'bias': (2,), 'kernel': (4, 2)}
    """
    haiku, equinox = sys.modules.get("haiku"), sys.modules.get("equinox")
    if isinstance(model, Model):
        return model
    if isinstance(model, linen.Module):
        return _from_linen(model, inputs)
    if haiku and isinstance(model, haiku.TransformedWithState):
        return _from_haiku(model, inputs)
    if haiku and isinstance(model, haiku.Transformed):
        return _from_haiku(haiku.with_empty_state(model), inputs)
    if isinstance(model, nnx.Module) or (equinox and isinstance(model, equinox.Module)):
        raise ValueError(
            "model must be a function that makes the module, so that each seed has its own initial "
            f"parameters; got a {type(model).__name__}: pass the class, `lambda rngs: …` for an "
            "NNX module, or `lambda key: …` for an Equinox module"
        )
    if isinstance(model, type) and issubclass(model, linen.Module):
        raise ValueError(f"model must be a Linen module, got its class: pass {model.__name__}()")
    if not callable(model):
        raise ValueError(f"model must be {_KINDS}; got {model!r}")
    names = _parameters(model)
    return _from_equinox(model) if "key" in names and "rngs" not in names else _from_nnx(model)


_KINDS = (
    "a Model(init, apply), a function `rngs -> nnx.Module` or `key -> eqx.Module`, a Linen module, "
    "or a Haiku transform"
)
# Names of the argument that says whether a model trains -> its value in training.
_MODES = {
    "train": True,
    "training": True,
    "is_training": True,
    "deterministic": False,
    "use_running_average": False,
}


def _parameters(function: Callable) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):  # some callables written in C have no signature
        return {}


def _mode(names, train):
    return {name: train == value for name, value in _MODES.items() if name in names}


def _make(factory, name, source):
    """Calls a factory with its source of random numbers, by name if it has that name."""
    return factory(**{name: source}) if name in _parameters(factory) else factory(source)


def _zeros(inputs):
    return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), inputs)


def _from_nnx(factory):
    def make(key):
        module = _make(factory, "rngs", nnx.Rngs(key))
        if not isinstance(module, nnx.Module):
            raise ValueError(f"model must be {_KINDS}; got a function that returns {module!r}")
        return module

    # A graph definition holds the module's mode (dropout on or off, batch or running statistics)
    # as static data. So there is one for training and one for evaluation.
    module = nnx.eval_shape(lambda: make(0))
    module.train()
    train_graph, _, rest = nnx.split(module, nnx.Param, ...)
    module.eval()
    graphs = {True: train_graph, False: nnx.graphdef(module)}
    running = set(dict(nnx.to_flat_state(nnx.state(module, nnx.BatchStat))))

    def init(key):
        _, params, rest = nnx.split(make(key), nnx.Param, ...)
        return nnx.to_pure_dict(params), nnx.to_pure_dict(rest)

    def apply(params, state, inputs, key, train):
        # The forward pass writes to the module's variables (statistics, random counters).
        # copy=True gives it variables of the current trace: inside `value_and_grad` NNX refuses
        # writes to variables that belong to an enclosing trace.
        module = nnx.merge(graphs[train], params, state, copy=True)
        outputs = module(inputs)
        return outputs, nnx.to_pure_dict(nnx.state(module, nnx.Not(nnx.Param)))

    averages = jax.tree_util.tree_map_with_path(
        lambda path, _: tuple(entry.key for entry in path) in running, nnx.to_pure_dict(rest)
    )
    return Model(init, apply, averages if running else None)


def _from_linen(module, inputs):
    names = _parameters(module.__call__)

    def init(key):
        # A module takes random streams that it is not given from "params".
        variables = meta.unbox(module.init({"params": key}, _zeros(inputs), **_mode(names, True)))
        return variables.get("params", {}), {k: v for k, v in variables.items() if k != "params"}

    def apply(params, state, inputs, key, train):
        variables, streams = {"params": params, **state}, {"params": key}
        if not train:
            return module.apply(variables, inputs, rngs=streams, **_mode(names, False)), state
        outputs, changed = module.apply(
            variables, inputs, rngs=streams, mutable=list(state), **_mode(names, True)
        )
        return outputs, {**state, **changed}

    _, state = jax.eval_shape(init, jax.random.key(0))
    averages = {k: jax.tree.map(lambda _, k=k: k == "batch_stats", state[k]) for k in state}
    return Model(init, apply, averages if "batch_stats" in state else None)


def _from_haiku(transform, inputs):
    names = _parameters(transform.apply)

    def init(key):
        return transform.init(key, _zeros(inputs), **_mode(names, True))

    def apply(params, state, inputs, key, train):
        return transform.apply(params, state, key, inputs, **_mode(names, train))

    return Model(init, apply)


def _from_equinox(factory):
    import equinox as eqx

    def make(key):
        made = _make(factory, "key", key)
        module, state = made if isinstance(made, tuple) and len(made) == 2 else (made, None)
        if not isinstance(module, eqx.Module):
            raise ValueError(f"model must be {_KINDS}; got a function that returns {module!r}")
        return module, state

    abstract = eqx.filter_eval_shape(make, jax.random.key(0))
    arrays, static = eqx.partition(abstract, lambda x: isinstance(x, jax.ShapeDtypeStruct))
    trained = eqx.filter(arrays[0], lambda x: jnp.issubdtype(x.dtype, jnp.inexact))
    names = _parameters(type(abstract[0]).__call__)
    # A static field of a module may be a new function in each call of the factory, and JAX takes
    # two such modules for different structures. So all have the structures of the first.
    whole, params_structure = jax.tree.structure(arrays), jax.tree.structure(trained)
    is_trained = [jnp.issubdtype(x.dtype, jnp.inexact) for x in jax.tree.leaves(arrays[0])]
    is_trained += len(jax.tree.leaves(arrays[1])) * [False]

    def init(key):
        leaves = jax.tree.leaves(eqx.filter(make(key), eqx.is_array))
        params = [x for x, yes in zip(leaves, is_trained, strict=True) if yes]
        state = [x for x, yes in zip(leaves, is_trained, strict=True) if not yes]
        return jax.tree.unflatten(params_structure, params), state

    def apply(params, state, inputs, key, train):
        params, state = iter(jax.tree.leaves(params)), iter(state)
        leaves = [next(params) if yes else next(state) for yes in is_trained]
        module, own = eqx.combine(jax.tree.unflatten(whole, leaves), static)
        module = eqx.nn.inference_mode(module, not train)

        def example(x, key):
            keys = {"key": key} if "key" in names else {}
            return module(x, **keys) if own is None else module(x, own, **keys)

        keys = jax.random.split(key, len(jax.tree.leaves(inputs)[0]))
        out_axes = 0 if own is None else (0, None)
        outputs = jax.vmap(example, axis_name="batch", out_axes=out_axes)(inputs, keys)
        outputs, own = (outputs, None) if own is None else outputs
        changed = jax.tree.leaves(eqx.filter((module, own), eqx.is_array))
        return outputs, [x for x, yes in zip(changed, is_trained, strict=True) if not yes]

    return Model(init, apply)
