"""Stages that stand before or after an optimizer: clipping, decay, the learning rate."""

import math

import numpy as np

import adaptive_jax as aj
from tests.families.adabound import adabound
from tests.families.adagrad import adagrad
from tests.families.adam import adam
from tests.families.sgd import sgd
from tests.family import (
    LR,
    RATE,
    W_DECAYS,
    Case,
    before,
    formula,
    only_w,
    ramp,
)


def clip_by_value(limit):
    def clip(g):
        return {name: np.minimum(np.maximum(array, -limit), limit) for name, array in g.items()}

    return clip


def clip_by_norm(limit):
    def clip(g):
        return {
            name: array if np.sum(array**2) <= limit**2 else array * limit / np.linalg.norm(array)
            for name, array in g.items()
        }

    return clip


def clip_by_block_rms(limit):
    def clip(g):
        return {
            name: array / max(1.0, math.sqrt(np.mean(array**2)) / limit)
            for name, array in g.items()
        }

    return clip


def clip_by_global_norm(limit):
    def clip(g):
        norm = math.sqrt(sum(np.sum(array**2) for array in g.values()))
        return {name: array * min(1.0, limit / norm) for name, array in g.items()}

    return clip


def everything(learning_rate, weight_decay):
    return aj.chain(
        aj.clip_by_global_norm(1.0),
        aj.scale_by_adam(),
        aj.bound_lr(final_lr=0.1, gamma=1e-3, base_lr=1e-3),
        aj.add_decayed_weights(weight_decay),
        aj.scale_by_learning_rate(learning_rate),
    )


CASES = [
    Case("scale_by_learning_rate", aj.scale_by_learning_rate, {"learning_rate": 0.1}, LR),
    Case(
        "add_decayed_weights",
        aj.add_decayed_weights,
        {"weight_decay": 0.1},
        ("weight_decay",),
        needs_params=True,
        decays=True,
    ),
    Case(
        "clip_by_value",
        aj.clip_by_value,
        {"max_value": 0.5},
        tames_infinity=True,
        by_component=True,
    ),
    Case("clip_by_norm", aj.clip_by_norm, {"max_norm": 0.5}),
    Case("clip_by_block_rms", aj.clip_by_block_rms, {"max_rms": 0.5}),
    Case("clip_by_global_norm", aj.clip_by_global_norm, {"max_norm": 0.5}, joint=True),
    Case(
        "everything",
        everything,
        {"learning_rate": 1e-3, "weight_decay": 1e-4},
        ("learning_rate", "weight_decay"),
        needs_params=True,
        decays=True,
        joint=True,
    ),
]


FORMULAS = [
    formula(
        "sgd coupled decay scheduled",
        before(lambda: aj.add_decayed_weights(ramp(0.5, 0.0)), lambda: aj.sgd(0.1, 0.9)),
        sgd,
        lr=0.1,
        momentum=0.9,
        l2=ramp(0.5, 0.0),
    ),
    formula(
        "adam coupled decay",
        before(lambda: aj.add_decayed_weights(0.1), lambda: aj.adam(RATE)),
        adam,
        lr=RATE,
        l2=0.1,
    ),
    formula(
        "adagrad coupled decay masked",
        before(lambda: aj.add_decayed_weights(0.2, W_DECAYS), lambda: aj.adagrad(0.1)),
        only_w(adagrad, l2=0.2),
        by_array=True,
        lr=0.1,
    ),
    formula(
        "amsbound coupled decay",
        before(lambda: aj.add_decayed_weights(0.1), lambda: aj.amsbound(RATE, gamma=0.05)),
        adabound,
        lr=RATE,
        gamma=0.05,
        amsbound=True,
        l2=0.1,
    ),
    formula(
        "clip by value",
        before(lambda: aj.clip_by_value(0.7), lambda: aj.sgd(0.1)),
        sgd,
        lr=0.1,
        clip=clip_by_value(0.7),
    ),
    formula(
        "clip by norm",
        before(lambda: aj.clip_by_norm(2.0), lambda: aj.adagrad(0.1)),
        adagrad,
        lr=0.1,
        by_array=True,
        clip=clip_by_norm(2.0),
    ),
    formula(
        "clip by block rms",
        before(lambda: aj.clip_by_block_rms(0.8), lambda: aj.adagrad(0.1)),
        adagrad,
        lr=0.1,
        by_array=True,
        clip=clip_by_block_rms(0.8),
    ),
    formula(
        "clip by global norm",
        before(lambda: aj.clip_by_global_norm(4.5), lambda: aj.sgd(0.1, 0.9)),
        sgd,
        lr=0.1,
        momentum=0.9,
        by_array=True,
        clip=clip_by_global_norm(4.5),
    ),
    formula(
        "clip by global norm, coupled decay, adabound",
        lambda: aj.chain(
            aj.clip_by_global_norm(0.5), aj.add_decayed_weights(0.01), aj.adabound(RATE, gamma=0.1)
        ),
        adabound,
        lr=RATE,
        gamma=0.1,
        by_array=True,
        clip=clip_by_global_norm(0.5),
        l2=0.01,
    ),
]
