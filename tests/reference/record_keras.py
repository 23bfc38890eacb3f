"""Writes keras.json: what Keras's base class does around its optimizers, and its schedules.

KERAS_BACKEND=jax JAX_ENABLE_X64=1 python tests/reference/record_keras.py, with Keras 3.15.1.
Where Keras promotes types it makes float64 into float32 (except with TensorFlow), which is
switched off here. It was not for trajectories.npz: so its cases of Keras's Adafactor, Adam/3 and
Adam/4 have the precision of float32.
"""

import inspect

import keras
import numpy as np
from inputs import AT, arguments_of, inputs, write
from keras import optimizers
from keras.optimizers import schedules
from keras.src.backend.common import dtypes

COSINE = ["CosineDecay", {"initial_learning_rate": 0.1, "decay_steps": 20}]
STEPS = ["PiecewiseConstantDecay", {"boundaries": [3, 9], "values": [0.1, 0.03, 0.2]}]
EMA = {"use_ema": True, "ema_momentum": 0.8}

CASES = [
    ("Adam", {"learning_rate": 0.01, "clipnorm": 1.0}),
    ("Adam", {"learning_rate": 0.01, "global_clipnorm": 1.0}),
    ("Adam", {"clipvalue": 0.2, "weight_decay": 0.1, "learning_rate": COSINE, **EMA}),
    ("SGD", {"learning_rate": COSINE, "momentum": 0.9, "weight_decay": 0.1}),
    ("SGD", {"learning_rate": STEPS, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    ("SGD", {"learning_rate": 0.1, "weight_decay": 0.2, **EMA, "ema_overwrite_frequency": 3}),
    ("SGD", {"learning_rate": STEPS, "momentum": 0.9, "gradient_accumulation_steps": 3}),
    ("RMSprop", {"learning_rate": STEPS, "momentum": 0.5, "centered": True, "weight_decay": 0.1}),
    ("RMSprop", {"gradient_accumulation_steps": 4, "global_clipnorm": 0.5, **EMA}),
    ("AdamW", {"learning_rate": STEPS, "amsgrad": True, "gradient_accumulation_steps": 2, **EMA}),
    (
        "Adagrad",
        {"gradient_accumulation_steps": 3, **EMA, "ema_overwrite_frequency": 2, "clipnorm": 0.3},
    ),
    ("Adadelta", {"learning_rate": 1.0, "loss_scale_factor": 8.0, "weight_decay": 0.01}),
    ("Adamax", {"learning_rate": STEPS, "weight_decay": 0.1}),
    ("Nadam", {"learning_rate": COSINE, "weight_decay": 0.1, "gradient_accumulation_steps": 2}),
    ("Ftrl", {"weight_decay": 0.1, "learning_rate": 0.1, "l1_regularization_strength": 0.1}),
    ("Ftrl", {"learning_rate": STEPS, "learning_rate_power": -0.7, "beta": 0.5}),
    ("Lion", {"learning_rate": STEPS, "beta_1": 0.8, "beta_2": 0.9, **EMA}),
    ("Lamb", {"learning_rate": COSINE, "weight_decay": 0.2, "beta_1": 0.8}),
    ("Lamb", {"learning_rate": 0.02, "clipnorm": 0.7, "gradient_accumulation_steps": 2}),
    ("Adafactor", {}),
    ("Adafactor", {"learning_rate": 0.01, "relative_step": False}),
    ("Adafactor", {"learning_rate": 0.05, "weight_decay": 0.5}),
    ("Adafactor", {"learning_rate": STEPS, "beta_2_decay": -0.6, "clip_threshold": 0.5}),
    ("Adafactor", {"learning_rate": 0.5, "epsilon_2": 0.1}),
    ("Muon", {}),
    ("Muon", {"learning_rate": 0.02, "nesterov": False, "weight_decay": 0.1, "ns_steps": 3}),
    ("Muon", {"learning_rate": 0.02, "rms_rate": None, "adam_lr_ratio": 0.5, "momentum": 0.8}),
    ("Muon", {"learning_rate": 0.02, "exclude_layers": ["w"], "adam_weight_decay": None}),
    ("ScheduleFreeAdamW", {}),
    ("ScheduleFreeAdamW", {"learning_rate": 0.05, "warmup_steps": 6, "weight_decay": 0.1}),
    ("ScheduleFreeAdamW", {"learning_rate": STEPS, "beta_1": 0.8, "epsilon": 1e-3, **EMA}),
]

SCHEDULES = [
    COSINE,
    STEPS,
    ["ExponentialDecay", {"initial_learning_rate": 0.1, "decay_steps": 7, "decay_rate": 0.5}],
    [
        "ExponentialDecay",
        {"initial_learning_rate": 0.1, "decay_steps": 7, "decay_rate": 0.5, "staircase": True},
    ],
    ["InverseTimeDecay", {"initial_learning_rate": 0.1, "decay_steps": 7, "decay_rate": 0.5}],
    [
        "InverseTimeDecay",
        {"initial_learning_rate": 0.1, "decay_steps": 7, "decay_rate": 2.0, "staircase": True},
    ],
    ["PolynomialDecay", {"initial_learning_rate": 0.1, "decay_steps": 20, "power": 2.0}],
    [
        "PolynomialDecay",
        {
            "initial_learning_rate": 0.1,
            "decay_steps": 8,
            "end_learning_rate": 0.02,
            "cycle": True,
        },
    ],
    ["CosineDecay", {"initial_learning_rate": 0.1, "decay_steps": 20, "alpha": 0.2}],
    [
        "CosineDecay",
        {
            "initial_learning_rate": 0.01,
            "decay_steps": 20,
            "warmup_target": 0.2,
            "warmup_steps": 10,
        },
    ],
    ["CosineDecay", {"initial_learning_rate": 0.01, "decay_steps": 20, "warmup_target": 0.2}],
    ["CosineDecay", {"initial_learning_rate": 0.1, "decay_steps": 20, "warmup_steps": 10}],
    ["CosineDecayRestarts", {"initial_learning_rate": 0.1, "first_decay_steps": 5}],
    [
        "CosineDecayRestarts",
        {
            "initial_learning_rate": 0.1,
            "first_decay_steps": 6,
            "t_mul": 1.0,
            "m_mul": 0.5,
            "alpha": 0.1,
        },
    ],
]


def schedule(name, arguments):
    return getattr(schedules, name)(**arguments)


def record(name, arguments):
    rate = arguments.get("learning_rate")
    made = {"learning_rate": schedule(*rate)} if isinstance(rate, list) else {}
    optimizer = getattr(optimizers, name)(**{**arguments, **made})
    start, grads = inputs()
    variables = [keras.Variable(start[leaf], name=leaf) for leaf in start]
    after = {}
    for step in range(max(AT)):
        optimizer.apply(
            [keras.ops.convert_to_tensor(grads[leaf][step]) for leaf in grads], variables
        )
        if step + 1 in AT:
            after[step + 1] = values(variables)
    case = {"name": name, "arguments": arguments, "after": after}
    if arguments.get("use_ema"):
        optimizer.finalize_variable_values(variables)
        case["final"] = values(variables)
    return case


def values(variables):
    return {v.name: np.asarray(v.value).tolist() for v in variables}


if __name__ == "__main__":
    keras.backend.set_floatx("float64")
    dtypes.BIT64_TO_BIT32_DTYPE["float64"] = "float64"
    names = sorted({name for name, _ in CASES})
    write(
        "keras.json",
        {
            "keras": keras.__version__,
            "optimizers": [record(*case) for case in CASES],
            "schedules": [
                {
                    "name": name,
                    "arguments": arguments,
                    "values": [float(schedule(name, arguments)(t)) for t in range(40)],
                }
                for name, arguments in SCHEDULES
            ],
            "arguments": {
                name: arguments_of(inspect.signature(getattr(optimizers, name))) for name in names
            }
            | {
                name: arguments_of(inspect.signature(getattr(schedules, name)))
                for name in sorted({name for name, _ in SCHEDULES})
            },
        },
    )
