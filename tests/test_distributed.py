"""Optimizers on eight devices: where their states are, that nothing else changes, what is sent."""

import functools
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import adaptive_jax as aj
from adaptive_jax import distributed
from adaptive_jax.registry import OPTIMIZERS
from scripts.benchmark_communication import WAYS, bytes_sent, compiled
from tests.test_contract import assert_close, loop, types

P = PartitionSpec
STEPS = 3
EXPLICIT, AUTO = AxisType.Explicit, AxisType.Auto
both_kinds = pytest.mark.parametrize("kind", [EXPLICIT, AUTO], ids=lambda kind: kind.name)

SHAPES = {"w": (8, 4), "b": (4,)}
SPECS = {"w": P(None, "model"), "b": P("model")}


def make_mesh(kind=EXPLICIT):
    return jax.make_mesh((4, 2), ("data", "model"), axis_types=(kind, kind))


def normal(shapes, seed=0, dtype=np.float32):
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=shape).astype(dtype) for name, shape in shapes.items()}


def put(tree, specs, mesh):
    return jax.tree.map(lambda x, spec: jax.device_put(x, NamedSharding(mesh, spec)), tree, specs)


def shardings(tree):
    return jax.tree.map(lambda x: x.sharding, tree)


def specs_of(tree):
    """Path -> what the array there is split over, of those that are split."""
    found = {jax.tree_util.keystr(k): s.spec for k, s in jax.tree_util.tree_leaves_with_path(tree)}
    return {path: tuple(spec) for path, spec in found.items() if any(spec)}


def traced_once(tx):
    """The same optimizer, whose `update` can be traced only once."""
    traces = iter([None])

    def update(*args, **extra):
        next(traces)
        return tx.update(*args, **extra)

    return optax.GradientTransformationExtraArgs(tx.init, update)


@functools.cache
def alone(name):
    tx = OPTIMIZERS[name].factory(learning_rate=0.01)
    grads = {k: np.stack([normal(SHAPES, i)[k] for i in range(STEPS)]) for k in SHAPES}
    return loop(tx, jax.tree.map(jnp.asarray, normal(SHAPES, 9)), grads, STEPS)[:2]


def check_sharded(tx, expected, mesh, shapes=SHAPES, specs=SPECS, dtype=np.float32):
    """Some steps over the mesh end where they do on one device; nothing moves, nothing retraces."""
    params = put(normal(shapes, 9, dtype), specs, mesh)
    state = distributed.init(tx, params, "data")
    predicted = distributed.state_shardings(tx, params, specs, mesh, "data")
    step = distributed.step(traced_once(tx), params, "data")
    before, places = types((params, state)), (shardings(params), predicted)
    for i in range(STEPS):
        assert shardings((params, state)) == places
        params, state = step(params, state, normal(shapes, i))
    assert shardings((params, state)) == places
    assert types((params, state)) == before
    assert_close(jax.device_get((params, state)), jax.device_get(expected), rtol=2e-5, atol=1e-6)


@both_kinds
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_sharded_equals_unsharded(name, kind):
    """Both parameters are split over an axis, one of them and its state over the other as well."""
    check_sharded(OPTIMIZERS[name].factory(learning_rate=0.01), alone(name), make_mesh(kind))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_types_of_explicit_axes_are_stable(name):
    """Also where no `out_shardings` see to it: the types of a step's state are those of `init`."""
    tx, mesh = OPTIMIZERS[name].factory(learning_rate=0.01), make_mesh()
    shapes, specs = STACKS, {"k": P("data", "model", None), "q": P(None, "data", "model")}
    typed = {
        name: jax.ShapeDtypeStruct(shape, jnp.float32, sharding=NamedSharding(mesh, specs[name]))
        for name, shape in shapes.items()
    }
    with jax.set_mesh(mesh):
        state = jax.eval_shape(tx.init, typed)
        updates, after = jax.eval_shape(tx.update, typed, state, typed)
    assert split(updates) == specs
    predicted = distributed.state_shardings(tx, typed, specs, mesh)
    assert split(after) == split(state) == jax.tree.map(lambda s: s.spec, predicted)


def split(tree):
    return jax.tree.map(lambda x: x.sharding.spec if x.sharding else P(), tree)


STACKS = {"k": (4, 16, 8), "q": (2, 8, 64)}


WHERE = {  # (optimizer, zero axis) -> path -> spec, for k (4, 16, 8) and q (2, 8, 64) as in SPLIT
    "ring": (
        aj.scale_by_adashift(reduce=None),
        None,
        {
            ".history['k']": (None, None, "model", None),
            ".history['q']": (None, None, None, "data"),
            ".nu['k']": (None, "model", None),
            ".nu['q']": (None, None, "data"),
        },
    ),
    "a number for each array": (aj.scale_by_novograd(), "data", {}),
    "rows and columns": (
        aj.scale_by_factored_rms(),
        "data",
        {
            ".nu['k'].row": ("data", "model", None),
            ".nu['k'].column": ("data", None, None),
            ".nu['q'].column": (None, None, "data"),
        },
    ),
    "slices": (
        aj.scale_by_sm3(),
        "data",
        {
            ".cover['k'].slices[0]": ("data", None, None),
            ".cover['k'].slices[1]": (None, "model", None),
            ".cover['q'].slices[2]": (None, None, "data"),
        },
    ),
    "codes": (  # blocks of q's last axis are cut by 4 devices, for there are 2 of them
        aj.with_storage(aj.scale_by_adam(), minimum=1, mu="int4", nu="uint8"),
        "data",
        {
            ".inner.mu.codes['k']": ("data", "model", None),
            ".inner.mu.exponents['k']": ("data", "model", None),
            ".inner.nu.codes['k']": ("data", "model", None),
            ".inner.nu.exponents['k']": ("data", "model", None),
        },
    ),
    "wrappers": (
        optax.MultiSteps(aj.lookahead(aj.chain(aj.momentum(0.9), aj.polyak_average())), 2),
        None,
        {
            f"{field}['{name}']": (None, "model", None) if name == "k" else (None, None, "data")
            for field in (
                ".inner_opt_state.slow",
                ".inner_opt_state.inner[0].trace",
                ".inner_opt_state.inner[1].average",
                ".acc_grads",
            )
            for name in ("k", "q")
        },
    ),
    "parts": (
        aj.partition_by_mask({"k": True, "q": False}, aj.schedule_free_sgd(0.1), aj.muon(0.1)),
        "data",
        {
            "[0].inner_state.z['k']": ("data", "model", None),
            "[1].inner_state[0][1].inner_state.mu['q']": (None, None, "data"),
            "[1].inner_state[0][1].inner_state.nu['q']": (None, None, "data"),
        },
    ),
    "Optax's": (
        optax.adafactor(0.1, min_dim_size_to_factor=8, momentum=0.9),
        "data",
        {
            "[0].v_row['k']": ("data", None),
            "[0].v_col['k']": ("data", "model"),
            "[0].v_col['q']": (None, "data"),
            "[4].ema['k']": ("data", "model", None),
            "[4].ema['q']": (None, None, "data"),
        },
    ),
}


@both_kinds
@pytest.mark.parametrize("case", WHERE.values(), ids=WHERE)
def test_where_states_are(case, kind):
    tx, zero_axis, expected = case
    mesh = make_mesh(kind)
    split = {"k": P(None, "model"), "q": NamedSharding(mesh, P(None, None, "data"))}
    shapes = {name: jax.ShapeDtypeStruct(shape, jnp.float32) for name, shape in STACKS.items()}
    state = distributed.state_shardings(tx, shapes, split, mesh, zero_axis)
    assert specs_of(state) == expected


def test_leaves_without_a_sharding_have_none():
    params = {"a": None, "b": optax.MaskedNode(), "c": jnp.ones((0, 4)), "d": 1.0, "e": np.ones(4)}
    split = {"a": None, "b": optax.MaskedNode(), "c": P(), "d": P(), "e": P("data")}
    state = distributed.state_shardings(aj.scale_by_adam(), params, split, make_mesh(), "model")
    assert specs_of(state) == {".mu['e']": ("data",), ".nu['e']": ("data",)}
    assert jax.tree.structure(state) == jax.tree.structure(aj.scale_by_adam().init(params))


def in_two_steps(tx):
    return optax.MultiSteps(tx, 2).gradient_transformation()


LEAN = {
    "codes": (lambda: aj.with_storage(aj.adam(0.1), minimum=1, mu="int4", nu="uint8"), np.float32),
    "master weights": (lambda: aj.with_master_weights(aj.adam(0.1), bits=8), jnp.bfloat16),
    "wrappers": (lambda: in_two_steps(aj.lookahead(aj.cautious(aj.adam(0.1)), 1)), np.float32),
}
BLOCKS = {"cut": (8, 96), "fit": (8, 64)}  # of 32 numbers, by two devices along "model"


@functools.cache
def lean_alone(case):
    tx, dtype = LEAN[case][0](), LEAN[case][1]
    params = jax.tree.map(jnp.asarray, normal(BLOCKS, 9, dtype))
    state, update = tx.init(params), jax.jit(tx.update)
    for i in range(STEPS):
        updates, state = update(normal(BLOCKS, i), state, params)
        params = optax.apply_updates(params, updates)
    return params, state


@pytest.mark.relaxed
@both_kinds
@pytest.mark.parametrize("case", LEAN)
def test_lean_and_wrapped_states(case, kind):
    make, dtype = LEAN[case]
    specs = dict.fromkeys(BLOCKS, P(None, "model"))
    check_sharded(make(), lean_alone(case), make_mesh(kind), BLOCKS, specs, dtype=dtype)


@both_kinds
def test_eager_steps_on_a_mesh(kind):
    """Without the helpers, one operation at a time."""
    tx, mesh = aj.scale_by_muon(ns_steps=1), make_mesh(kind)
    host = {"w": jnp.asarray(normal(SHAPES)["w"])}
    expected, _ = tx.update(host, tx.init(host), host)
    params = put(host, {"w": P("data", "model")}, mesh)
    state = distributed.init(tx, params)
    with jax.set_mesh(mesh):
        updates, after = tx.update(params, state, params)
    assert_close(jax.device_get(updates), jax.device_get(expected), rtol=2e-5, atol=1e-6)
    if kind == EXPLICIT:
        assert shardings(after) == shardings(state)


# Muon.


def sizes(program):
    """The elements of every array in a compiled program, as one device has them."""
    found = re.findall(r"f32\[([\d,]+)\]", program.as_text())
    return [math.prod(map(int, dims.split(","))) for dims in found]


LIST = {f"w{i}": (16, 32) for i in range(16)}
STACKED = {
    "a list, FSDP": (LIST, P(("data", "model"), None), AUTO),
    "a list, FSDP and TP": (LIST, P("data", "model"), EXPLICIT),
    "a stack that divides": ({"w": (16, 16, 32)}, P(None, "data", "model"), EXPLICIT),
    "a stack split over layers": ({"w": (12, 16, 32)}, P("data", None, "model"), EXPLICIT),
}


@pytest.mark.optimized
@pytest.mark.parametrize("case", STACKED.values(), ids=STACKED)
def test_muon_gathers_no_stack(case):
    """No device ever has more of it than its share, of the stack that is filled up to 16."""
    shapes, spec, kind = case
    mesh, tx = make_mesh(kind), aj.scale_by_muon(ns_steps=2)
    params = put(normal(shapes), dict.fromkeys(shapes, spec), mesh)
    state = distributed.init(tx, params)
    program = distributed.step(tx, params).lower(params, state, params).compile()
    assert max(sizes(program)) <= 16 * 16 * 32 / 8
    expected = jax.jit(tx.update)(normal(shapes), tx.init(normal(shapes)))[0]
    moved, _ = program(params, state, put(normal(shapes), dict.fromkeys(shapes, spec), mesh))
    updates = jax.tree.map(lambda new, old: np.asarray(new) - old, moved, normal(shapes))
    assert_close(updates, expected, rtol=1e-3, atol=1e-5)


# Errors.


def test_what_cannot_be_laid_out_is_named():
    tx, mesh = aj.adam(0.1), make_mesh()
    shapes = {"w": jax.ShapeDtypeStruct((6, 4), jnp.float32)}

    def states(*args):
        return distributed.state_shardings(tx, *args)

    with pytest.raises(ValueError, match="no axis 'dta': did you mean 'data'"):
        states(shapes, {"w": P()}, mesh, "dta")
    with pytest.raises(ValueError, match="no axis 'rows': known are data, model"):
        states(shapes, {"w": P("rows")}, mesh)
    with pytest.raises(ValueError, match=r"at \['w'\] has shape \(6, 4\).* 6 by 4 devices"):
        states(shapes, {"w": P("data")}, mesh)
    with pytest.raises(ValueError, match=r"more axes than the parameter at \['w'\]: \(6, 4\)"):
        states(shapes, {"w": P(None, None, "data")}, mesh)
    with pytest.raises(ValueError, match=r"params_shardings has nothing at \['w'\]"):
        states(shapes, {"v": P()}, mesh)
    with pytest.raises(ValueError, match=r"or a PartitionSpec, got 'data' at \['w'\]"):
        states(shapes, {"w": "data"}, mesh)
    with pytest.raises(ValueError, match=r"arrays on a mesh, got .* at \['w'\]"):
        distributed.init(tx, {"w": jnp.ones(2)})
    other = jax.make_mesh((8,), ("data",))
    params = {"a": jax.device_put(1.0, NamedSharding(mesh, P()))}
    params["b"] = jax.device_put(1.0, NamedSharding(other, P()))
    with pytest.raises(ValueError, match=r"on one mesh, got .* at \['a'\], .* at \['b'\]"):
        distributed.step(tx, params)
    mixed = jax.make_mesh((4, 2), ("data", "model"), axis_types=(EXPLICIT, AUTO))
    with pytest.raises(ValueError, match="all auto or all explicit, got"):
        distributed.init(tx, jax.device_put(1.0, NamedSharding(mixed, P())))
    with pytest.raises(ValueError, match="on one mesh, got none"):
        distributed.init(tx, {})
    params = {"a": params["a"]}
    with pytest.raises(ValueError, match=r"gradients has nothing at \['a'\]"):
        distributed.step(tx, params)(params, distributed.init(tx, params), {"b": 1.0})


# Gradients as signs.

WORKERS = 8
SENT = {"w": (5, 7), "b": (3,), "s": (), "z": (0, 2)}
VOTE, FEEDBACK = distributed.majority_vote("worker"), distributed.error_feedback("worker")


def votes(workers=WORKERS, seed=0):
    """Gradients of all workers, about a third of them 0."""
    rng = np.random.default_rng(seed)
    return {k: rng.integers(-1, 2, (workers, *s)).astype(np.float32) for k, s in SENT.items()}


def in_shard_map(tx, kind):
    """`(grads, state) -> (updates, state)` of all workers, each on a device."""
    mesh = jax.make_mesh((WORKERS,), ("worker",), axis_types=(kind,))
    kept = P("worker") if tx is FEEDBACK else P()

    def update(grads, state):
        return tx.update(jax.tree.map(lambda g: g[0], grads), state)

    spread = jax.shard_map(
        update, mesh=mesh, in_specs=(P("worker"), kept), out_specs=(P(), kept), check_vma=True
    )

    def run(grads, state):
        to_workers = NamedSharding(mesh, P("worker"))
        state = jax.device_put(state, NamedSharding(mesh, kept))
        return jax.jit(spread)(jax.device_put(grads, to_workers), state)

    return run


def majority(grads):
    """In NumPy, for numbers that no worker has 0 for."""
    return {k: np.sign(np.sign(g).sum(0)) for k, g in grads.items()}


def feedback(grads, errors):
    """In NumPy: the mean of what is sent, and each worker's new error."""
    updates, kept = {}, {}
    for k, g in grads.items():
        due = g + errors[k]
        scale = np.abs(due).reshape(len(due), -1).mean(1) if due.size else np.zeros(len(due))
        sent = np.where(due > 0, 1, -1) * scale.reshape(-1, *[1] * (due.ndim - 1))
        updates[k], kept[k] = sent.mean(0), due - sent
    return updates, kept


@both_kinds
def test_the_majority_of_signs(kind):
    """As NumPy counts them, under vmap too; zeros, of which a tie is made, move nothing."""
    signs = jax.tree.map(lambda g: np.where(g == 0, 1, g), votes())
    quiet = jax.tree.map(np.zeros_like, signs)
    state = VOTE.init(jax.tree.map(lambda g: g[0], signs))
    run, together = in_shard_map(VOTE, kind), jax.vmap(VOTE.update, (0, None), axis_name="worker")
    for grads, expected in ((signs, majority(signs)), (quiet, majority(quiet))):
        updates, after = run(grads, state)
        jax.tree.map(np.testing.assert_array_equal, jax.device_get(updates), expected)
        assert int(after.count) == 1
        same = together(grads, state)[0]
        jax.tree.map(
            lambda a, b: np.testing.assert_array_equal(a, np.broadcast_to(b, a.shape)),
            same,
            expected,
        )
    for g in jax.tree.leaves(jax.tree.map(np.asarray, together(votes(), state)[0])):
        assert (g == g[:1]).all()  # of all workers


@both_kinds
def test_error_feedback_sends_what_was_left_out(kind):
    zeros = jax.tree.map(np.zeros_like, votes())
    state = jax.vmap(FEEDBACK.init)(zeros)
    run = in_shard_map(FEEDBACK, kind)
    update = jax.vmap(FEEDBACK.update, axis_name="worker")
    flat = type(state)(jax.tree.map(lambda e: e[:, 0], state.error))
    errors = zeros
    for i in range(3):
        grads = votes(seed=i)
        expected, errors = feedback(grads, errors)
        updates, flat = run(grads, flat)
        together, state = update(grads, state)
        assert_close(jax.device_get((updates, flat.error)), (expected, errors))
        assert_close(jax.tree.map(lambda u: u[3], together), expected)
        assert_close(jax.tree.map(lambda e: e[:, 0], state.error), errors)
    updates, _ = run(zeros, jax.tree.map(jnp.zeros_like, flat))
    jax.tree.map(lambda u: np.testing.assert_array_equal(u, 0), jax.device_get(updates))


def test_one_vote_too_many_is_fair():
    """An odd number of workers without a gradient: as often up as down."""
    update = jax.vmap(VOTE.update, (0, None), axis_name="worker")
    grads, ups = np.zeros((3, 4000), np.float32), []
    for count in range(2):
        updates, _ = update(grads, VOTE.init(grads[0])._replace(count=jnp.int32(count)))
        assert set(np.unique(updates)) == {-1, 1}
        ups.append(updates[0] > 0)
    assert all(abs(np.mean(up) - 0.5) < 0.05 for up in ups)
    assert 0.4 < np.mean(ups[0] == ups[1]) < 0.6


@pytest.mark.parametrize("tx", [VOTE, FEEDBACK], ids=["vote", "feedback"])
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32], ids=lambda d: d.__name__)
def test_signs_of_every_dtype_and_magnitude(tx, dtype):
    """Types stay, finite numbers stay finite, NaN reaches its array and infinity is not hidden."""
    largest = float(jnp.finfo(dtype).max)
    grads = {"a": jnp.array([[largest, -largest, 1e-7]] * 2, dtype), "b": jnp.ones((2, 3), dtype)}
    update = jax.vmap(tx.update, axis_name="worker")
    state = jax.vmap(tx.init)(grads)
    kinds = types(state)
    for _ in range(2):
        updates, state = update(grads, state)
        assert types(state) == kinds
        assert types(updates) == types(grads)
        assert all(
            np.isfinite(np.asarray(x, np.float32)).all() for x in jax.tree.leaves((updates, state))
        )
    for bad in (np.nan, np.inf):
        updates, _ = update({**grads, "a": grads["a"].at[1, 2].set(bad)}, jax.vmap(tx.init)(grads))
        seen = ~np.isfinite(np.asarray(updates["a"], np.float32))
        assert seen.all() if tx is FEEDBACK or np.isnan(bad) else not seen.any()
        assert np.isfinite(np.asarray(updates["b"], np.float32)).all()


@pytest.mark.parametrize("tx", [VOTE, FEEDBACK], ids=["vote", "feedback"])
def test_what_has_no_sign_or_nobody_to_send_to_is_refused(tx):
    with pytest.raises(ValueError, match=r"sends signs.* complex64 at \['z'\]"):
        tx.update({"z": jnp.ones(2, jnp.complex64)}, tx.init({"z": jnp.ones(2)}))
    with pytest.raises(
        ValueError, match="axis 'worker', which is not bound here: call update inside"
    ):
        tx.update(jnp.ones(2), tx.init(jnp.ones(2)))
    assert jax.vmap(lambda _: tx.update({}, tx.init({}))[0], axis_name="worker")(jnp.ones(2)) == {}


@pytest.mark.parametrize(
    ("way", "size"),
    [
        ("all-reduce", 2 * 7 / 8 * 4 * 1010),
        ("error feedback", 7 * (125 + 2 + 2 * 4)),  # bits and scales of two arrays to seven
        ("majority vote", 7 * (16 + 2 * 16) + 2 * 7 / 8 * 2 * 4),  # 128 numbers a part; two flags
    ],
)
def test_bytes_sent(way, size):
    """By each of 8 devices, for arrays of 1000 and 10 numbers."""
    assert bytes_sent(compiled(WAYS[way], [1000, 10], 8), 8) == size
