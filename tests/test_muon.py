"""Muon on matrices: shapes, batches, extreme sizes, dtypes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import adaptive_jax as aj

polar = functools.partial(
    aj.scale_by_muon, 0.0, False, coefficients="polar_express", ns_steps=9, adjust=None, eps=0.0
)


def updates_of(tx, tree):
    return tx.update(tree, tx.init(tree))[0]


def matrix(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def polar_factor(m):
    u, _, vh = np.linalg.svd(m, full_matrices=False)
    return u @ vh


@pytest.mark.parametrize("shape", [(4, 4), (2, 5), (5, 2), (1, 3), (3, 2, 4), (2, 2, 4, 3)])
def test_tends_to_the_polar_factor(shape):
    m = matrix(*shape)
    np.testing.assert_allclose(updates_of(polar(), m), polar_factor(m), atol=1e-5)


def test_tends_to_the_polar_factor_of_complex_matrices():
    m = (matrix(3, 5) + 1j * matrix(3, 5, seed=1)).astype(np.complex64)
    for dtype in (None, jnp.bfloat16):
        for x in (m, m.T):
            updates = updates_of(polar(iteration_dtype=dtype), jnp.asarray(x))
            np.testing.assert_allclose(updates, polar_factor(x), atol=1e-5)


@pytest.mark.parametrize("shape", [(4, 6), (6, 4)])
def test_many_steps_do_not_add_up_rounding_under_jit(shape):
    m = matrix(*shape)
    updates = jax.jit(functools.partial(updates_of, polar(ns_steps=30)))(m)
    np.testing.assert_allclose(updates, polar_factor(m), atol=1e-5)


@pytest.mark.parametrize("size", [1e-35, 1e-20, 1e20, 3e38])
def test_the_size_of_the_gradient_does_not_matter(size):
    m = matrix(3, 4)
    m /= np.abs(m).max()
    for dtype, tolerance in ((None, 1e-5), (jnp.bfloat16, 1e-2), (jnp.float16, 1e-2)):
        tx = polar(iteration_dtype=dtype)
        expected = updates_of(tx, jnp.asarray(m))
        updates = updates_of(tx, jnp.asarray(m) * jnp.float32(size))
        np.testing.assert_allclose(updates, expected, atol=tolerance)


@pytest.mark.parametrize("dtype", [None, jnp.bfloat16, jnp.float16])
def test_zeros_and_subnormal_numbers(dtype):
    tx = polar(iteration_dtype=dtype)
    np.testing.assert_array_equal(updates_of(tx, jnp.zeros((3, 2))), 0)
    assert np.isfinite(updates_of(tx, jnp.full((3, 2), 1e-45))).all()


def test_one_bad_number_spoils_its_matrix_alone():
    tree = {"a": jnp.ones((2, 3)).at[0, 0].set(jnp.nan), "b": jnp.ones((2, 3))}
    updates = updates_of(aj.scale_by_muon(), tree)
    assert np.isnan(updates["a"]).all()
    assert np.isfinite(updates["b"]).all()


def test_matrices_of_one_shape_are_one_batch():
    tree = {
        "a": matrix(2, 5),
        "b": matrix(5, 2, seed=1),
        "stack": matrix(3, 2, 5, seed=2),
        "other": matrix(4, 4, seed=3),
        "wide": matrix(2, 5, seed=4).astype(jnp.bfloat16),
        "empty": matrix(0, 3),
    }
    tx = aj.scale_by_muon(ns_steps=1)
    together = updates_of(tx, tree)
    alone = {name: updates_of(tx, array) for name, array in tree.items()}
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(
            np.asarray(a, np.float32), np.asarray(b, np.float32), atol=1e-6
        ),
        together,
        alone,
    )
    program = str(jax.make_jaxpr(lambda t: updates_of(tx, t))(tree))
    assert program.count("dot_general") == 3 * 3  # shapes 2×5, 4×4 and 0×3


def test_convolutions_are_stacks_or_flattened():
    kernel = matrix(3, 3, 4, 8)
    stack = updates_of(polar(), kernel)
    np.testing.assert_allclose(stack[1, 2], polar_factor(kernel[1, 2]), atol=1e-5)
    flat = updates_of(polar(flatten=True), kernel)
    expected = polar_factor(kernel.reshape(36, 8)).reshape(kernel.shape)
    np.testing.assert_allclose(flat, expected, atol=1e-5)
    torch = np.moveaxis(kernel, (3, 2), (0, 1))
    flat = updates_of(polar(flatten=True, output_axis=0), torch)
    expected = polar_factor(torch.reshape(8, 36)).reshape(torch.shape)
    np.testing.assert_allclose(flat, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("adjust", "factor"),
    [
        ("original", 2.0),
        ("match_rms_adamw", 0.2 * 8**0.5),
        ("spectral_unclamped", 2.0),
        (lambda fan_out, fan_in: 10 * fan_out + fan_in, 82.0),
    ],
)
def test_adjustments_know_outputs_from_inputs(adjust, factor):
    plain = updates_of(polar(), matrix(2, 8))
    adjusted = updates_of(polar(adjust=adjust), matrix(2, 8))
    np.testing.assert_allclose(adjusted, factor * plain, rtol=1e-5)
    as_torch = updates_of(polar(adjust=adjust, output_axis=0), matrix(2, 8).T)
    np.testing.assert_allclose(as_torch, factor * plain.T, rtol=1e-5)


def test_bfloat16_iterations_are_near_and_the_same_under_jit():
    m = matrix(6, 10)
    exact = updates_of(aj.scale_by_muon(), m)
    tx = aj.scale_by_muon(iteration_dtype=jnp.bfloat16)
    rough = updates_of(tx, m)
    assert rough.dtype == jnp.float32
    assert 1e-4 < np.max(np.abs(rough - exact)) < 0.05
    np.testing.assert_array_equal(jax.jit(functools.partial(updates_of, tx))(m), rough)


@pytest.mark.parametrize("flatten", [False, True])
def test_any_axis_may_be_sharded(flatten):
    """Also of matrices that the devices cannot share, and of stacks with two leading axes."""
    mesh = jax.make_mesh((4, 2), ("x", "y"))
    specs = {
        (8, 4): (None, "x"),
        (4, 8): ("y", "x"),
        (3, 5): (None, None),
        (8, 2, 3): ("x", "y", None),
        (2, 4, 8): ("y", None, "x"),
        (2, 3, 4, 16): (None, None, "x", "y"),
    }
    tree = {str(shape): matrix(*shape, seed=i) for i, shape in enumerate(specs)}
    specs = {str(shape): jax.sharding.PartitionSpec(*spec) for shape, spec in specs.items()}
    program = jax.jit(functools.partial(updates_of, aj.scale_by_muon(ns_steps=2, flatten=flatten)))
    expected = program(tree)
    with jax.set_mesh(mesh):
        updates = program(jax.tree.map(jax.device_put, tree, specs))
        assert jax.tree.map(lambda u: jax.typeof(u).sharding.spec, updates) == specs
    for name, array in jax.device_get(updates).items():
        np.testing.assert_allclose(array, expected[name], atol=1e-6)


def test_kernels_of_attention_are_matrices_from_inputs_to_outputs():
    """Their biases, and what else has three axes, are left to Adam."""
    heads, dim, size = 2, 3, 5
    attention = {
        name: {"kernel": matrix(size, heads, dim, seed=i), "bias": np.ones((heads, dim))}
        for i, name in enumerate(("query", "key", "value"))
    }
    attention["out"] = {"kernel": matrix(heads, dim, size), "bias": np.ones(size)}
    tree = {"attention": attention, "scanned": {"kernel": matrix(2, 4, 4)}}
    plain = {"coefficients": "polar_express", "ns_steps": 9, "adjust": None, "weight_decay": 0.0}
    tx = aj.muon(1.0, momentum=0.0, nesterov=False, eps=0.0, **plain)
    updates = tx.update(tree, tx.init(tree), tree)[0]["attention"]
    for name, layer in attention.items():
        rows = heads * dim if name == "out" else size
        expected = -polar_factor(layer["kernel"].reshape(rows, -1))
        actual = updates[name]["kernel"].reshape(rows, -1)
        np.testing.assert_allclose(actual, expected, atol=1e-5)
        np.testing.assert_allclose(updates[name]["bias"], -1, rtol=1e-5)
    kernels = {layer["kernel"].shape for layer in attention.values()}
    chosen = aj.muon(muon_mask=aj.mask_by_path("attention", "scanned"))
    for tx, expected in ((aj.muon(), kernels), (chosen, kernels | {(2, 4, 4)})):
        trace = jax.tree.leaves(jax.eval_shape(tx.init, tree)[0][0].inner_state.trace)
        assert {x.shape for x in trace} == expected


def test_what_is_no_matrix_is_refused_or_left_to_adam():
    params = {"kernel": jnp.ones((2, 3)), "conv": jnp.ones((2, 2, 3)), "bias": jnp.ones(3)}
    with pytest.raises(ValueError, match=r"needs matrices, got shape \(3,\) at \['bias'\]"):
        aj.scale_by_muon().init(params)
    for mask, expected in (
        (None, {"kernel"}),
        (aj.mask_by_path("kernel", invert=True), {"conv"}),
        ({"kernel": True, "conv": True, "bias": True}, {"kernel", "conv"}),
        (True, {"kernel", "conv"}),
    ):
        state = aj.muon(muon_mask=mask).init(params)
        trace = state[0][0].inner_state.trace
        assert {name for name in params if isinstance(trace[name], jax.Array)} == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"coefficients": "jordon"}, "coefficients must be one of 'jordan', 'polar_express'"),
        ({"coefficients": (1.0, 2.0)}, r"coefficients must be a triple \(a, b, c\)"),
        ({"coefficients": []}, r"coefficients must be a triple \(a, b, c\)"),
        ({"coefficients": (1.0, float("nan"), 2.0)}, "coefficients must be in"),
        ({"ns_steps": 0}, "ns_steps must be a whole number of at least 1"),
        ({"adjust": "orignal"}, "adjust must be one of 'original'"),
        ({"output_axis": 1}, "output_axis must be -1"),
        ({"iteration_dtype": jnp.int8}, "iteration_dtype must be a real floating type"),
    ],
)
def test_arguments_are_checked(arguments, message):
    with pytest.raises(ValueError, match=message):
        aj.scale_by_muon(**arguments)
