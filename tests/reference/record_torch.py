"""Writes torch.json: PyTorch's schedulers, and optimizers in combination with them and others.

python tests/reference/record_torch.py, with PyTorch (2.13 was used; as for what is recorded here
it is 2.15).
"""

import inspect
import warnings

import torch
from inputs import AT, arguments_of, inputs, write
from torch.optim import lr_scheduler, swa_utils

STEPS = 48
LR = 0.3

# Name and arguments of a scheduler, its parts nested; a function by its source.
STEP = ("StepLR", {"step_size": 7, "gamma": 0.5})
CONSTANT = ("ConstantLR", {"factor": 0.25, "total_iters": 6})
LINEAR = ("LinearLR", {"start_factor": 0.1, "total_iters": 8})
EXPONENTIAL = ("ExponentialLR", {"gamma": 0.9})
POLYNOMIAL = ("PolynomialLR", {"total_iters": 20, "power": 2.0})
COSINE = ("CosineAnnealingLR", {"T_max": 10})
RESTARTS = ("CosineAnnealingWarmRestarts", {"T_0": 5, "T_mult": 2, "eta_min": 0.01})
LAMBDA = ("LambdaLR", {"lr_lambda": "lambda epoch: 1 / (1 + epoch)"})
MULTIPLICATIVE = ("MultiplicativeLR", {"lr_lambda": "lambda epoch: 1 - 0.5 / (epoch + 1)"})
MULTI_STEP = ("MultiStepLR", {"milestones": [3, 9, 9, 30]})
FLAT_CYCLE = {"base_lr": 0.1, "max_lr": 0.5, "step_size_up": 5, "cycle_momentum": False}
CYCLE = FLAT_CYCLE | {"cycle_momentum": True}
CYCLIC = ("CyclicLR", FLAT_CYCLE)
ONE = ("OneCycleLR", {"max_lr": 0.5, "total_steps": 20, "cycle_momentum": False})
SWA = ("SWALR", {"swa_lr": 0.05, "anneal_epochs": 7})
FLOOR = ("CosineAnnealingLR", {"T_max": 7, "eta_min": 0.05})


def sequential(*schedulers, milestones):
    return ("SequentialLR", {"schedulers": list(schedulers), "milestones": milestones})


def chained(*schedulers):
    return ("ChainedScheduler", {"schedulers": list(schedulers)})


CASES = [
    LAMBDA,
    MULTIPLICATIVE,
    STEP,
    ("StepLR", {"step_size": 3, "gamma": 1.1}),
    MULTI_STEP,
    ("MultiStepLR", {"milestones": [0, 5], "gamma": 0.5}),
    ("MultiStepLR", {"milestones": []}),
    ("ConstantLR", {}),
    CONSTANT,
    ("LinearLR", {}),
    LINEAR,
    ("LinearLR", {"start_factor": 1.0, "end_factor": 0.0, "total_iters": 9}),
    EXPONENTIAL,
    ("ExponentialLR", {"gamma": 1.05}),
    ("PolynomialLR", {}),
    POLYNOMIAL,
    COSINE,
    ("CosineAnnealingLR", {"T_max": 7, "eta_min": 0.05}),
    ("CosineAnnealingLR", {"T_max": 1, "eta_min": 0.05}),
    ("CosineAnnealingLR", {"T_max": 9, "eta_min": 0.5}),
    ("CosineAnnealingWarmRestarts", {"T_0": 9}),
    RESTARTS,
    CYCLIC,
    ("CyclicLR", {"base_lr": 0.1, "max_lr": 0.5, "step_size_up": 5, "step_size_down": 8}),
    ("CyclicLR", {**FLAT_CYCLE, "mode": "triangular2", "cycle_momentum": True}),
    (
        "CyclicLR",
        {**FLAT_CYCLE, "step_size_down": 3, "mode": "exp_range", "gamma": 0.95},
    ),
    ("CyclicLR", {**FLAT_CYCLE, "scale_fn": "lambda cycle: 1 / cycle"}),
    (
        "CyclicLR",
        {**FLAT_CYCLE, "scale_fn": "lambda step: 0.9**step", "scale_mode": "iterations"},
    ),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": STEPS}),
    ("OneCycleLR", {"max_lr": 0.5, "epochs": 6, "steps_per_epoch": 8, "anneal_strategy": "linear"}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": STEPS, "three_phase": True, "pct_start": 0.4}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": STEPS, "pct_start": 0.0, "div_factor": 5.0}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": STEPS, "pct_start": 1.0}),
    (
        "OneCycleLR",
        {
            "max_lr": 0.5,
            "total_steps": STEPS,
            "pct_start": 0.25,
            "anneal_strategy": "linear",
            "base_momentum": 0.7,
            "max_momentum": 0.99,
            "final_div_factor": 10.0,
        },
    ),
    ("SWALR", {"swa_lr": 0.05}),
    ("SWALR", {"swa_lr": 0.5, "anneal_epochs": 7, "anneal_strategy": "linear"}),
    ("SWALR", {"swa_lr": 0.05, "anneal_epochs": 0}),
    sequential(CONSTANT, EXPONENTIAL, milestones=[20]),
    sequential(LINEAR, COSINE, milestones=[8]),
    sequential(LINEAR, ("CosineAnnealingLR", {"T_max": 30, "eta_min": 0.02}), milestones=[8]),
    sequential(EXPONENTIAL, LINEAR, RESTARTS, POLYNOMIAL, milestones=[5, 13, 26]),
    sequential(MULTIPLICATIVE, LAMBDA, STEP, milestones=[4, 20]),
    sequential(POLYNOMIAL, MULTI_STEP, CONSTANT, milestones=[25, 40]),
    sequential(RESTARTS, COSINE, milestones=[11]),
    chained(CONSTANT, EXPONENTIAL),
    chained(LINEAR, COSINE),
    chained(COSINE, LINEAR, STEP),
    chained(EXPONENTIAL, COSINE, POLYNOMIAL),
    chained(MULTIPLICATIVE, MULTI_STEP, LINEAR, STEP, POLYNOMIAL),
]
# At the ends of what torch takes, and where a part depends on what the others have done.
FURTHER_CASES = [
    ("StepLR", {"step_size": 7, "gamma": 0.0}),
    ("ExponentialLR", {"gamma": 0.0}),
    ("ConstantLR", {"total_iters": 0}),
    ("LinearLR", {"total_iters": 0}),
    ("PolynomialLR", {"total_iters": 0}),
    sequential(CYCLIC, EXPONENTIAL, milestones=[40]),
    sequential(EXPONENTIAL, ONE, COSINE, milestones=[9, 28]),
    sequential(EXPONENTIAL, SWA, milestones=[15]),
    sequential(SWA, MULTIPLICATIVE, MULTI_STEP, milestones=[5, 21]),
    sequential(LINEAR, CYCLIC, RESTARTS, FLOOR, milestones=[6, 17, 33]),
    sequential(EXPONENTIAL, LINEAR, STEP, milestones=[22, 9]),
    sequential(EXPONENTIAL, LINEAR, SWA, RESTARTS, milestones=[12, 12, 0]),
    sequential(STEP, POLYNOMIAL, milestones=[0]),
    sequential(chained(CONSTANT, EXPONENTIAL), FLOOR, milestones=[13]),
    sequential(sequential(LINEAR, MULTIPLICATIVE, milestones=[4]), COSINE, milestones=[13]),
    chained(LAMBDA, STEP, EXPONENTIAL),
    chained(STEP, RESTARTS, LINEAR, FLOOR),
    chained(LINEAR, FLOOR),
    chained(FLOOR, EXPONENTIAL, COSINE),
    chained(SWA, EXPONENTIAL),
    chained(CONSTANT, sequential(LINEAR, FLOOR, milestones=[9]), EXPONENTIAL),
    chained(chained(CYCLIC, STEP), SWA),
]


def build(optimizer, name, arguments):
    arguments = {
        key: eval(value) if isinstance(value, str) and value.startswith("lambda") else value
        for key, value in arguments.items()
    }
    if "schedulers" in arguments:
        arguments["schedulers"] = [build(optimizer, *part) for part in arguments["schedulers"]]
    if name == "ChainedScheduler":
        return lr_scheduler.ChainedScheduler(arguments["schedulers"], optimizer)
    return getattr(swa_utils if name == "SWALR" else lr_scheduler, name)(optimizer, **arguments)


def record(name, arguments):
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=LR, momentum=0.9)
    scheduler = build(optimizer, name, arguments)
    (group,) = optimizer.param_groups
    rates, momenta = [], []
    for step in range(STEPS):
        rates.append(float(group["lr"]))
        momenta.append(float(group["momentum"]))
        if step < STEPS - 1:
            optimizer.step()
            scheduler.step()
    case = {"name": name, "arguments": arguments, "lr": rates}
    cycles = len(set(momenta)) > 1
    return {**case, "momentum": momenta} if cycles else case


def plateau(values, arguments):
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=LR)
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, **arguments)
    rates = [LR]
    for value in values:
        optimizer.step()
        scheduler.step(value)
        rates.append(float(optimizer.param_groups[0]["lr"]))
    return {"arguments": arguments, "lr": rates}


VALUES = [5, 4, 3, 3, 3, 2.9999, 2.9, 3.5, 3.5, 3.5, 3.5, 1, 1, 1, 0.9, 1, 1, 1, 1, 1, 1, 1, 1, 1]
PLATEAUS = [
    {"patience": 2},
    {"patience": 0, "factor": 0.5, "min_lr": 0.05},
    {"patience": 1, "cooldown": 3, "factor": 0.7},
    {"patience": 1, "threshold": 0.2, "threshold_mode": "abs", "eps": 0.02},
    {"patience": 2, "threshold": 0.1},
    {"patience": 2, "mode": "max", "threshold": 0.1},
    {"patience": 1, "mode": "max", "threshold_mode": "abs", "threshold": 0.5, "factor": 0.0},
]

ONE_CYCLE = ("OneCycleLR", {"max_lr": 0.05, "total_steps": 24})
OPTIMIZERS = [
    ("SGD", {"momentum": 0.9, "weight_decay": 0.1, "maximize": True}, ONE_CYCLE),
    (
        "SGD",
        {"momentum": 0.9, "dampening": 0.5},
        ("CyclicLR", FLAT_CYCLE | {"cycle_momentum": True}),
    ),
    ("Adagrad", {"lr_decay": 0.1, "maximize": True, "eps": 1e-3}, STEP),
    ("Adadelta", {"maximize": True, "weight_decay": 0.1}, LINEAR),
    (
        "RMSprop",
        {"momentum": 0.9, "centered": True, "weight_decay": 0.1, "maximize": True},
        ONE_CYCLE,
    ),
    ("Adam", {"weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True}, LINEAR),
    ("Adam", {"amsgrad": True, "weight_decay": 0.1}, ONE_CYCLE),
    ("AdamW", {"weight_decay": 0.1, "amsgrad": True, "maximize": True}, COSINE),
    ("Adamax", {"weight_decay": 0.1, "maximize": True}, ONE_CYCLE),
    ("NAdam", {"weight_decay": 0.1, "maximize": True}, ONE_CYCLE),
    ("RAdam", {"weight_decay": 0.1, "maximize": True, "betas": (0.8, 0.9)}, LINEAR),
    ("ASGD", {"weight_decay": 0.1, "maximize": True, "lambd": 0.01, "t0": 5}, None),
    ("ASGD", {"lambd": 0.1, "alpha": 1.0}, STEP),
    ("Rprop", {"maximize": True}, None),
    ("Adafactor", {"lr": 0.5, "weight_decay": 0.1, "maximize": True, "d": 1.5}, None),
    ("Adafactor", {"eps": (1e-4, 0.1), "beta2_decay": -0.6}, COSINE),
    ("Muon", {"lr": 0.02, "adjust_lr_fn": "match_rms_adamw", "ns_steps": 3}, None),
    ("Muon", {"weight_decay": 0.0, "eps": 0.1, "ns_coefficients": (2.0, -1.5, 0.5)}, ONE_CYCLE),
]


def trajectory(name, arguments, schedule):
    start, grads = inputs()
    leaves = ["w"] if name == "Muon" else list(start)
    params = {leaf: torch.tensor(start[leaf], requires_grad=True) for leaf in leaves}
    rate = {} if "lr" in arguments else {"lr": LR / 10}
    implementation = {} if name == "Muon" else {"foreach": False}
    optimizer = getattr(torch.optim, name)(
        list(params.values()), **arguments, **rate, **implementation
    )
    scheduler = schedule and build(optimizer, *schedule)
    after = {}
    for step in range(max(AT)):
        for leaf, param in params.items():
            param.grad = torch.tensor(grads[leaf][step])
        optimizer.step()
        if schedule and step < max(AT) - 1:
            scheduler.step()
        if step + 1 in AT:
            after[step + 1] = {leaf: param.tolist() for leaf, param in params.items()}
    return {"name": name, "arguments": {**rate, **arguments}, "scheduler": schedule, "after": after}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_default_dtype(torch.float64)  # of the states that are scalars
    optimizers = sorted({name for name, *_ in OPTIMIZERS})
    write(
        "torch.json",
        {
            "torch": torch.__version__,
            "lr": LR,
            "schedulers": [record(*case) for case in CASES],
            "further schedulers": [record(*case) for case in FURTHER_CASES],
            "plateau": {"values": VALUES, "cases": [plateau(VALUES, case) for case in PLATEAUS]},
            "optimizers": [trajectory(*case) for case in OPTIMIZERS],
            "arguments": {
                name: arguments_of(inspect.signature(getattr(torch.optim, name)))
                for name in optimizers
            },
        },
    )
