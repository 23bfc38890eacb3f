"""Every optimizer of Optax, as the population trains it and as a loop by hand does."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from adaptive_jax import registry
from adaptive_jax.lab.training import Member, OptimizerSpec, Population
from adaptive_jax.lab.workloads import Data, Split, Workload

pytestmark = [pytest.mark.relaxed, pytest.mark.filterwarnings("ignore:.*is deprecated")]

RATE, EPOCHS, BATCH, EXAMPLES = 0.05, 2, 4, 12
STEPS = EPOCHS * EXAMPLES // BATCH
# Their learning rate follows no schedule: they average instead, choose the length of each step
# themselves, or take it for the first step's only.
UNSCHEDULED = ("lbfgs", "polyak_sgd", "rprop", "schedule_free_adamw", "schedule_free_sgd")
UNSCHEDULED += ("averaged", "masked_average")
NO_SCHEDULES = ("sm3", "optimistic_adam")  # their factories take none
SETTINGS = {"optax.noisy_sgd": ":key=1"}
OTHERS = {  # what they take, which is not what others do
    "sophia": lambda value_fn: {"obj_fn": value_fn},
    "sharp": lambda value_fn: {},
    "opaque": lambda value_fn: {"grad_fn": lambda params, _: jax.grad(value_fn)(params)},
}
NOT_HERE = ("dpsgd", "schedule_free")  # of gradients of each example; of an optimizer


def names():
    for prefix, module in (("optax", optax), ("optax.contrib", optax.contrib)):
        for name, value in vars(module).items():
            if inspect.isfunction(value) and not name.startswith(("_", "scale_by_")):
                parameters = inspect.signature(value).parameters
                rates = {"learning_rate", "max_learning_rate"} & {*parameters}
                if rates and name not in NOT_HERE:
                    yield f"{prefix}.{name}"


def mechanized(learning_rate):
    return optax.contrib.mechanize(optax.sgd(learning_rate))


def plateau(learning_rate):
    return optax.chain(
        optax.adam(learning_rate), optax.contrib.reduce_on_plateau(patience=1, accumulation_size=2)
    )


def sharp(learning_rate):
    return optax.contrib.sam(optax.sgd(learning_rate), optax.sgd(0.01), sync_period=2)


def opaque(learning_rate):
    return optax.contrib.sam(
        optax.sgd(learning_rate), optax.sgd(0.01), sync_period=2, opaque_mode=True
    )


def searched(learning_rate):
    return optax.chain(optax.sgd(learning_rate), optax.scale_by_backtracking_linesearch(5))


def averaged(learning_rate):
    return optax.chain(optax.clip(1.0), optax.contrib.schedule_free_sgd(learning_rate))


def masked_average(learning_rate):
    parts = {"a": optax.contrib.schedule_free_adamw(learning_rate), "b": optax.sgd(learning_rate)}
    return optax.partition(parts, {"kernel": "a", "bias": "b"})


OWN = (mechanized, plateau, sharp, opaque, searched, averaged, masked_average)
CASES = {
    **{name: f"{name}{SETTINGS.get(name, '')}" for name in names()},
    **{own.__name__: own for own in OWN},
}


def load(data_dir):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(EXAMPLES + 8, 3)).astype(np.float32)
    y = (x @ rng.normal(size=(3, 2)) + 0.1 * rng.normal(size=(len(x), 2))).astype(np.float32)
    rest = Split(x[EXAMPLES:], y[EXAMPLES:])
    return Data(Split(x[:EXAMPLES], y[:EXAMPLES]), rest, rest)


def squares(outputs, targets):
    return jnp.sum((outputs - targets) ** 2, axis=-1)


LINEAR = Workload(
    "linear",
    load,
    lambda rngs: nnx.Linear(3, 2, rngs=rngs),
    squares,
    accuracy=None,
    metric="loss",
    batch_size=BATCH,
    epochs=EPOCHS,
)


@pytest.fixture(scope="module")
def histories():
    """All of them in one program."""
    members = [
        Member(OptimizerSpec.of(each), 3, {"learning_rate": RATE}) for each in CASES.values()
    ]
    population = Population(LINEAR, load(None), width=100, devices=jax.devices()[:1])
    return dict(zip(CASES, population.run(members), strict=True))


def by_hand(name):
    """The training losses of the epochs, and the test loss."""
    factory = CASES[name]
    short = name.rpartition(".")[2]
    shape = optax.cosine_decay_schedule(1.0, STEPS)
    settings = {"key": 1} if short == "noisy_sgd" else {}
    if callable(factory) or short in NO_SCHEDULES or short in UNSCHEDULED:
        build = factory if callable(factory) else registry.get(name).factory
        tx = build(learning_rate=RATE)
        if short not in UNSCHEDULED:
            tx = optax.chain(tx, optax.scale_by_schedule(shape))
    else:
        module = optax.contrib if ".contrib." in name else optax
        tx = getattr(module, short)(learning_rate=lambda count: RATE * shape(count), **settings)
    tx = optax.with_extra_args_support(tx)
    data = load(None)
    model = nnx.Linear(3, 2, rngs=nnx.Rngs(jax.random.key(3)))
    params = {"kernel": model.kernel[...], "bias": model.bias[...]}

    def loss(params, x, y):
        return jnp.mean(squares(x @ params["kernel"] + params["bias"], y))

    state, curve = tx.init(params), []
    for epoch in range(EPOCHS):
        order = jax.random.permutation(jax.random.fold_in(jax.random.key(3), 1 + epoch), EXAMPLES)
        values = []
        for batch in order.reshape(-1, BATCH):
            of_batch = [array[batch] for array in data.train]

            def value_fn(params, of_batch=of_batch):
                return loss(params, *of_batch)

            value, grad = jax.value_and_grad(value_fn)(params)
            extra = {"value": value, "grad": grad, "value_fn": value_fn}
            if short in OTHERS:
                extra = OTHERS[short](value_fn)
            updates, state = tx.update(grad, state, params, **extra)
            params = optax.apply_updates(params, updates)
            values.append(float(value))
        curve.append(np.mean(values))
    if short in ("schedule_free_sgd", "schedule_free_adamw"):
        params = optax.contrib.schedule_free_eval_params(state, params)
    if short == "averaged":
        params = optax.contrib.schedule_free_eval_params(state[1], params)
    if short == "masked_average":
        inner = state.inner_states["a"].inner_state
        kernel = (params["kernel"] - 0.1 * inner.z["kernel"]) / 0.9
        params = {**params, "kernel": kernel}
    return curve, float(loss(params, *data.test))


@pytest.mark.parametrize("name", CASES)
def test_the_population_equals_a_loop_by_hand(histories, name):
    curve, test_loss = by_hand(name)
    history = histories[name]
    np.testing.assert_allclose([point["train_loss"] for point in history.curve], curve, rtol=2e-4)
    np.testing.assert_allclose(history.final["test_loss"], test_loss, rtol=2e-4)


def test_what_cannot_be_trained_is_told_by_name():
    def needy(learning_rate):
        def update(updates, state, params=None, *, hessian):
            return updates, state

        return optax.GradientTransformationExtraArgs(lambda params: (), update)

    private = "optax.contrib.dpsgd:l2_norm_clip=1,noise_multiplier=1,seed=0,learning_rate=0.1"
    population = Population(LINEAR, load(None), width=1, devices=jax.devices()[:1])
    for optimizer, message in ((needy, "'hessian'"), (private, "batch dimension")):
        with pytest.raises(ValueError, match=f"cannot be trained here: .*{message}.* value_fn"):
            list(population.run([Member(OptimizerSpec.of(optimizer), 0, {"learning_rate": 0.1})]))


def test_names_of_optax():
    assert registry.of(optax.contrib.muon).name == "optax.contrib.muon"
    assert registry.of(optax.polyak_sgd) is registry.get("optax.polyak_sgd")
    with pytest.raises(ValueError, match=r"did you mean 'optax\.contrib\.prodigy'"):
        registry.get("optax.contrib.prodigi")

    def adam(learning_rate):
        return optax.sgd(learning_rate)

    mine = registry.of(adam)
    assert mine.name == f"{__name__}.adam" and mine.factory is adam
    assert registry.get("optax.contrib.schedule_free_sgd").scheduled is False
