"""Schedules in float32 are right to a few units in the last place, for steps of any size.

The formulas are in double precision, in forms that lose nothing there: from whole numbers of
updates made and left, which NumPy's int64 holds exactly.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adaptive_jax as aj
from adaptive_jax import schedules

LAST_COUNT = 2**31 - 1
MANY_STEPS = (1, 41, 10**6, LAST_COUNT, LAST_COUNT + 1, 10**15)


def line(start, end, t, steps):
    t = np.clip(t, 0, steps)
    return (start * (steps - t) + end * t) / steps


def half_wave(x):
    return np.sin(np.pi / 2 * x) ** 2


def wave(start, end, t, steps):
    t = np.clip(t, 0, steps)
    return start * half_wave((steps - t) / steps) + end * half_wave(t / steps)


def exponential_decay(t, init_value, transition_steps, decay_rate, staircase=False):
    periods = t // transition_steps if staircase else t / transition_steps
    return init_value * decay_rate**periods


def inverse_time_decay(t, init_value, transition_steps, decay_rate, staircase=False):
    periods = t // transition_steps if staircase else t / transition_steps
    return init_value / (1 + decay_rate * periods)


def piecewise_constant(t, boundaries, values):
    return np.array(values)[np.searchsorted(boundaries, t, side="left")]


def polynomial_decay(t, init_value, decay_steps, end_value, power, cycle=False):
    if cycle:
        decay_steps = decay_steps * np.maximum(-(-t // decay_steps), 1)
    t = np.minimum(t, decay_steps)
    left, made = (decay_steps - t) / decay_steps, t / decay_steps
    with np.errstate(divide="ignore"):
        log = np.where(made < 0.5, np.log1p(-made), np.log(left))
    return init_value * left**power - end_value * np.expm1(power * log)


def cosine_decay(t, init_value, decay_steps, alpha=0.0, peak_value=None, warmup_steps=0):
    peak = init_value if peak_value is None else peak_value
    fall = wave(peak, alpha * peak, t - warmup_steps, decay_steps)
    return np.where(t < warmup_steps, line(init_value, peak, t, max(warmup_steps, 1)), fall)


def cosine_restarts(t, init_value, first_decay_steps, t_mul, m_mul, alpha):
    if t_mul == 1:
        cycle, made = np.divmod(t, first_decay_steps)
        length, left = first_decay_steps, first_decay_steps - made
    else:
        powers = float(t_mul) ** np.arange(80)
        starts = first_decay_steps * (powers - 1) / (t_mul - 1)
        cycle = np.searchsorted(starts * (1 - 1e-12), t, side="right") - 1
        length = first_decay_steps * powers[cycle]
        left, made = np.maximum(starts[cycle + 1] - t, 0), np.maximum(t - starts[cycle], 0)
    height, falling = m_mul ** cycle.astype(float), half_wave(left / length)
    rest = half_wave(made / length) + falling * (1 - height)
    return init_value * (height * falling + alpha * rest)


def one_cycle(t, transition_steps, peak_value, div_factor=25.0, final_div_factor=1e4):
    peak, first = 3 * transition_steps // 10, peak_value / div_factor
    fall = wave(peak_value, first / final_div_factor, t - peak, transition_steps - peak)
    return np.where(t < peak, wave(first, peak_value, t, max(peak, 1)), fall)


def linear_warmup(t, peak_value, warmup_steps):
    return peak_value * np.minimum(t + 1, warmup_steps) / warmup_steps


def inverse_sqrt(t, init_value, peak_value, warmup_steps):
    fall = peak_value * np.sqrt(warmup_steps / np.maximum(t, warmup_steps))
    return np.where(t < warmup_steps, line(init_value, peak_value, t, warmup_steps), fall)


def warmup_stable_decay(
    t, init_value, peak_value, warmup_steps, stable_steps, decay_steps, end_value, decay
):
    made = np.clip(t - warmup_steps - stable_steps, 0, decay_steps)
    root = np.sqrt(made / decay_steps)
    fall = peak_value * (decay_steps - made) / decay_steps / (1 + root) + end_value * root
    if decay == "linear":
        fall = line(peak_value, end_value, made, decay_steps)
    return np.where(t < warmup_steps, line(init_value, peak_value, t, warmup_steps), fall)


def cyclic(t, init_value, peak_value, transition_steps, mode, decay_rate=None):
    cycle, past = np.divmod(t, 2 * transition_steps)
    up = np.minimum(past, 2 * transition_steps - past)
    height, below = up / transition_steps, (transition_steps - up) / transition_steps
    log = {"triangular": 0 * t, "triangular2": -cycle * math.log(2)}.get(mode)
    log = t * math.log(decay_rate) if log is None else log
    return init_value * (below - height * np.expm1(log)) + peak_value * height * np.exp(log)


def cases(steps, rate):
    """(formula, arguments): every schedule over `steps` steps; `rate()` is a learning rate."""
    for staircase in (False, True):
        for decay_rate in (0.3, 0.9999, 2.0):
            yield exponential_decay, (rate(), steps, decay_rate, staircase)
        yield inverse_time_decay, (rate(), steps, 0.7, staircase)
        for power in (0.5, 1.0, 2.0):
            yield polynomial_decay, (rate(), steps, rate(), power, staircase)
            yield polynomial_decay, (0.0, steps, rate(), power, staircase)
    yield piecewise_constant, ([1, steps + 1, 10**12 * steps], [rate() for _ in range(4)])
    for alpha in (0.0, 0.1, 3.0):
        yield cosine_decay, (rate(), steps, alpha)
        yield cosine_decay, (0.0, steps, alpha, rate(), 1000)
        for t_mul, m_mul in ((1.0, 1.0), (2.0, 0.5), (1.5, 0.99)):
            yield cosine_restarts, (rate(), steps, t_mul, m_mul, alpha)
    yield cosine_restarts, (rate(), steps, 2.0, 1.5, 0.0)
    yield one_cycle, (steps, rate())
    yield linear_warmup, (rate(), steps)
    for init_value in (0.0, rate()):
        yield inverse_sqrt, (init_value, rate(), steps)
        for decay in ("1-sqrt", "linear"):
            yield warmup_stable_decay, (init_value, rate(), 10, steps, steps, init_value, decay)
            yield warmup_stable_decay, (init_value, rate(), steps, 10, 10, init_value, decay)
        yield cyclic, (init_value, rate(), steps, "triangular")
        yield cyclic, (init_value, rate(), steps, "triangular2")
        yield cyclic, (init_value, rate(), steps, "exp_range", 0.9999)


def make(formula, arguments):
    if formula in (exponential_decay, inverse_time_decay):
        return getattr(schedules, formula.__name__)(*arguments[:3], staircase=arguments[3])
    if formula is polynomial_decay:
        return schedules.polynomial_decay(*arguments[:4], cycle=arguments[4])
    return getattr(schedules, formula.__name__)(*arguments)


def counts(steps):
    """Counts around what happens after 0, 1, 2 and 3 times as many steps, and in between."""
    near = [k * steps + i for k in (0, 0.3, 1, 2, 3) for i in range(-3, 14)]
    between = np.random.default_rng(0).uniform(0, 3 * min(steps, LAST_COUNT), 40)
    return np.clip(np.concatenate([near, between]), 0, LAST_COUNT).astype(np.int64)


def assert_accurate(actual, expected, message):
    """Six units in the last place, but for what is next to 0 or infinity in float32."""
    assert actual.dtype == jnp.float32
    actual = np.clip(np.asarray(actual, np.float64), -1e30, 1e30)
    expected = np.clip(expected, -1e30, 1e30)
    np.testing.assert_allclose(actual, expected, rtol=6 * 2.0**-23, atol=1e-36, err_msg=message)


@pytest.mark.parametrize("steps", MANY_STEPS)
def test_every_schedule_is_accurate(steps):
    rng, sign = np.random.default_rng(steps % 1000), -1 if steps % 2 else 1
    t = counts(steps)
    names = set()
    for formula, arguments in cases(steps, lambda: sign * 10 ** rng.uniform(-6, 1)):
        names.add(formula.__name__)
        with np.errstate(over="ignore"):
            expected = formula(t, *arguments)
        actual = make(formula, arguments)(jnp.asarray(t, jnp.int32))
        assert_accurate(actual, expected, f"{formula.__name__}{arguments}")
    assert names == {name for name in vars(schedules) if callable(getattr(schedules, name))}


def test_compiled_schedules_are_as_accurate():
    t, seen = counts(41), set()
    for formula, arguments in cases(41, lambda: 0.1):
        if formula not in seen:  # one of each
            seen.add(formula)
            with np.errstate(over="ignore"):
                expected = formula(t, *arguments)
            actual = jax.jit(make(formula, arguments))(jnp.asarray(t, jnp.int32))
            assert_accurate(actual, expected, f"{formula.__name__}{arguments}")


def test_a_long_warm_up_starts_with_small_values():
    for steps in (10**6, 10**8):
        lr = schedules.inverse_sqrt(0.0, 0.1, steps)
        np.testing.assert_allclose(lr(2), 0.2 / steps, rtol=2e-7)


SHORT = [
    schedules.exponential_decay(1.0, 10, 0.5),
    schedules.exponential_decay(1.0, 10, 0.5, staircase=True),
    schedules.inverse_time_decay(1.0, 10, 0.5, staircase=True),
    schedules.piecewise_constant([5, 10], [1.0, 0.5, 0.2]),
    schedules.polynomial_decay(1.0, 30, cycle=True),
    schedules.cosine_decay(0.0, 30, 0.1, 1.0, 5),
    schedules.cosine_restarts(1.0, 10),
    schedules.cosine_restarts(1.0, 10, 1.0),
    schedules.one_cycle(20, 1.0),
    schedules.linear_warmup(1.0, 300),
    schedules.inverse_sqrt(0.0, 1.0, 5),
    schedules.warmup_stable_decay(0.0, 0.1, 3, 2, 9, 0.01),
    schedules.cyclic(0.1, 1.0, 3, "exp_range", 0.9),
]
LONG = [
    schedules.exponential_decay(1.0, 10**10, 0.5),
    schedules.exponential_decay(1.0, 10**10, 0.5, staircase=True),
    schedules.inverse_time_decay(1.0, 10**10, 0.5, staircase=True),
    schedules.piecewise_constant([5, 10**10], [1.0, 0.5, 0.2]),
    schedules.polynomial_decay(1.0, 10**10, cycle=True),
    schedules.cosine_decay(0.0, 10**10, 0.1, 1.0, 5 * 10**9),
    schedules.cosine_restarts(1.0, 10**10),
    schedules.cosine_restarts(1.0, 10**10, 1.0),
    schedules.one_cycle(10**10, 1.0),
    schedules.linear_warmup(1.0, 10**10),
    schedules.inverse_sqrt(0.0, 1.0, 10**10),
    schedules.warmup_stable_decay(0.0, 0.1, 10, 10**10, 100),
    schedules.cyclic(0.1, 1.0, 10**10, "exp_range", 0.99999999),
]


@pytest.mark.parametrize("schedule", SHORT)
def test_any_number_is_a_count(schedule):
    kinds = (int, float, np.int8, np.uint8, np.int64, np.uint64, np.float64, np.array)
    kinds += (jnp.uint8, jnp.int16, jnp.bfloat16, jnp.float16)
    with jax.numpy_dtype_promotion("strict"):
        values = [schedule(kind(7)) for kind in kinds]
        assert {value.dtype for value in values} == {jnp.dtype("float32")}
        np.testing.assert_array_equal(values, values[0])
        assert schedule(-1) == schedule(0)
        assert jnp.isfinite(schedule(7.5))


@pytest.mark.parametrize("schedule", LONG)
def test_counts_stop_at_the_largest_of_int32(schedule):
    last = schedule(LAST_COUNT)
    for count in (np.int64(2**40), np.uint64(2**40), np.uint32(2**32 - 1), 2**40, 10**30):
        assert schedule(count) == last


def test_counts_of_64_bits_pass_boundaries_beyond_int32():
    with jax.enable_x64(True):
        assert schedules.piecewise_constant([10**10], [1.0, 0.5])(10**10 + 1) == 0.5
        np.testing.assert_allclose(schedules.cosine_decay(1.0, 10**10)(5 * 10**9), 0.5, rtol=1e-14)
        lr = schedules.exponential_decay(1.0, 10**10, 0.3)
        np.testing.assert_allclose(lr(5 * 10**9), 0.3**0.5, rtol=1e-14)


STAGES = [
    lambda: aj.sgd(schedules.warmup_stable_decay(0.0, 0.1, 10, 10**10, 100)),
    lambda: aj.sgd(aj.ademamix_warmup(10**10)[0]),
    lambda: aj.lookahead(aj.sgd(0.1), sync_period=10**10),
    lambda: aj.skip_spikes(aj.sgd(0.1), warmup_steps=10**10, max_consecutive=10**10),
]


@pytest.mark.parametrize("make", STAGES, ids=["schedule", "ademamix", "lookahead", "spikes"])
def test_steps_beyond_int32_drive_an_optimizer(make):
    tx, params = make(), jnp.zeros(())
    state = tx.init(params)
    _, state = tx.update(jnp.ones(()), state, params)
    update, _ = tx.update(jnp.ones(()), state, params)
    expected = {0: -0.01, 1: -5.0 * 2 / 10**10}.get(STAGES.index(make), -0.1)
    np.testing.assert_allclose(update, expected, rtol=1e-6)


def test_a_rising_exponential_is_that_of_optax():
    ours, optaxs = (m.exponential_decay(1e-5, 10, 2.0) for m in (schedules, optax))
    np.testing.assert_allclose([ours(t) for t in (0, 5, 33)], [optaxs(t) for t in (0, 5, 33)], 1e-6)


def test_a_warm_up_of_no_steps_starts_at_the_peak():
    assert schedules.cosine_decay(0.0, 10, peak_value=0.1)(0) == np.float32(0.1)
    assert schedules.linear_warmup(0.1, 0)(0) == np.float32(0.1)


def test_bounds_are_accurate():
    t = counts(10**9) + 1
    for final_lr in (0.1, 1e3):
        for gamma in (1e-30, 1e-12, 1e-3, 10.0):
            lower, upper = aj.adabound_bounds(final_lr, gamma)
            x = gamma * t
            assert_accurate(lower(jnp.asarray(t - 1, jnp.int32)), final_lr * (x / (x + 1)), "lower")
            assert_accurate(upper(jnp.asarray(t - 1, jnp.int32)), final_lr * (1 + 1 / x), "upper")


@pytest.mark.parametrize("m", [10.0, 213.7, 2e8 + 10, 2e8 + 13.3, 1e12])
def test_convergent_bounds_are_accurate_next_to_their_pole(m):
    c = (m * 0.1 - 1) / 2
    t = np.concatenate([counts(10**6), np.clip(int(c) + np.arange(-3, 4), 0, LAST_COUNT)]) + 1
    lower, upper = aj.convergent_bounds(0.1, m)
    with np.errstate(divide="ignore"):
        expected = np.where(t > c, 0.1 * t / np.abs(t - c), np.inf)
    assert_accurate(lower(jnp.asarray(t - 1, jnp.int32)), 0.1 * t / (t + c), "lower")
    assert_accurate(upper(jnp.asarray(t - 1, jnp.int32)), expected, "upper")
