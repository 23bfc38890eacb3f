"""The numerics contract: every property over every row of the tables in tests/families.

Loops that are not about `jit` are plain Python: their operations are compiled once for all rows,
where a jitted scan is compiled for each. The suite must stay quick with this many rows.
"""

import dataclasses
import functools
import re
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import adaptive_jax as aj
from adaptive_jax import numerics, registry
from tests.families import CASES, RECIPES
from tests.family import LR

every_case = pytest.mark.parametrize("case", CASES, ids=repr)
every_structure = pytest.mark.parametrize(
    "case", [case for case in CASES if not case.numbers_only], ids=repr
)
every_recipe = pytest.mark.parametrize("case", RECIPES, ids=repr)
STEPS = 5
DTYPES = [jnp.float16, jnp.bfloat16, jnp.float32]


def make_params(dtype=jnp.float32):
    return {
        "w": jnp.linspace(-1, 1, 6).reshape(2, 3).astype(dtype),
        "b": jnp.array([0.5, 0.0, -2.0], dtype),
        "s": jnp.array(0.25, dtype),
    }


def make_grads(steps=STEPS, dtype=jnp.float32, seed=0):
    rng = np.random.default_rng(seed)
    return jax.tree.map(
        lambda p: jnp.asarray(rng.normal(size=(steps, *p.shape)), dtype), make_params()
    )


def move(params, updates):
    with jax.numpy_dtype_promotion("standard"):  # optax.apply_updates mixes dtypes
        return optax.apply_updates(params, updates)


def loop(tx, params, grads, steps=STEPS):
    """Parameters and state after `steps` updates, and all updates, one operation at a time."""
    grads = jax.tree.map(np.asarray, grads)
    state = tx.init(params)
    path = []
    for i in range(steps):
        g = jax.tree.map(lambda g, i=i: jnp.asarray(g[i]), grads)
        updates, state = tx.update(g, state, params)
        params = move(params, updates)
        path.append(updates)
    return params, state, jax.tree.map(lambda *u: np.stack(u), *path)


def loop_through_cond(wrap, tx, params, grads, steps=STEPS):
    """`loop` for `wrap(tx)`, which branches by `lax.cond`, without compiling both branches.

    That they trace, and have the same types, `eval_shape` shows.
    """
    wrapped = wrap(tx)
    jax.eval_shape(wrapped.update, params, wrapped.init(params), params)
    with jax.disable_jit():
        return loop(wrap(compiled_within(tx)), params, grads, steps)


def compiled_within(tx):
    """`tx` as `loop` runs it elsewhere, whatever is allowed around it.

    Its operations are compiled then already: JAX compiles anew for each of these settings.
    """

    def strict(function):
        def call(*args, **kwargs):
            with (
                jax.disable_jit(False),
                jax.numpy_dtype_promotion("strict"),
                jax.numpy_rank_promotion("raise"),
            ):
                return function(*args, **kwargs)

        return call

    return optax.GradientTransformationExtraArgs(strict(tx.init), strict(tx.update))


def run(tx, params, grads, steps=STEPS):
    """The same in one jitted scan."""

    def step(carry, g):
        params, state = carry
        updates, state = tx.update(g, state, params)
        return (move(params, updates), state), updates

    carry, updates = jax.lax.scan(step, (params, tx.init(params)), grads, length=steps)
    return *carry, updates


@functools.cache
def expected(case):
    """Returns the result that every way to run a case must give."""
    return loop(case.build(), make_params(), make_grads())


def assert_close(actual, expected, rtol=1e-5, atol=1e-7):
    def leaf(a, b):
        if jnp.issubdtype(jnp.result_type(a), jnp.inexact):
            wide = jnp.complex64 if jnp.iscomplexobj(a) else jnp.float32
            a, b = jnp.asarray(a, wide), jnp.asarray(b, wide)
        np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)

    jax.tree.map(leaf, actual, expected)


def assert_finite(tree):
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        assert np.isfinite(np.asarray(leaf, np.complex128)).all(), (path, leaf)


def types(tree):
    return jax.tree.map(lambda x: (jnp.shape(x), jnp.result_type(x), jax.typeof(x).weak_type), tree)


def state_types(case):
    lean = (jnp.bfloat16, jnp.int8, jnp.uint8) if case.lean else ()
    return (jnp.float32, jnp.int32, *lean)


def test_every_registered_optimizer_is_in_the_table():
    assert {case.make.__name__ for case in RECIPES} == set(registry.OPTIMIZERS)
    assert len({case.name for case in CASES}) == len(CASES)


# Finite, and of stable types.


@every_case
@pytest.mark.parametrize(
    "dtype", [jnp.float16, jnp.bfloat16, jnp.float32], ids=lambda d: d.__name__
)
def test_zero_gradient_gives_zero_step(case, dtype):
    """But for decay: its rate is 0 here where that is an argument, else the parameters are."""
    decays = dict.fromkeys({"weight_decay", "lambd"} & case.hyper.keys(), 0.0)
    params = make_params(dtype)
    if case.forgets_start or (case.decays and not decays):
        params = jax.tree.map(jnp.zeros_like, params)
    zeros = jax.tree.map(jnp.zeros_like, make_grads(3, dtype))
    _, state, updates = loop(case.build(**decays), params, zeros, 3)
    assert_finite(state)
    jax.tree.map(lambda u: np.testing.assert_array_equal(np.asarray(u, np.float32), 0), updates)


LADDERS = {
    jnp.float16: [6e-8, 6e-5, 1.0, 65504.0],
    jnp.bfloat16: [9.2e-41, 1.2e-38, 1e-19, 1.0, 1e20, 3.38e38],
    jnp.float32: [1.4e-45, 1e-38, 1e-22, 1e-19, 1.0, 1e10, 1e20, 1e38, 3.4028235e38],
}


LONG = 100
COUNTS = np.arange(LONG)
PATTERNS = np.stack(
    [
        np.ones(LONG),
        (-1.0) ** COUNTS,
        np.where(COUNTS // 2 % 3 == 1, 1.0, -1.0),  # - - + + - - - - + + - -
        COUNTS < LONG // 2,
    ]
)


def ladder_of_gradients(dtype):
    """Constant, alternating singly and in pairs, and then zero, as rows of a matrix.

    Members with one magnitude each, and members with all of them side by side.
    """
    ladder = np.array(LADDERS[dtype])
    largest = max(map(len, LADDERS.values()))
    alone = np.broadcast_to(ladder[:, None], 2 * ladder.shape)
    arrays = np.stack([*alone, *[ladder] * (largest + 1 - len(ladder))])
    return jnp.asarray(PATTERNS.T[None, :, :, None] * arrays[:, None, None, :], dtype)


def starts(dtype):
    """Returns the starts: ones, zeros, large, tiny, and all magnitudes in two orders."""
    ladder = np.array(LADDERS[dtype])
    signs = np.where(np.arange(ladder.size) % 2, 1.0, -1.0)
    large, ones = np.full_like(ladder, 0.6 * ladder[-1]), np.ones_like(ladder)
    rows = [ones, 0 * ones, large, large * signs, ones * ladder[0], ladder, ladder[::-1] * signs]
    return jnp.asarray(np.broadcast_to(np.stack(rows)[:, None], (7, 4, ladder.size)), dtype)


def move_within(params, updates):
    """Parameters that stop at their largest number: what is beyond it is not the optimizer's."""

    def leaf(p, u):
        wide = numerics.compute_dtype(p)
        limit = jnp.finfo(p.dtype).max.astype(wide)
        return jnp.clip(p.astype(wide) + u.astype(wide), -limit, limit).astype(p.dtype)

    return jax.tree.map(leaf, params, updates)


@pytest.mark.as_for_users
@every_case
def test_finite_in_finite_out(case):
    """Every magnitude of every dtype, each dtype a leaf, or a tree where leaves are not apart.

    From parameters of every size, at the row's learning rate, at 1 and at 1e-30.
    """
    leaves = {dtype.__name__: (starts(dtype), ladder_of_gradients(dtype)) for dtype in LADDERS}
    rates = [case.hyper[name] for name in LR if name in case.hyper]
    rates = {name: jnp.array([*rates, 1.0, 1e-30]) for name in LR if rates}
    for group in [{name: leaf} for name, leaf in leaves.items()] if case.joint else [leaves]:
        params, grads = ({name: leaf[i] for name, leaf in group.items()} for i in range(2))

        def walk(rate, params, grads):
            tx = case.build(**rate)

            def step(carry, g):
                params, state = carry
                updates, state = tx.update(g, state, params)
                return (move_within(params, updates), state), (updates, state)

            return jax.lax.scan(step, (params, tx.init(params)), grads)[1]

        walks = jax.vmap(jax.vmap(walk, (None, 0, None)), (None, None, 0))
        walks = jax.vmap(walks, (0, None, None)) if rates else walks
        assert_finite(jax.jit(walks)(rates, params, grads))


@pytest.mark.as_for_users
@pytest.mark.parametrize("case", [case for case in RECIPES if case.scale_free], ids=repr)
def test_the_largest_gradients_step_like_large_ones(case):
    """An overflow of the squares must not turn the step into nothing, nor into 1e18."""
    params = jnp.zeros(3)
    grads = jnp.broadcast_to(jnp.array([1e17, 1e30, 3e38]), (STEPS, 3))
    _, _, updates = jax.jit(functools.partial(run, case.build()))(params, grads)
    np.testing.assert_allclose(updates[:, 1:], jnp.stack([updates[:, 0]] * 2, 1), rtol=1e-3)


@every_case
def test_a_bad_gradient_is_seen_and_contained(case):
    """Not hidden in the update, and `optax.apply_if_finite` keeps it out of the state."""
    params = make_params()
    tx = case.build()
    contain = functools.partial(optax.apply_if_finite, max_consecutive_errors=3)
    assert_close(loop_through_cond(contain, tx, params, make_grads())[0], expected(case)[0])
    contained = contain(compiled_within(tx))
    before = contained.init(params)
    for bad in (jnp.nan, jnp.inf, -jnp.inf):
        grads = jax.tree.map(lambda p, bad=bad: p.at[...].set(bad), params)
        updates, _ = tx.update(grads, tx.init(params), params)
        if np.isinf(bad) and case.tames_infinity:
            continue
        if case.skips:
            after = tx.update(grads, tx.init(params), params)[1]
            assert_close(after.inner, tx.init(params).inner, rtol=0, atol=0)
        else:
            for leaf in jax.tree.leaves(updates):
                assert not np.isfinite(leaf).any(), bad
            with jax.disable_jit():
                updates, after = contained.update(grads, before, params)
            assert int(after.total_notfinite) == 1
            assert_close(after.inner_state, before.inner_state, rtol=0, atol=0)
        assert_close(updates, jax.tree.map(jnp.zeros_like, params), rtol=0, atol=0)


@every_structure
@pytest.mark.parametrize("params_dtype", DTYPES, ids=lambda d: d.__name__)
@pytest.mark.parametrize("grads_dtype", DTYPES, ids=lambda d: d.__name__)
def test_types_never_change(case, params_dtype, grads_dtype):
    """Traced alone, without compilation: types do not depend on values."""
    params, grads = make_params(params_dtype), make_params(grads_dtype)
    tx = case.build()
    state = jax.eval_shape(tx.init, params)
    updates, new_state = jax.eval_shape(tx.update, grads, state, params)
    assert types(new_state) == types(state)
    assert types(updates) == types(params)
    for leaf in jax.tree.leaves(state):
        assert leaf.dtype in state_types(case)
    if not case.needs_params:
        updates, new_state = jax.eval_shape(tx.update, grads, state)
        assert types(new_state) == types(state)
        assert types(updates) == types(grads)


@every_case
def test_float64_parameters_are_computed_in_float64(case):
    with jax.enable_x64(True):
        params = make_params(jnp.float64)
        tx = case.build()
        state = jax.eval_shape(tx.init, params)
        for dtype in (jnp.float16, jnp.float32, jnp.float64):
            updates, new_state = jax.eval_shape(tx.update, make_params(dtype), state, params)
            assert types(new_state) == types(state)
            assert types(updates) == types(params)
        for leaf in jax.tree.leaves(state):
            assert leaf.dtype in (jnp.float64, jnp.int32)


@every_case
def test_float32_under_x64_stays_float32(case):
    """Also with float64 hyperparameters. The values are compared on leaves of one shape.

    An operation is compiled for each shape, and under x64 once more.
    """
    params, grads = make_params(), make_grads()
    alike = dict.fromkeys(params, params["w"]), dict.fromkeys(params, grads["w"])
    plain, _, _ = loop(case.build(), *alike)
    with jax.enable_x64(True):
        tx = case.build(**{k: jnp.asarray(v, jnp.float64) for k, v in case.hyper.items()})
        state = jax.eval_shape(tx.init, params)
        updates, new_state = jax.eval_shape(tx.update, params, state, params)
        for leaf in jax.tree.leaves((state, new_state)):
            assert leaf.dtype in state_types(case)
        found, state, moves = loop(tx, *alike)
        for leaf in jax.tree.leaves((updates, found, moves)):
            assert leaf.dtype == jnp.float32
        for leaf in jax.tree.leaves(state):
            assert leaf.dtype in state_types(case)
    assert_close(found, plain, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("case", [case for case in CASES if not case.needs_params], ids=repr)
def test_half_precision_parameters_keep_a_full_precision_state(case):
    """The state after bfloat16 gradients is the one that float32 parameters give."""
    grads = make_grads(STEPS, jnp.bfloat16)
    _, state, _ = loop(case.build(), make_params(jnp.bfloat16), grads)
    wide = jax.tree.map(lambda g: g.astype(jnp.float32), grads)
    _, full, _ = loop(case.build(), make_params(), wide)
    assert types(state) == types(full)
    rounding = {"rtol": 2e-2, "atol": 1e-3} if case.rounds_between else {"rtol": 1e-5}
    assert_close(state, full, **rounding)


def test_second_moment_reaches_its_limit_in_bfloat16():
    tx, params = aj.scale_by_adam(), jnp.zeros(1, jnp.bfloat16)
    _, state, _ = run(tx, params, jnp.ones((5000, 1), jnp.bfloat16), 5000)
    np.testing.assert_allclose(state.nu, 1 - 0.999**5000, rtol=1e-4)


def test_centered_rms_stays_finite_for_a_constant_gradient():
    params = jnp.zeros(4)
    grads = jnp.broadcast_to(jnp.array([0.1, 1.0, 3.3, 1e4]), (3000, 4))
    _, state, updates = run(aj.scale_by_rms(0.9, eps=0.0, centered=True), params, grads, 3000)
    assert_finite((state, updates))


@every_case
def test_complex_parameters(case):
    rng = np.random.default_rng(0)
    params = {"z": jnp.asarray(rng.normal(size=3) + 1j * rng.normal(size=3), jnp.complex64)}
    grads = jax.tree.map(lambda p: p * jnp.exp(1j * 0.5).astype(jnp.complex64), params)
    tx = case.build()
    state = tx.init(params)
    updates, new_state = tx.update(grads, state, params)
    assert types(new_state) == types(state)
    assert types(updates) == types(params)
    assert_finite((updates, new_state))
    real = {name: jax.tree.map(jnp.abs, tree) for name, tree in (("p", params), ("g", grads))}
    real_updates, _ = tx.update(real["g"], tx.init(real["p"]), real["p"])
    if not (case.decays or case.by_component):  # a gradient's phase is its step's
        assert_close(jnp.abs(updates["z"]), jnp.abs(real_updates["z"]), rtol=1e-5)


# Trees.


class Pair(NamedTuple):
    first: jax.Array
    second: jax.Array


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Layer:
    kernel: jax.Array
    bias: jax.Array


class Model(eqx.Module):
    layer: eqx.nn.LayerNorm
    activation: object = jax.nn.relu


def equinox_params():
    return eqx.filter(Model(eqx.nn.LayerNorm(3)), eqx.is_inexact_array)


TREES = {  # of the shapes of `make_params`, for which operations are compiled already
    "array": jnp.ones(3),
    "0-d": jnp.ones(()),
    "empty": {},
    "zero-size": {"a": jnp.ones((0, 3)), "b": jnp.ones(3)},
    "only zero-size": {"a": jnp.ones((0, 3))},
    "list and tuple": [jnp.ones(3), (jnp.ones(3), jnp.ones(()))],
    "named tuple": Pair(jnp.ones(3), jnp.ones(3)),
    "None": {"a": None, "b": jnp.ones(3)},
    "MaskedNode": {"a": optax.MaskedNode(), "b": jnp.ones(3)},
    "dataclass": Layer(jnp.ones((2, 3)), jnp.ones(3)),
    "Equinox module": equinox_params(),
    "NNX state": nnx.state(nnx.LayerNorm(3, rngs=nnx.Rngs(0)), nnx.Param),
    "NumPy": {"a": np.ones(3, np.float32), "b": np.float32(2.0)},
    "Python float": 0.5,
}


@every_structure
@pytest.mark.parametrize("tree", TREES.values(), ids=TREES)
def test_every_tree(case, tree):
    tx = case.build()
    state = tx.init(tree)
    updates, new_state = tx.update(tree, state, tree)
    assert types(new_state) == types(state)
    assert jax.tree.structure(updates) == jax.tree.structure(tree)
    assert_finite((updates, new_state))


@every_structure
def test_mismatched_trees_are_named(case):
    tx = case.build()
    params = make_params()
    state = tx.init(params)
    grads = {**params, "extra": jnp.ones(2)}
    if jax.tree.leaves(tx.init({"w": jnp.ones(2)})) or case.needs_params:
        with pytest.raises(ValueError, match=r"do not match: \w+ has nothing at \['extra'\]"):
            tx.update(grads, state, params)
    with pytest.raises(ValueError, match=r"has nothing at|shapes differ"):
        tx.update({"w": params["w"]}, state, params)
    with pytest.raises(ValueError, match=r"shapes differ at \['w'\]: .*\(2, 1\).*\(2, 3\)"):
        tx.update({**params, "w": jnp.ones((2, 1))}, state, params)


@every_structure
def test_missing_parameters_are_asked_for(case):
    tx = case.build()
    params = make_params()
    if case.needs_params:
        with pytest.raises(ValueError, match=r"update\(gradients, state, params\)"):
            tx.update(params, tx.init(params))
    else:
        tx.update(params, tx.init(params))


@every_recipe
def test_integer_parameters_are_refused(case):
    """They are refused if they have a gradient; `init` alone makes no state for them."""
    tx, params = case.build(), {"n": jnp.ones(2, jnp.int32)}
    for grads in (params, {"n": jnp.ones(2)}):
        with pytest.raises(ValueError, match=r"floating-point or complex, got int32 at \['n'\]"):
            tx.update(grads, tx.init(params), params)


# The same under every transformation of JAX.


@every_structure
def test_no_retrace_and_donation(case):
    """A jitted step is traced once, and writes parameters and state where they were.

    Lowering shows that. What it computes, `test_jit_vmap_and_scan_equal_a_plain_loop` compares.
    """
    tx = case.build()
    traces = 0

    @functools.partial(jax.jit, donate_argnums=(1, 2))
    def step(grads, state, params):
        nonlocal traces
        traces += 1
        updates, state = tx.update(grads, state, params)
        return move(params, updates), state

    params = make_params()
    state = tx.init(params)
    lowered = step.lower(params, state, params)
    new_params, new_state = lowered.out_info
    step.eval_shape(new_params, new_state, new_params)
    assert traces == 1
    arguments = re.search(r"@main\((.*?)\) ->", lowered.as_text(), re.DOTALL)[1]
    kept = arguments.count("%arg") - len(jax.tree.leaves(params))  # without the gradients
    assert arguments.count("tf.aliasing_output") == kept


@every_structure
def test_state_buffers_are_distinct(case):
    """Two leaves that share a buffer cannot both be donated."""
    state = case.build().init(make_params())
    pointers = [leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves(state) if leaf.ndim]
    assert len(pointers) == len(set(pointers))


@every_case
def test_hyperparameters_may_be_arrays(case):
    arrays = {name: jnp.asarray(value, jnp.float32) for name, value in case.hyper.items()}
    got, _, _ = loop(case.build(**arrays), make_params(), make_grads())
    assert_close(got, expected(case)[0], rtol=1e-4, atol=1e-5)


@every_structure
def test_jit_vmap_and_scan_equal_a_plain_loop(case):
    """Also with traced hyperparameters: a sweep is one program.

    The first member is the row, the second has a tenth of its learning rate, the third larger
    parameters and gradients.
    """
    lower = {name: 0.1 if name == "learning_rate" else 1.0 for name in case.hyper}
    members = (
        {name: jnp.array([v, lower[name] * v, v]) for name, v in case.hyper.items()},
        *jax.tree.map(lambda x: jnp.stack([x, x, 2 * x]), (make_params(), make_grads())),
    )
    sweep = jax.vmap(lambda hyper, *inputs: run(case.build(**hyper), *inputs)[:2])
    together = jax.jit(sweep)(*members)
    slow = case.build(**{name: lower[name] * value for name, value in case.hyper.items()})
    for i, alone in enumerate((expected(case), loop(slow, make_params(), make_grads()))):
        member = jax.tree.map(lambda x, i=i: x[i], together)
        assert_close(member, alone[:2], rtol=1e-4, atol=1e-5)


@every_case
def test_a_constant_schedule_equals_a_number(case):
    for name in case.schedulable:
        tx = case.build(**{name: optax.constant_schedule(case.hyper[name])})
        assert_close(loop(tx, make_params(), make_grads())[0], expected(case)[0])


@pytest.mark.as_for_users
@every_case
def test_gradients_through_an_update_are_finite(case):
    """At ordinary gradients, and at zeros."""
    params = {name: make_params()[name] for name in ("w", "s")}
    tx = case.build()

    def moved(grads):
        state = tx.init(params)
        total = 0.0
        for _ in range(2):
            updates, state = tx.update(grads, state, params)
            total += sum(jnp.sum(u) for u in jax.tree.leaves(updates))
        return total

    both = jax.tree.map(lambda p: jnp.stack([p, jnp.zeros_like(p)]), params)
    assert_finite(jax.jit(jax.vmap(jax.grad(moved)))(both))


@every_structure
def test_python_numbers_in_a_state_are_arrays(case):
    """As `optax.tree.set(state, count=0)` leaves them there."""
    params, tx = make_params(), case.build()
    if not isinstance(tx, aj.Transformation):
        pytest.skip("made by Optax's or this test's own function")
    state = tx.init(params)

    def number(x):
        plain = jnp.ndim(x) == 0 and not jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
        return x.item() if plain else x

    with_numbers = jax.tree.map(number, state)
    result = jax.eval_shape(lambda g: tx.update(g, with_numbers, g), params)
    assert types(result) == types(jax.eval_shape(tx.update, params, state, params))


@every_structure
def test_state_keeps_its_types_under_cond(case):
    params = make_params(jnp.bfloat16)
    tx = case.build()

    def step(flag, state):
        return jax.lax.cond(
            flag, lambda: tx.update(make_params(), state, params), lambda: (params, state)
        )[1]

    state = tx.init(params)
    after = jax.eval_shape(step, True, state)
    assert jax.tree.map(jnp.shape, after) == jax.tree.map(jnp.shape, state)


@every_structure
def test_init_needs_shapes_only(case):
    """Not the parameters themselves: `jax.eval_shape` and abstract checkpoints."""
    params = make_params()
    tx = case.build()
    assert types(tx.init(params)) == types(tx.init(jax.eval_shape(make_params)))


@every_structure
def test_state_can_be_saved_by_path(case, tmp_path):
    """As arrays under names that are unique, and training goes on bit for bit."""
    tx = case.build()
    grads = make_grads()
    params, state, _ = loop(tx, make_params(), grads, 2)
    named = {
        jax.tree_util.keystr(path): np.asarray(leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(state)
    }
    assert len(named) == len(jax.tree.leaves(state))
    np.savez(tmp_path / "state.npz", **named)
    with np.load(tmp_path / "state.npz") as saved:
        restored = jax.tree_util.tree_map_with_path(
            lambda path, like: jnp.asarray(saved[jax.tree_util.keystr(path)].view(like.dtype)),
            jax.eval_shape(tx.init, params),
        )
    assert types(restored) == types(state)
    g = jax.tree.map(lambda g: g[2], grads)
    assert_close(tx.update(g, restored, params), tx.update(g, state, params), rtol=0, atol=0)


@every_case
def test_count_saturates(case):
    params = make_params()
    tx = case.build()
    last = jnp.iinfo(jnp.int32).max
    state = jax.tree.map(
        lambda x: jnp.full_like(x, last) if x.dtype == jnp.int32 else x, tx.init(params)
    )
    for _ in range(2):
        updates, state = tx.update(params, state, params)
        assert_finite(updates)
        for leaf in jax.tree.leaves(state):
            assert leaf.dtype != jnp.int32 or int(leaf) == last or (case.skips and leaf >= 0)


@pytest.mark.parametrize(
    "case",
    [case for case in CASES if not case.numbers_only and case.name not in registry.OPTIMIZERS],
    ids=repr,
)
def test_sharded_equals_unsharded(case):
    """tests/test_distributed.py tests the registered optimizers."""
    mesh = jax.make_mesh((2,), ("x",))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("x"))
    params = {"w": make_params()["w"]}
    grads = {"w": jnp.stack([params["w"]] * STEPS)}
    alone, alone_state, _ = loop(case.build(), params, grads)
    sharded = jax.device_put(params, sharding)
    tx = case.build()
    with jax.set_mesh(mesh):
        state = jax.jit(tx.init)(sharded)
        update = jax.jit(tx.update)
        for _ in range(STEPS):
            updates, new_state = update(jax.device_put(params, sharding), state, sharded)
            assert types(new_state) == types(state)
            sharded, state = optax.apply_updates(sharded, updates), new_state
    assert_close(jax.device_get(sharded), jax.device_get(alone))
    assert_close(jax.device_get(state), jax.device_get(alone_state))
