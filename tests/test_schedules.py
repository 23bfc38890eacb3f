"""Every schedule against a formula in double precision, and what all schedules must do."""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import adaptive_jax as aj
from adaptive_jax import schedules

LAST_COUNT = 2**31 - 1


class Case(NamedTuple):
    """A schedule, its arguments, the same in plain Python, and how far to compare them."""

    name: str
    arguments: dict[str, Any]
    formula: Callable[..., float]
    last: int

    def __repr__(self):
        numbers = ",".join(str(value) for value in self.arguments.values())
        return f"{self.name}({numbers})".replace(" ", "")

    def make(self, **arguments):
        return getattr(schedules, self.name)(**{**self.arguments, **arguments})

    def scaled(self, scale):
        """The learning rates among the arguments, each times `scale`."""
        return {
            name: [scale * value for value in rate] if name == "values" else scale * rate
            for name, rate in self.arguments.items()
            if name in ("init_value", "peak_value", "end_value", "values")
        }

    def expected(self, **arguments):
        """The values in plain Python at every count up to `last`."""
        arguments = {**self.arguments, **arguments}
        return np.array([self.formula(t, **arguments) for t in range(self.last + 1)])


# The formulas take counts as Python integers and follow the sources, Keras's where it has the
# schedule, in their own form rather than in the library's.


def exponential_decay(t, init_value, transition_steps, decay_rate, staircase=False):
    p = t // transition_steps if staircase else t / transition_steps
    return init_value * decay_rate**p


def inverse_time_decay(t, init_value, transition_steps, decay_rate, staircase=False):
    p = t // transition_steps if staircase else t / transition_steps
    return init_value / (1 + decay_rate * p)


def piecewise_constant(t, boundaries, values):
    for boundary, value in zip(boundaries, values, strict=False):
        if t <= boundary:
            return value
    return values[-1]


def polynomial_decay(t, init_value, decay_steps, end_value=1e-4, power=1.0, cycle=False):
    if cycle:
        decay_steps *= 1 if t == 0 else -(-t // decay_steps)
    t = min(t, decay_steps)
    return (init_value - end_value) * (1 - t / decay_steps) ** power + end_value


def cosine_decay(t, init_value, decay_steps, alpha=0.0, peak_value=None, warmup_steps=0):
    if peak_value is None:
        peak_value = init_value
    if t < warmup_steps:
        return (peak_value - init_value) * t / warmup_steps + init_value
    t = min(t - warmup_steps, decay_steps)
    return peak_value * ((1 - alpha) * 0.5 * (1 + math.cos(math.pi * t / decay_steps)) + alpha)


def cosine_restarts(t, init_value, first_decay_steps, t_mul=2.0, m_mul=1.0, alpha=0.0):
    start, length, cycle = Fraction(0), Fraction(first_decay_steps), 0
    while t >= start + length:
        start, length, cycle = start + length, length * Fraction(str(t_mul)), cycle + 1
    height = 0.5 * m_mul**cycle * (1 + math.cos(math.pi * float((t - start) / length)))
    return init_value * ((1 - alpha) * height + alpha)


def one_cycle(
    t, transition_steps, peak_value, pct_start=0.3, div_factor=25.0, final_div_factor=1e4
):
    peak = Fraction(str(pct_start)) * transition_steps // 1
    first, last = peak_value / div_factor, peak_value / div_factor / final_div_factor
    if t < peak:
        low, x = first, 1 - t / peak
    else:
        low, x = last, min((t - peak) / (transition_steps - peak), 1)
    return low + (peak_value - low) / 2 * (1 + math.cos(math.pi * x))


def linear_warmup(t, peak_value, warmup_steps):
    return peak_value * min(t + 1, warmup_steps) / warmup_steps


def inverse_sqrt(t, init_value, peak_value, warmup_steps):
    if t < warmup_steps:
        return init_value + (peak_value - init_value) * t / warmup_steps
    return peak_value * math.sqrt(warmup_steps / t)


def warmup_stable_decay(
    t,
    init_value,
    peak_value,
    warmup_steps,
    stable_steps,
    decay_steps,
    end_value=0.0,
    decay="1-sqrt",
):
    if t < warmup_steps:
        return init_value + (peak_value - init_value) * t / warmup_steps
    if t < warmup_steps + stable_steps:
        return peak_value
    x = min((t - warmup_steps - stable_steps) / decay_steps, 1)
    return end_value + (peak_value - end_value) * (1 - (math.sqrt(x) if decay == "1-sqrt" else x))


def cyclic(t, init_value, peak_value, transition_steps, mode="triangular", decay_rate=None):
    cycle = math.floor(1 + t / (2 * transition_steps))
    x = abs(t / transition_steps - 2 * cycle + 1)
    scale = {
        "triangular": lambda: 1,
        "triangular2": lambda: 1 / 2 ** (cycle - 1),
        "exp_range": lambda: decay_rate**t,
    }[mode]()
    return init_value + (peak_value - init_value) * max(0, 1 - x) * scale


def case(formula, last, **arguments):
    return Case(formula.__name__, arguments, formula, last)


def warm_restarts(**arguments):
    return case(cosine_restarts, 160, init_value=0.3, first_decay_steps=10, **arguments)


CASES = [
    case(exponential_decay, 30, init_value=0.1, transition_steps=10, decay_rate=0.5),
    # 41 times the float32 next to 1/41 is below 1.
    case(
        exponential_decay, 130, init_value=0.1, transition_steps=41, decay_rate=0.5, staircase=True
    ),
    case(exponential_decay, 9, init_value=0.1, transition_steps=1, decay_rate=1.0),
    case(inverse_time_decay, 30, init_value=0.1, transition_steps=10, decay_rate=0.5),
    case(
        inverse_time_decay, 130, init_value=0.1, transition_steps=41, decay_rate=2.0, staircase=True
    ),
    case(inverse_time_decay, 9, init_value=0.1, transition_steps=3, decay_rate=0.0),
    case(piecewise_constant, 20, boundaries=[0, 4, 5, 15], values=[1.0, 0.5, 0.7, 0.0, 0.01]),
    case(piecewise_constant, 3, boundaries=[], values=[0.5]),
    case(polynomial_decay, 25, init_value=0.1, decay_steps=10),
    case(polynomial_decay, 25, init_value=0.1, decay_steps=10, end_value=0.02, power=0.5),
    case(polynomial_decay, 50, init_value=0.1, decay_steps=10, end_value=0.0, power=2, cycle=True),
    case(polynomial_decay, 130, init_value=0.1, decay_steps=41, power=0.5, cycle=True),
    case(polynomial_decay, 9, init_value=0.01, decay_steps=1, end_value=0.1, cycle=True),
    case(cosine_decay, 20, init_value=0.1, decay_steps=10),
    case(cosine_decay, 20, init_value=0.1, decay_steps=10, alpha=0.25),
    case(
        cosine_decay,
        40,
        init_value=0.02,
        decay_steps=20,
        alpha=0.1,
        peak_value=0.1,
        warmup_steps=10,
    ),
    warm_restarts(),
    warm_restarts(t_mul=1, m_mul=0.9, alpha=0.1),
    warm_restarts(t_mul=1.1, m_mul=0.5),  # restarts at 10 and 21, then between counts
    warm_restarts(t_mul=1.5, alpha=0.5),
    warm_restarts(t_mul=3),
    case(cosine_restarts, 130, init_value=0.3, first_decay_steps=41, t_mul=1.0),
    case(cosine_restarts, 40, init_value=0.3, first_decay_steps=1),
    # 25 + 80 + 256 is 361, but 361.00000000000006 in double precision.
    case(cosine_restarts, 365, init_value=0.3, first_decay_steps=25, t_mul=3.2),
    case(one_cycle, 110, transition_steps=100, peak_value=0.5),
    case(one_cycle, 110, transition_steps=100, peak_value=0.5, pct_start=0.29),
    case(one_cycle, 5, transition_steps=3, peak_value=0.5),  # its peak is at 0
    case(
        one_cycle,
        20,
        transition_steps=15,
        peak_value=0.5,
        pct_start=0.5,
        div_factor=10,
        final_div_factor=2,
    ),
    case(linear_warmup, 30, peak_value=0.1, warmup_steps=10),
    case(linear_warmup, 10, peak_value=0.1, warmup_steps=1),
    case(inverse_sqrt, 60, init_value=0.0, peak_value=0.1, warmup_steps=10),
    case(inverse_sqrt, 60, init_value=0.1, peak_value=0.1, warmup_steps=10),
    *(
        case(
            warmup_stable_decay,
            50,
            init_value=0.01,
            peak_value=0.1,
            warmup_steps=10,
            stable_steps=20,
            decay_steps=13,
            end_value=0.003,
            decay=decay,
        )
        for decay in ("1-sqrt", "linear")
    ),
    case(
        warmup_stable_decay,
        9,
        init_value=0.3,
        peak_value=0.1,
        warmup_steps=0,
        stable_steps=0,
        decay_steps=5,
    ),
    case(cyclic, 50, init_value=0.1, peak_value=0.5, transition_steps=10),
    case(cyclic, 50, init_value=0.1, peak_value=0.5, transition_steps=10, mode="triangular2"),
    case(
        cyclic,
        50,
        init_value=0.1,
        peak_value=0.5,
        transition_steps=7,
        mode="exp_range",
        decay_rate=0.99,
    ),
]
every_case = pytest.mark.parametrize("case", CASES, ids=repr)


def counts(case):
    return jnp.arange(case.last + 1, dtype=jnp.int32)


def largest_rate(case):
    return max(value for value in jax.tree.leaves(case.arguments) if isinstance(value, float))


def assert_close(actual, expected, rtol=1e-6, atol=1e-7):
    """`atol` is relative to the largest value: a learning rate of 1e-9 of it is as good as 0."""
    scale = np.max(np.abs(expected))
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=atol * scale)


def test_every_schedule_has_a_case():
    public = {name for name in vars(schedules) if callable(getattr(schedules, name))}
    assert public == {case.name for case in CASES}


@every_case
def test_follows_the_formula_at_every_count(case):
    values = jax.jit(jax.vmap(case.make()))(counts(case))
    assert values.dtype == jnp.float32
    assert_close(values, case.expected())


@every_case
def test_takes_any_integer_without_jit(case):
    schedule, kinds = case.make(), (int, np.int32, jnp.int32)
    values = [schedule(kinds[t % 3](t)) for t in range(case.last + 1)]
    assert all(jnp.shape(value) == () for value in values)
    assert_close(np.array(values), case.expected())


@every_case
def test_rates_can_be_vmapped_and_differentiated(case):
    def values(scale):
        return case.make(**case.scaled(scale))(counts(case))

    scales = [0.0, 0.5, 2.0]
    expected = np.array([case.expected(**case.scaled(scale)) for scale in scales])
    actual, vjp = jax.vjp(jax.jit(jax.vmap(values)), jnp.array(scales))
    assert_close(actual, expected)
    slope = (expected[2] - expected[0]).sum() / 2  # schedules are linear in their rates
    np.testing.assert_allclose(vjp(jnp.ones_like(actual))[0], slope, rtol=1e-5)


@every_case
def test_is_double_with_x64(case):
    with jax.enable_x64(True):
        values = jax.jit(case.make())(counts(case))
    assert values.dtype == np.float64
    assert_close(values, case.expected(), rtol=1e-12, atol=1e-14)


@every_case
def test_large_counts_are_finite(case):
    large = [2**24 + 1, LAST_COUNT - 1, LAST_COUNT]
    schedule = case.make()
    values = np.array(jax.jit(schedule)(jnp.array(large, jnp.int32)))
    assert (values >= 0).all()
    assert (values <= largest_rate(case) * (1 + 1e-6)).all()
    for t in (LAST_COUNT, np.int32(LAST_COUNT)):
        assert_close(schedule(t), values[-1], rtol=1e-5)


@every_case
def test_drives_the_learning_rate_in_a_scan(case):
    tx = aj.scale_by_learning_rate(case.make())

    def step(state, grad):
        update, state = tx.update(grad, state)
        return state, update

    _, updates = jax.lax.scan(step, tx.init(jnp.zeros(())), jnp.full(case.last + 1, 2.0))
    assert_close(updates, -2 * case.expected())


MILLION = 10**6
FAR = {
    "exponential_decay": {
        "init_value": 1.0,
        "transition_steps": 30 * MILLION,
        "decay_rate": 0.5,
        "staircase": True,
    },
    "inverse_time_decay": {
        "init_value": 1.0,
        "transition_steps": 30 * MILLION,
        "decay_rate": 1.0,
        "staircase": True,
    },
    "piecewise_constant": {"boundaries": [30 * MILLION - 1], "values": [1.0, 0.5]},
    "polynomial_decay": {"init_value": 1.0, "decay_steps": 30 * MILLION - 1, "cycle": True},
    "cosine_restarts": {"init_value": 1.0, "first_decay_steps": 10 * MILLION},
    "cyclic": {
        "init_value": 0.0,
        "peak_value": 1.0,
        "transition_steps": 15 * MILLION,
        "mode": "triangular2",
    },
}


@pytest.mark.parametrize("name", FAR)
def test_breakpoints_are_exact_where_float32_cannot_count(name):
    arguments, formula = FAR[name], globals()[name]
    near = [30 * MILLION + i for i in (-2, -1, 0, 1, 2)]
    schedule = jax.jit(getattr(schedules, name)(**arguments))
    actual = np.array([schedule(t) for t in near])
    assert_close(actual, np.array([formula(t, **arguments) for t in near]))


def test_rates_near_one_keep_their_digits():
    schedule = schedules.exponential_decay(1.0, transition_steps=1, decay_rate=0.99994)
    np.testing.assert_allclose(schedule(100_000), 0.99994**100_000, rtol=2e-6)


def test_decay_rate_can_be_vmapped():
    values = jax.vmap(lambda rate: schedules.exponential_decay(0.1, 10, rate)(20))(
        jnp.array([0.5, 1.0])
    )
    np.testing.assert_allclose(values, [0.025, 0.1], rtol=1e-6)


def test_the_transformers_schedule_is_inverse_sqrt_one_count_later():
    d, warmup = 512, 40
    schedule = schedules.inverse_sqrt(0.0, 1 / math.sqrt(d * warmup), warmup)
    expected = [d**-0.5 * min(t**-0.5, t * warmup**-1.5) for t in range(1, 100)]
    assert_close(np.array([schedule(t + 1) for t in range(99)]), np.array(expected))


def test_one_cycle_ends_low_however_late_its_peak():
    schedule = schedules.one_cycle(7, peak_value=1.0, pct_start=1 - 1e-15)
    np.testing.assert_allclose([schedule(6), schedule(7)], [1.0, 4e-6], rtol=1e-6)


def test_rates_in_half_precision_are_computed_in_single():
    schedule = jax.jit(lambda rate, t: schedules.cosine_decay(rate, 1000)(t))
    value = schedule(jnp.bfloat16(0.5), 1)
    assert value.dtype == jnp.float32
    np.testing.assert_allclose(value, cosine_decay(1, 0.5, 1000), rtol=1e-6)


BAD = [
    ("exponential_decay", {"init_value": -math.inf}, r"must be in \(-inf, inf\), got -inf"),
    ("exponential_decay", {"init_value": math.nan}, "init_value must be in"),
    ("exponential_decay", {"transition_steps": 0}, "transition_steps .* at least 1, got 0"),
    ("exponential_decay", {"decay_rate": -0.5}, r"decay_rate must be in \[0, inf\), got -0.5"),
    ("inverse_time_decay", {"init_value": math.inf}, "init_value must be in"),
    ("inverse_time_decay", {"transition_steps": 2.5}, "transition_steps .* got 2.5"),
    ("inverse_time_decay", {"decay_rate": -0.1}, r"decay_rate must be in \[0, inf\), got -0.1"),
    ("piecewise_constant", {"boundaries": [3, 3, 5, 6]}, r"increasing, got \[3, 3, 5, 6\]"),
    ("piecewise_constant", {"boundaries": [-1, 3, 5, 6]}, r"boundaries\[0\] .* got -1"),
    ("piecewise_constant", {"values": [1.0]}, "got 1 values and 4 boundaries"),
    ("polynomial_decay", {"decay_steps": -1}, "decay_steps .* got -1"),
    ("polynomial_decay", {"power": -1.0}, r"power must be in \[0, inf\), got -1.0"),
    ("cosine_decay", {"decay_steps": 0}, "decay_steps .* got 0"),
    ("cosine_decay", {"warmup_steps": 5}, "needs peak_value for a warm-up: warmup_steps is 5"),
    ("cosine_decay", {"warmup_steps": -5}, "warmup_steps .* at least 0, got -5"),
    ("cosine_restarts", {"first_decay_steps": 0}, "first_decay_steps .* got 0"),
    ("cosine_restarts", {"t_mul": 0.5}, r"t_mul must be in \[1, inf\), got 0.5"),
    ("cosine_restarts", {"t_mul": 1.0001}, "t_mul must be 1 or at least 1.001, got 1.0001"),
    ("one_cycle", {"transition_steps": 0}, "transition_steps .* got 0"),
    ("one_cycle", {"pct_start": 1.5}, r"pct_start must be in \[0, 1\], got 1.5"),
    ("one_cycle", {"div_factor": 0.0}, r"div_factor must be in \(0, inf\), got 0.0"),
    ("one_cycle", {"final_div_factor": 0}, r"final_div_factor must be in \(0, inf\), got 0"),
    ("inverse_sqrt", {"warmup_steps": 0}, "warmup_steps .* got 0"),
    ("warmup_stable_decay", {"warmup_steps": -1}, "warmup_steps .* at least 0, got -1"),
    ("warmup_stable_decay", {"stable_steps": -1}, "stable_steps .* at least 0, got -1"),
    ("warmup_stable_decay", {"decay_steps": 0}, "decay_steps .* at least 1, got 0"),
    ("warmup_stable_decay", {"decay": "sqrt"}, "decay must be '1-sqrt' or 'linear', got 'sqrt'"),
    ("cyclic", {"transition_steps": 0}, "transition_steps .* got 0"),
    ("cyclic", {"mode": "square"}, "mode must be .* got 'square'"),
    ("cyclic", {"mode": "exp_range"}, "decay_rate .* got None for 'exp_range'"),
    ("cyclic", {"decay_rate": 0.9}, "decay_rate .* got 0.9 for 'triangular'"),
    ("cyclic", {"mode": "exp_range", "decay_rate": 0}, r"decay_rate must be in \(0, inf\)"),
    ("cosine_restarts", {"m_mul": -0.5}, r"m_mul must be in \[0, inf\), got -0.5"),
    ("cosine_decay", {"alpha": math.nan}, "alpha must be in"),
    ("linear_warmup", {"warmup_steps": -1}, "warmup_steps .* at least 0, got -1"),
    ("cyclic", {"transition_steps": 10**400}, "transition_steps .* whole number"),
]


@pytest.mark.parametrize(("name", "arguments", "message"), BAD, ids=str)
def test_bad_arguments_are_named(name, arguments, message):
    good = next(case for case in CASES if case.name == name)
    with pytest.raises(ValueError, match=message):
        good.make(**arguments)


rate = st.floats(0, 10, width=32)
few = st.integers(0, 100)
some = st.integers(1, 100)
fraction = st.floats(0.125, 1, width=32)

# For each schedule what it may be called with; its values stay within those of its rates.
ARGUMENTS = {
    "exponential_decay": {
        "init_value": rate,
        "transition_steps": some,
        "decay_rate": fraction,
        "staircase": st.booleans(),
    },
    "inverse_time_decay": {
        "init_value": rate,
        "transition_steps": some,
        "decay_rate": rate,
        "staircase": st.booleans(),
    },
    "piecewise_constant": {
        "boundaries": st.just([10, 20]),
        "values": st.lists(rate, min_size=3, max_size=3),
    },
    "polynomial_decay": {
        "init_value": rate,
        "decay_steps": some,
        "end_value": rate,
        "power": st.floats(0.125, 4, width=32),
        "cycle": st.booleans(),
    },
    "cosine_decay": {
        "init_value": rate,
        "decay_steps": some,
        "alpha": fraction,
        "peak_value": rate,
        "warmup_steps": some,
    },
    "cosine_restarts": {
        "init_value": rate,
        "first_decay_steps": some,
        "t_mul": st.sampled_from([1, 1.01, 1.5, 2, 1000]),
        "m_mul": fraction,
        "alpha": fraction,
    },
    "one_cycle": {"transition_steps": some, "peak_value": rate, "pct_start": st.floats(0.01, 0.99)},
    "linear_warmup": {"peak_value": rate, "warmup_steps": some},
    "inverse_sqrt": {"init_value": rate, "peak_value": rate, "warmup_steps": some},
    "warmup_stable_decay": {
        "init_value": rate,
        "peak_value": rate,
        "warmup_steps": few,
        "stable_steps": few,
        "decay_steps": some,
        "end_value": rate,
        "decay": st.sampled_from(["1-sqrt", "linear"]),
    },
    "cyclic": {
        "init_value": rate,
        "peak_value": rate,
        "transition_steps": some,
        "mode": st.sampled_from(["triangular", "triangular2"]),
    },
}
FROM_OR_TO_ZERO = {"exponential_decay", "inverse_time_decay", "inverse_sqrt", "linear_warmup"}


def value_range(name, arguments):
    """The least and the largest value a schedule may have."""
    rates = [
        arguments[key] for key in ("init_value", "peak_value", "end_value") if key in arguments
    ]
    rates += arguments.get("values", [])
    if name == "cosine_decay":
        rates.append(arguments["alpha"] * arguments["peak_value"])
    elif name == "cosine_restarts":
        rates.append(arguments["alpha"] * arguments["init_value"])
    elif name == "one_cycle":
        rates.append(arguments["peak_value"] / 25e4)
    elif name in FROM_OR_TO_ZERO:
        rates.append(0.0)
    return min(rates), max(rates)


@pytest.mark.parametrize("name", ARGUMENTS)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_values_stay_in_range(name, data):
    arguments = data.draw(st.fixed_dictionaries(ARGUMENTS[name]))
    count = data.draw(st.one_of(st.integers(0, 400), st.integers(0, LAST_COUNT)))
    value = float(getattr(schedules, name)(**arguments)(count))
    low, high = value_range(name, arguments)
    slack = 1e-6 * max(high, 1e-30)
    assert low - slack <= value <= high + slack
