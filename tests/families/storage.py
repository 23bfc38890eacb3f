"""States in few bytes: the contract holds for them, too, and without codecs nothing changes."""

import adaptive_jax as aj
from tests.families.adam import adam
from tests.family import LR, RATE, Case, formula


def adam_in_8_bits(learning_rate, b1, b2):
    return aj.with_storage(aj.adam(learning_rate, b1, b2), mu="int8", nu="uint8", minimum=1)


def amsgrad_in_bfloat16(learning_rate, b2):
    codecs = dict.fromkeys(("mu", "nu", "nu_max"), "bfloat16")
    return aj.with_storage(aj.amsgrad(learning_rate, b2=b2), **codecs, minimum=1)


def adabound_in_4_and_8_bits(learning_rate, final_lr):
    return aj.chain(
        aj.with_storage(aj.scale_by_adam(b2=0.99), mu="int4", nu="uint8", minimum=1),
        aj.bound_lr(final_lr, 0.1, base_lr=0.1),
        aj.scale_by_learning_rate(learning_rate),
    )


def rmsprop_in_float8(learning_rate):
    codecs = {"mu": "float8_e5m2", "nu": "float8_e4m3"}
    return aj.with_storage(aj.rmsprop(learning_rate, centered=True), **codecs, minimum=1)


CASES = [
    Case(
        "adam_in_8_bits",
        adam_in_8_bits,
        {"learning_rate": 0.1, "b1": 0.9, "b2": 0.99},
        LR,
        scale_free=True,
        lean=True,
    ),
    Case(
        "amsgrad_in_bfloat16",
        amsgrad_in_bfloat16,
        {"learning_rate": 0.1, "b2": 0.99},
        LR,
        scale_free=True,
        lean=True,
    ),
    Case(
        "adabound_in_4_and_8_bits",
        adabound_in_4_and_8_bits,
        {"learning_rate": 0.1, "final_lr": 0.1},
        LR,
        scale_free=True,
        lean=True,
    ),
    Case("rmsprop_in_float8", rmsprop_in_float8, {"learning_rate": 0.1}, LR, lean=True),
]


FORMULAS = [
    formula(
        "adam with small arrays in 8 bits",
        lambda: aj.with_storage(aj.adam(RATE), mu="int8", nu="uint8"),
        adam,
        lr=RATE,
    ),
]
