"""Our pieces stand wherever Optax's do: in its wrappers, in Flax, and in the algebra's own."""

import copy
import pickle

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from flax.training.train_state import TrainState

import adaptive_jax as aj
from adaptive_jax import registry, validation
from tests.families import CASES, RECIPES
from tests.test_contract import (
    assert_close,
    compiled_within,
    every_recipe,
    every_structure,
    expected,
    loop,
    loop_through_cond,
    make_grads,
    make_params,
    run,
)


@every_structure
def test_optax_wrappers_change_nothing(case):
    for wrap in (optax.chain, lambda tx: optax.masked(tx, True), optax.with_extra_args_support):
        got, _, _ = loop(wrap(case.build()), make_params(), make_grads())
        assert_close(got, expected(case)[0])


@every_structure
def test_partition_changes_nothing(case):
    if case.joint:
        pytest.skip("a leaf's update depends on the other leaves")
    labels = {"w": "a", "b": "b", "s": "a"}
    tx = optax.partition({"a": case.build(), "b": case.build()}, labels)
    assert_close(loop(tx, make_params(), make_grads())[0], expected(case)[0])


@pytest.mark.relaxed
@every_structure
def test_multi_steps_averages_gradients(case):
    params, grads = make_params(), make_grads(4)

    def in_two(tx):
        return optax.MultiSteps(tx, every_k_schedule=2).gradient_transformation()

    mean = jax.tree.map(lambda g: g.reshape(2, 2, *g.shape[1:]).mean(1), grads)
    alone, _, _ = loop(compiled_within(case.build()), params, mean, 2)
    got, _, _ = loop_through_cond(in_two, case.build(), params, grads, 4)
    assert_close(got, alone, rtol=1e-4, atol=1e-6)


@every_structure
def test_arguments_have_the_names_that_optax_gives_them(case):
    params = make_params()
    tx = case.build()
    state = tx.init(params=params)
    by_name, _ = tx.update(updates=params, state=state, params=params)
    assert_close(by_name, tx.update(params, state, params)[0])


@every_structure
def test_unknown_extra_arguments_are_ignored(case):
    params = make_params()
    tx = case.build()
    updates, _ = tx.update(params, tx.init(params), params, value=jnp.ones(()), whatever=3)
    assert_close(updates, tx.update(params, tx.init(params), params)[0])


class Model(nnx.Module):
    def __init__(self, rngs):
        self.dense = nnx.Linear(3, 2, rngs=rngs)
        self.norm = nnx.BatchNorm(2, rngs=rngs)

    def __call__(self, x):
        return self.norm(self.dense(x))


@pytest.mark.parametrize(
    "case", [c for c in CASES if c.name in ("everything", "adabound")], ids=repr
)
def test_nnx_optimizer_and_linen_train_state_agree_with_a_plain_loop(case):
    x = jnp.linspace(-1, 1, 12).reshape(4, 3)
    model = Model(nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, case.build(), wrt=nnx.Param)
    start = nnx.to_pure_dict(nnx.state(model, nnx.Param))
    state = TrainState.create(apply_fn=None, params=start, tx=case.build())
    tx = case.build()
    params, plain = start, tx.init(start)

    def loss(model):
        return jnp.mean((model(x) - 1.0) ** 2)

    for _ in range(3):
        grads = nnx.grad(loss)(model)
        pure = nnx.to_pure_dict(nnx.state(grads))
        optimizer.update(model, grads)
        state = state.apply_gradients(grads=pure)
        updates, plain = tx.update(pure, plain, params)
        params = optax.apply_updates(params, updates)
    assert_close(nnx.to_pure_dict(nnx.state(model, nnx.Param)), params)
    assert_close(state.params, params)
    assert any(np.any(a != b) for a, b in zip(*map(jax.tree.leaves, (params, start)), strict=True))


def test_linen_module_trains():
    model = nn.Dense(2)
    x = jnp.ones((4, 3))
    params = model.init(jax.random.key(0), x)
    state = TrainState.create(apply_fn=model.apply, params=params, tx=aj.adabound(1e-2))

    def loss(params):
        return jnp.mean((model.apply(params, x) - 1.0) ** 2)

    before = loss(state.params)
    for _ in range(20):
        state = state.apply_gradients(grads=jax.grad(loss)(state.params))
    assert loss(state.params) < 0.5 * before


# Trees as Equinox and Flax have them.


def is_of_b(path):
    return "b" in validation.leaf_names(path)


@every_recipe
def test_no_gradient_is_no_step(case):
    """As if the parameter were not there; its part of the state waits."""
    tx, params = case.build(), make_params()
    grads = {**params, "b": None}
    state = tx.init(params)
    updates, new_state = tx.update(grads, state, params)
    assert updates["b"] is None
    rest = {k: p for k, p in params.items() if k != "b"}
    alone, alone_state = tx.update(rest, tx.init(rest), rest)
    assert_close({k: u for k, u in updates.items() if k != "b"}, alone)
    assert jax.tree.structure(new_state) == jax.tree.structure(state)
    for (path, new), old in zip(
        jax.tree_util.tree_leaves_with_path(new_state), jax.tree.leaves(state), strict=True
    ):
        if is_of_b(path):
            np.testing.assert_array_equal(new, old)
    others = [x for path, x in jax.tree_util.tree_leaves_with_path(new_state) if not is_of_b(path)]
    assert_close(others, jax.tree.leaves(alone_state))


def test_no_gradients_at_all():
    """Optax's stages and SGD return None for None."""
    params = make_params()
    for tx in (aj.add_decayed_weights(0.1), aj.clip_by_global_norm(1.0), aj.adamw()):
        assert tx.update(None, tx.init(params), params)[0] is None


WRAPPED = {
    "cautious": aj.cautious(aj.adam()),
    "lookahead": aj.lookahead(aj.adam()),
    "schedule_free": aj.schedule_free(optax.sgd(0.1), 0.1),
    "master weights": aj.with_master_weights(aj.adamw()),
    "skip_spikes": aj.skip_spikes(aj.adamw()),
    "storage": aj.with_storage(aj.adamw(), minimum=1, mu="int8", nu="uint8"),
    "tunable": aj.tunable(aj.adamw),
    "mean": aj.chain(aj.sgd(0.1), aj.polyak_average()),
    "partition": aj.partition_by_mask(aj.mask_by_path("weight"), aj.adamw(), aj.sgd(0.1)),
    "mask": aj.adamw(mask=aj.mask_by_ndim(2)),
    "Optax's chain": optax.chain(optax.clip_by_global_norm(1.0), aj.adamw()),
    "apply_if_finite": optax.apply_if_finite(aj.adamw(), 3),
    "torch": aj.presets.torch.SGD(0.1, weight_decay=0.1, momentum=0.9),
    "keras": aj.presets.keras.Adam(weight_decay=0.1, use_ema=True, ema_overwrite_frequency=2),
}


class Perceptron(eqx.Module):
    layer: eqx.nn.Linear
    sizes: jax.Array
    activation: object = jax.nn.relu
    depth: int = 3

    def __call__(self, x):
        return self.activation(self.layer(x))


def perceptron():
    layer = eqx.nn.Linear(3, 2, key=jax.random.key(0))
    return Perceptron(layer, jnp.arange(2))


EVERY_KIND = {repr(case): case.build() for case in RECIPES} | WRAPPED


@pytest.mark.parametrize("tx", EVERY_KIND.values(), ids=EVERY_KIND)
def test_an_equinox_model_is_taken_as_it_is(tx):
    """With functions and integers among its leaves, which have no gradient and no state."""
    model = perceptron()
    arrays = eqx.filter(model, eqx.is_inexact_array)

    def update(grads, params):
        return tx.update(grads, tx.init(params), params)

    plain = jax.eval_shape(update, arrays, arrays)
    assert jax.eval_shape(lambda: tx.init(model)) == plain[1]
    assert jax.eval_shape(lambda grads: update(grads, model), arrays) == plain


def test_an_equinox_model_trains_as_its_arrays_do():
    model = perceptron()
    arrays = eqx.filter(model, eqx.is_inexact_array)
    tx = aj.schedule_free_adamw(0.1)
    state = tx.init(model)
    updates, new_state = tx.update(arrays, state, model)
    expected, expected_state = tx.update(arrays, tx.init(arrays), arrays)
    jax.tree.map(np.testing.assert_array_equal, updates, expected)
    average = aj.schedule_free_params(new_state, eqx.apply_updates(model, updates))
    assert average.activation is model.activation and average.sizes is model.sizes
    alone = aj.schedule_free_params(expected_state, eqx.apply_updates(arrays, updates))
    np.testing.assert_array_equal(average.layer.weight, alone.layer.weight)


def test_what_cannot_be_trained_is_named():
    tx = aj.adam()
    floats = {"w": jnp.ones(2), "n": jnp.ones(2)}
    for params, kind in (
        ({"w": jnp.ones(2), "n": jnp.arange(2)}, "int32"),
        ({"w": jnp.ones(2), "n": jax.nn.relu}, "custom_jvp"),
    ):
        state = tx.init(params)
        message = rf"parameters must be .*, got {kind} at \['n'\]; .* pass None as the gradient"
        with pytest.raises(ValueError, match=message):
            tx.update(floats, state, params)
        with pytest.raises(ValueError, match=r"state has nothing at \['n'\]; init creates state"):
            tx.update(floats, state)
    with pytest.raises(ValueError, match=r"gradients has nothing at \['n'\]"):
        tx.update({"w": jnp.ones(2)}, tx.init(floats), floats)
    with pytest.raises(ValueError, match=r"gradients has nothing at \['n'\]"):
        tx.update({"w": jnp.ones(2)}, tx.init(floats))


@pytest.fixture(scope="module")
def nnx_model():
    """A model in bfloat16, its gradients and its parameters."""
    model = nnx.Linear(3, 2, param_dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
    params = nnx.state(model, nnx.Param)
    return model, jax.tree.map(jnp.ones_like, params), params


def of_nnx(model, tx, grads):
    """The state of NNX's optimizer after an update, and the same without Flax's Variables."""
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
    optimizer.opt_state = nnx.data(tx.update(grads, optimizer.opt_state, nnx.state(model))[1])
    return optimizer.opt_state, nnx.as_pure(optimizer.opt_state)


def assert_same_in_nnx(ours, pure, params):
    assert jax.tree.structure(ours) == jax.tree.structure(params)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(pure), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def test_nnx_states_are_taken_as_they_are(nnx_model):
    model, grads, params = nnx_model
    pure_grads, pure_params = nnx.to_pure_dict(grads), nnx.to_pure_dict(params)
    tx = aj.chain(aj.clip_by_value(1.0), aj.schedule_free_adamw(0.1))
    state, pure = of_nnx(model, tx, grads)
    assert_same_in_nnx(
        aj.schedule_free_params(state, params), aj.schedule_free_params(pure, pure_params), params
    )
    tx = aj.adabound(0.1)
    state, pure = of_nnx(model, tx, grads)
    rates = aj.diagnostics.effective_learning_rates
    assert_same_in_nnx(
        rates(tx, grads, state, params), rates(tx, pure_grads, pure, pure_params), params
    )
    tx = aj.with_master_weights(aj.adamw(0.1))
    state, pure = of_nnx(model, tx, grads)
    assert jax.tree.leaves(state.correction)[0].dtype == jnp.int16
    merged = aj.merge_params(params, state.correction)
    assert_same_in_nnx(merged, aj.merge_params(pure_params, pure.correction), params)
    moved = aj.apply_updates(params, pure_grads, 0)
    assert_same_in_nnx(moved, aj.apply_updates(params, grads, 0), params)
    state, pure = of_nnx(model, aj.asgd(0.1), grads)
    at = registry.get("asgd").evaluated_at
    assert_same_in_nnx(at(state, params), at(pure, pure_params), params)
    tx = aj.presets.keras.SGD(0.1, use_ema=True)
    state, pure = of_nnx(model, tx, grads)
    final = aj.presets.keras.finalize_variable_values
    assert_same_in_nnx(final(params, state), final(pure_params, pure), params)


def test_an_update_takes_a_state_of_nnx_and_gives_it_back(nnx_model):
    model, grads, params = nnx_model
    tx = aj.adamw(0.1)
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
    updates, state = tx.update(grads, optimizer.opt_state, params)
    assert jax.tree.structure(state) == jax.tree.structure(optimizer.opt_state)
    pure_params, pure_grads = nnx.to_pure_dict(params), nnx.to_pure_dict(grads)
    expected, _ = tx.update(pure_grads, tx.init(pure_params), pure_params)
    assert_same_in_nnx(updates, expected, params)


def test_whole_numbers_under_inject_hyperparams_are_to_be_static():
    params = {"w": jnp.ones((2, 3))}
    static = {
        aj.muon: "ns_steps",
        aj.adashift: "keep_num",
        aj.schedule_free_sgd: "warmup_steps",
        aj.schedule_free_adamw: "warmup_steps",
    }
    for entry in registry.OPTIMIZERS.values():
        name = static.get(entry.factory)
        if name:
            injected = optax.inject_hyperparams(entry.factory)(learning_rate=0.1)
            with pytest.raises(ValueError, match=rf"static_args=\('{name}',\)"):
                jax.eval_shape(injected.init, params)
        factory = optax.inject_hyperparams(entry.factory, static_args=(name,) if name else ())
        tx = factory(learning_rate=0.1)
        jax.eval_shape(lambda p, tx=tx: tx.update(p, tx.init(p), p), params)
    for factory, kwargs in (
        (aj.with_master_weights, {"tx": aj.sgd(), "bits": 8}),
        (aj.centralize_gradients, {"output_axis": 0}),
        (aj.lookahead, {"tx": aj.sgd(), "sync_period": 3}),
    ):
        tx = optax.inject_hyperparams(factory)(**kwargs)
        with pytest.raises(ValueError, match=r"static_args=\('(bits|output_axis|sync_period)',\)"):
            jax.eval_shape(lambda p, tx=tx: tx.update(p, tx.init(p), p), params)


# The algebra.

PRECONDITIONERS = {
    "adam": aj.scale_by_adam(),
    "adam_nesterov": aj.scale_by_adam(nesterov=True),
    "amsgrad": aj.scale_by_amsgrad(),
    "adamax": aj.scale_by_adamax(),
    "nadam": aj.scale_by_nadam(),
    "radam": aj.scale_by_radam(),
    "adabelief": aj.scale_by_adabelief(),
    "yogi": aj.scale_by_yogi(),
    "qhadam": aj.scale_by_qhadam(nu2=0.9),
    "adagrad": aj.scale_by_adagrad(),
    "adadelta": aj.scale_by_adadelta(),
    "rms": aj.scale_by_rms(),
    "rms_centered": aj.scale_by_rms(centered=True),
    "sign": aj.scale_by_sign(),
    "adan": aj.scale_by_adan(),
    "ademamix": aj.scale_by_ademamix(),
    "diffgrad": aj.scale_by_diffgrad(),
    "adashift": aj.scale_by_adashift(keep_num=2),
    "rprop": aj.scale_by_rprop(),
    "sm3": aj.scale_by_sm3(),
    "lion": aj.scale_by_lion(),
    "adam_uncorrected": aj.scale_by_adam(bias_correction=False),
    "novograd": aj.scale_by_novograd(),
    "momental": aj.momental_bound()(aj.scale_by_adam()),
    "partial": aj.correct_bias()(aj.partial_adaptivity()(aj.scale_by_amsgrad())),
    "factored_rms": aj.scale_by_factored_rms(),
    "swats": aj.scale_by_swats(),
    "bound": aj.bound_lr(base_lr=1e-3)(aj.scale_by_adam()),
    "stored": aj.with_storage(aj.scale_by_adam(), mu="int8", nu="uint8", minimum=1),
}


@pytest.mark.parametrize("tx", PRECONDITIONERS.values(), ids=PRECONDITIONERS)
def test_update_is_direction_times_scale(tx):
    assert isinstance(tx, aj.Preconditioner)
    assert isinstance(tx, optax.GradientTransformationExtraArgs)
    init, update = tx
    params = make_params(jnp.bfloat16)
    state = init(params)
    for i in range(3):
        grads = jax.tree.map(lambda g, i=i: g[i], make_grads())
        updates, new_state = update(grads, state, params)
        result = tx.step(grads, state, params)
        assert result.back is None
        assert_close(result.state, new_state)
        product = jax.tree.map(
            lambda d, s: (d * s).astype(jnp.bfloat16), result.direction, result.scale
        )
        assert_close(updates, product)
        for leaf in jax.tree.leaves(result.scale):
            assert leaf.dtype == jnp.float32 and bool(jnp.all(leaf >= 0))
        state = new_state


@pytest.mark.parametrize("tx", PRECONDITIONERS.values(), ids=PRECONDITIONERS)
def test_a_modifier_of_ones_own_binds_in_chain_and_by_hand(tx):
    half = aj.ScaleModifier(
        optax.init_empty_state,
        lambda scale, state: (jax.tree.map(lambda s: s / 2, scale), state),
    )
    params, grads = make_params(), make_grads()
    _, _, plain = loop(tx, params, grads, 4)
    for modified in (aj.chain(tx, half), half(tx), optax.chain(half(tx))):
        _, _, halved = loop(modified, params, grads, 4)
        assert_close(jax.tree.map(lambda u: 2 * u, halved), plain)
    _, _, quarter = loop(aj.chain(tx, half, half), params, grads, 4)
    assert_close(jax.tree.map(lambda u: 4 * u, quarter), plain)


def test_a_modifier_with_a_state():
    """AdaMod's momental bound: a scale may not exceed its own moving mean."""

    def modify(scale, mean):
        mean = jax.tree.map(lambda s, m: 0.5 * m + 0.5 * s, scale, mean)
        return jax.tree.map(jnp.minimum, scale, mean), mean

    momental = aj.ScaleModifier(lambda params: jax.tree.map(jnp.zeros_like, params), modify)
    tx = aj.chain(aj.scale_by_rms(decay=0.0, eps=0.0), momental)
    _, _, updates = run(tx, jnp.zeros(()), jnp.array([2.0, 0.5, 4.0]), 3)
    # Scales 1/2, 2, 1/4; means 1/4, 9/8, 11/16; the smaller of each times the gradient.
    np.testing.assert_allclose(updates, [2 * 1 / 4, 0.5 * 9 / 8, 4 * 1 / 4], rtol=1e-6)


def test_misplaced_modifiers_say_what_to_write():
    bound = aj.bound_lr(base_lr=1e-3)
    with pytest.raises(ValueError, match="it comes first"):
        aj.chain(bound, aj.scale_by_adam())
    with pytest.raises(ValueError, match="stage 2 of the chain is a ScaleModifier"):
        aj.chain(aj.scale_by_adam(), aj.momentum(), bound)
    with pytest.raises(ValueError, match=r"adaptive_jax\.chain\(scale_by_adam\(\), bound_lr"):
        optax.chain(aj.scale_by_adam(), bound)
    with pytest.raises(ValueError, match=r"adaptive_jax\.chain"):
        nnx.Optimizer(Model(nnx.Rngs(0)), bound, wrt=nnx.Param)
    with pytest.raises(ValueError, match="of a Preconditioner such as"):
        bound(optax.scale_by_adam())
    with pytest.raises(ValueError, match="at least one stage"):
        aj.chain()


def test_a_basis_is_left_by_back():
    """Sign descent along the sum and the difference of two coordinates."""
    turn = jnp.array([[1.0, 1.0], [1.0, -1.0]]) / jnp.sqrt(2.0)

    def step(grads, state, params=None, **extra):
        turned = turn @ grads
        return aj.Step(jnp.sign(turned), jnp.ones(2), state, back=lambda tree: turn.T @ tree)

    tx = aj.Preconditioner(optax.init_empty_state, step)
    half = aj.ScaleModifier(optax.init_empty_state, lambda scale, state: (scale / 2, state))
    for made, size in ((tx, 1.0), (aj.chain(tx, half), 0.5)):
        updates, _ = made.update(jnp.array([3.0, 1.0]), made.init(jnp.zeros(2)))
        np.testing.assert_allclose(updates, [size * jnp.sqrt(2.0), 0.0], atol=1e-6)


@every_structure
def test_a_copy_is_the_transformation_itself(case):
    """So a copied state of training has the same tree structure, and compiles nothing again."""
    tx = case.build()
    for copied in (copy.copy(tx), copy.deepcopy(tx)):
        assert copied == tx
    if isinstance(tx, aj.Transformation):
        (leaf,) = jax.tree.leaves({"tx": tx, "x": 1.0})  # static: no leaf
        assert leaf == 1.0


def test_a_copied_train_state_is_the_same_to_jit_cond_and_map():
    for tx in (aj.adam(1e-3), aj.adabound(1e-3), aj.muon(1e-3), aj.tunable(aj.adamw)):
        state = TrainState.create(apply_fn=None, params={"w": jnp.ones((2, 2))}, tx=tx)
        traces = []

        @jax.jit
        def step(state, traces=traces):
            traces.append(1)
            return state.apply_gradients(grads=state.params)

        copied = copy.deepcopy(state)
        step(state), step(copied)
        assert len(traces) == 1
        jax.tree.map(jnp.add, state, copied)
        jax.eval_shape(
            lambda a, b: jax.lax.cond(True, lambda a, b: a, lambda a, b: b, a, b), state, copied
        )
    model = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, aj.adam(1e-3), wrt=nnx.Param)
    assert nnx.graphdef(copy.deepcopy(optimizer)) == nnx.graphdef(optimizer)


@every_structure
def test_the_repr_is_the_call(case):
    tx = case.build()
    if not isinstance(tx, aj.Transformation):  # of this test's own function
        return
    shown = repr(tx)
    assert "0x" not in shown and "<function" not in shown
    assert shown == repr(case.build())


def test_replaced_functions_are_used():
    tx = aj.scale_by_adam()
    other = tx._replace(update=lambda updates, state, params=None: (updates, state))
    assert not isinstance(other, aj.Preconditioner)
    assert other.update(1.0, ())[0] == 1.0 and other.init is tx.init


@pytest.mark.parametrize(
    "tx",
    [
        aj.adamw(1e-3, mask={"w": True}),
        aj.muon(1e-3),
        aj.chain(aj.scale_by_adam(), aj.bound_lr(base_lr=0.1)),
        aj.with_storage(aj.adam(), mu="int8"),
        aj.tunable(aj.adam, learning_rate=0.1),
        aj.presets.torch.AdamW(),
        aj.presets.keras.SGD(momentum=0.9),
    ],
    ids=repr,
)
def test_transformations_pickle_as_the_calls_that_built_them(tx):
    params = {"w": jnp.ones((2, 2))}
    loaded = pickle.loads(pickle.dumps(tx))
    assert repr(loaded) == repr(tx) and type(loaded) is type(tx)
    assert_close(
        loaded.update(params, loaded.init(params), params)[0],
        tx.update(params, tx.init(params), params)[0],
        0,
        0,
    )
