"""Presets whose structure no recipe has."""

import optax

from adaptive_jax.presets import keras, torch
from tests.family import Case, inverse_time

CASES = [
    Case(
        "torch_rmsprop_everything",
        torch.RMSprop,
        {"lr": 0.1, "alpha": 0.9, "eps": 1e-8, "weight_decay": 0.1, "momentum": 0.9},
        ("lr", "momentum"),
        {"centered": True, "maximize": True},
        needs_params=True,
        decays=True,
        rounds_between=True,
    ),
    Case(
        "torch_adagrad_lr_decay",
        torch.Adagrad,
        {"lr": 0.1, "lr_decay": 0.1, "initial_accumulator_value": 0.1},
        ("lr",),
    ),
    Case(
        "torch_adam_cycled",
        torch.Adam,
        {"lr": 0.1, "eps": 1e-8},
        ("lr",),
        {"betas": (inverse_time(0.95, 0.01), 0.99), "amsgrad": True},
    ),
    Case(
        "torch_adafactor_decayed",
        torch.Adafactor,
        {"lr": 0.1, "beta2_decay": -0.8, "d": 1.0, "weight_decay": 0.1},
        ("lr",),
        needs_params=True,
        decays=True,
    ),
    Case(
        "keras_adam_everything",
        keras.Adam,
        {
            "learning_rate": 0.1,
            "beta_1": 0.9,
            "beta_2": 0.99,
            "epsilon": 1e-7,
            "weight_decay": 0.1,
            "global_clipnorm": 1.0,
            "ema_momentum": 0.9,
            "loss_scale_factor": 2.0,
        },
        ("learning_rate",),
        {"use_ema": True, "ema_overwrite_frequency": 3},
        needs_params=True,
        decays=True,
        joint=True,
    ),
    Case(
        "keras_sgd_mean",
        keras.SGD,
        {"learning_rate": 0.1, "momentum": 0.9, "clipvalue": 1.0, "ema_momentum": 0.9},
        ("learning_rate",),
        {"use_ema": True},
        needs_params=True,
        tames_infinity=True,
        by_component=True,
    ),
    Case(
        "keras_rmsprop_clipped",
        keras.RMSprop,
        {"learning_rate": 0.1, "rho": 0.9, "momentum": 0.9, "epsilon": 1e-7, "clipnorm": 1.0},
        ("learning_rate",),
    ),
    Case(
        "keras_ftrl_scheduled",
        keras.Ftrl,
        {"l1_regularization_strength": 0.01, "weight_decay": 0.1},
        extra={"learning_rate": optax.constant_schedule(0.1)},
        needs_params=True,
        decays=True,
        forgets_start=True,
    ),
]

FORMULAS = []
