# pyright: strict, reportUnknownMemberType=false, reportMissingTypeStubs=false
# pyright: reportUnnecessaryTypeIgnoreComment=true
"""A user's code, for pyright, which must know all its types (`tests/test_package.py`)."""

from typing import assert_type

import jax
import jax.numpy as jnp
import optax

import adaptive_jax as aj
from adaptive_jax import checkpoint, presets, schedules, storage
from adaptive_jax.lab import Comparison, compare
from adaptive_jax.lab.comparison import CompareConfig
from adaptive_jax.lab.training import Callback, Epoch, RunConfig, RunRecord, train
from adaptive_jax.lab.workloads import WORKLOADS, Data, Split, Workload, get


def composed() -> optax.GradientTransformationExtraArgs:
    schedule = schedules.cosine_decay(1e-3, decay_steps=1000)

    def modify(scale: optax.Updates, state: optax.OptState) -> tuple[optax.Updates, optax.OptState]:
        return optax.tree.clip(scale, max_value=1.0), state

    at_most_one = aj.ScaleModifier(optax.init_empty_state, modify)
    assert_type(aj.bound_lr(base_lr=1e-3)(aj.scale_by_adam()), aj.Preconditioner)
    return aj.chain(
        aj.clip_by_global_norm(1.0),
        aj.with_storage(
            aj.scale_by_adam(b1=0.9), mu="int8", nu=storage.RootBlocks(8, signed=False)
        ),
        at_most_one,
        aj.add_decayed_weights(1e-4, aj.mask_by_ndim(2)),
        optax.scale(1.0),
        aj.scale_by_learning_rate(schedule),
    )


def ported() -> list[optax.GradientTransformationExtraArgs]:
    rate = presets.torch.lr_scheduler.StepLR(0.1, step_size=30)
    return [
        presets.torch.SGD(rate, momentum=0.9, foreach=True),
        presets.keras.Adam(1e-3, beta_1=0.9, clipnorm=1.0),
        aj.muon(0.02, adjust=None, iteration_dtype=jnp.bfloat16),
        aj.adam(jnp.asarray(1e-3)),
    ]


@jax.jit
def step(
    params: dict[str, jax.Array], grads: dict[str, jax.Array], state: optax.OptState
) -> tuple[dict[str, jax.Array], optax.OptState]:
    tx = aj.adabound(1e-3, final_lr=0.1)
    updates, state = tx.update(grads, state, params)
    return aj.apply_updates(params, updates, count=0), state


def tuned(params: dict[str, jax.Array]) -> dict[str, jax.Array]:
    state = aj.tunable(aj.adamw, learning_rate=0.1).init(params)
    state = aj.set_hyperparameters(state, {"learning_rate": 0.05})
    checkpoint.save("last", (params, state), step=1, config={"optimizer": "adamw"})
    return assert_type(aj.hyperparameters(state), dict[str, jax.Array])


class Loudly(Callback):
    def on_epoch(self, epoch: Epoch) -> None:
        print(epoch.number, epoch.metrics["train_loss"].mean(), epoch.members[0].optimizer.label)


def compared(mine: Workload) -> tuple[Comparison, RunRecord]:
    data = assert_type(get("digits_cnn").load(None), Data)
    assert isinstance(data.train, Split)
    print(data.train.examples, list(WORKLOADS))
    config = CompareConfig(
        [mine, "digits_mlp"], ("sgd:momentum=0.9", aj.lion, optax.adamw), seeds=3
    )
    result = compare(mine, ["adam", aj.yogi], out="folder", callback=Loudly(), trials=3, seeds=3)
    best = result.table()[0]
    print(assert_type(result.verdict, str), best["optimizer"], config.to_json())
    return result, train(RunConfig("digits_mlp", "adam", epochs=2), Loudly())


def mistaken() -> None:
    """Each line is an error to pyright, or else what lets it pass is one."""
    aj.adam("0.1")  # pyright: ignore[reportArgumentType]
    aj.chain(aj.scale_by_adam)  # pyright: ignore[reportArgumentType]
    aj.bound_lr(final_lr=0.1)  # pyright: ignore[reportCallIssue]
    aj.with_storage(aj.adam(), mu=8)  # pyright: ignore[reportArgumentType]
    presets.torch.adam(0.1)  # pyright: ignore
    RunConfig("digits_mlp", optax.adam(0.1))  # pyright: ignore[reportArgumentType]
