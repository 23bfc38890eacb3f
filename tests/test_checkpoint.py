"""Checkpoints: what was saved comes back to the bit, or there is an error that says why not."""

import collections
import errno
import functools
import json
import os
import pickle
import re
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jax.sharding import NamedSharding, PartitionSpec

import adaptive_jax as aj
from adaptive_jax import checkpoint
from adaptive_jax.checkpoint import (
    CheckpointError,
    Checkpoints,
    DamagedError,
    MismatchError,
    backend,
)
from adaptive_jax.wrappers.storage import decode_state, encode_state

ADAM = {"optimizer": "adam", "learning_rate": 1e-3}


def bits(leaf):
    """All that makes up a leaf, in a form that can be compared."""
    if isinstance(leaf, (bool, int, float, str)):
        return type(leaf), repr(leaf)
    weak = getattr(leaf, "weak_type", None)
    is_numpy = not isinstance(leaf, jax.Array)
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return (
            str(jax.random.key_impl(leaf)),
            leaf.shape,
            np.array(jax.random.key_data(leaf)).tolist(),
        )
    return is_numpy, weak, leaf.dtype, leaf.shape, np.array(leaf).tobytes()


def assert_same(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for (path, x), y in zip(
        jax.tree_util.tree_leaves_with_path(a), jax.tree.leaves(b), strict=True
    ):
        assert bits(x) == bits(y), jax.tree_util.keystr(path)


def abstract(tree):
    """Without a value: JAX's arrays by their shapes, the rest by others of their kind."""

    def leaf(x):
        if isinstance(x, jax.Array):
            return jax.ShapeDtypeStruct(x.shape, x.dtype)
        return 0 * x if isinstance(x, (np.ndarray, np.generic)) else type(x)()

    return jax.tree.map(leaf, tree)


def small_run():
    """Parameters, state, a key and a position, some of it too long to be within Orbax's index."""
    params = {"w": jax.random.normal(jax.random.key(0), (20, 30)), "b": jnp.ones(3)}
    return {
        "params": params,
        "state": aj.adam(1e-3).init(params),
        "key": jax.random.key(1),
        "at": 7,
    }


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A tree, and the folder of its checkpoint, which a test copies before it harms it."""
    tree, path = small_run(), tmp_path_factory.mktemp("saved") / "run"
    checkpoint.save(path, tree, step=3, config=ADAM)
    return tree, path


DTYPES = ["bool", "int4", "int8", "uint8", "uint32", "float16", "bfloat16", "complex64"]
DTYPES += ["float8_e4m3fn", "float8_e5m2"]


def test_every_kind_of_leaf_comes_back(tmp_path):
    tx = optax.chain(optax.clip(1.0), optax.masked(aj.adam(1e-3), {"w": True, "b": False}))
    tree = {
        "dtypes": {d: jnp.arange(6).reshape(2, 3).astype(d) for d in DTYPES},
        "scalars": [jnp.float32(jnp.nan), jnp.bfloat16(-0.0), jnp.int32(5)],
        "empty": [jnp.zeros((0, 3)), np.zeros((2, 0)), jax.random.split(jax.random.key(0), 0)],
        "weak": [jnp.asarray(0.1), jnp.broadcast_to(jnp.asarray(2), (3,))],
        "keys": [jax.random.key(3), jax.random.split(jax.random.key(4, impl="rbg"), 2)],
        "numpy": [np.arange(3.0), np.float64(0.1), np.asfortranarray(np.eye(3)[:2])],
        "python": [True, 2**70, -0.0, 0.1, float("nan"), float("inf"), "ö\n", ""],
        "nothing": [None, (), {}, [], optax.EmptyState(), optax.MaskedNode()],
        "ordered": collections.OrderedDict(b=jnp.ones(1), a=jnp.zeros(1)),
        "state": tx.init({"w": jnp.ones((2, 2)), "b": jnp.ones(2)}),
        "odd/.. name'": jnp.ones(2),
    }  # fmt: skip
    other = {**tree, "ordered": collections.OrderedDict(a=jnp.zeros(1), b=jnp.ones(1))}
    other["numpy"] = [np.arange(3.0, dtype=">f8"), *tree["numpy"][1:]]
    checkpoint.save(tmp_path / "run", other)
    assert_same(checkpoint.restore(tmp_path / "run", tree), tree)
    assert_same(checkpoint.restore(tmp_path / "run", abstract(tree)), tree)


LEAVES = st.one_of(
    st.none(),
    st.integers(),
    st.floats(),
    st.booleans(),
    st.text(max_size=3),
    st.builds(
        lambda dtype, shape, seed: (
            np.random.default_rng(seed)
            .integers(0, 256, (*shape, np.dtype(dtype).itemsize), np.uint8)
            .view(dtype)[..., 0]
        ),
        st.sampled_from(["float32", "float64", "int16", "complex64"]),
        st.lists(st.integers(0, 3), max_size=3),
        st.integers(0, 9),
    ),
)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.recursive(
        LEAVES,
        lambda child: (
            st.lists(child, max_size=3)
            | st.dictionaries(st.text(max_size=2), child, max_size=3)
            | st.builds(optax.MaskedState, child)
        ),
        max_leaves=8,
    )
)
def test_any_tree_comes_back(tmp_path, tree):
    path = tmp_path / "run"
    shutil.rmtree(path, ignore_errors=True)
    checkpoint.save(path, tree)
    assert_same(checkpoint.restore(path, tree), tree)


TRAINED = {
    "adam": lambda: aj.adam(1e-2),
    "8-bit": lambda: aj.with_storage(aj.adam(1e-2), nu="uint8", minimum=16),
    "tunable": lambda: aj.tunable(aj.adabound, learning_rate=1e-2),
    "schedule-free": lambda: aj.schedule_free_adamw(1e-2),
    "muon": lambda: aj.muon(1e-2),
    "adafactor": lambda: aj.adafactor(1e-2),
    "optax": lambda: optax.MultiSteps(optax.inject_hyperparams(optax.adamw)(1e-2), 2),
}


@pytest.mark.relaxed
@pytest.mark.parametrize("name", TRAINED)
def test_restored_training_continues_bit_for_bit(tmp_path, name):
    tx = TRAINED[name]()
    params = {"w": jax.random.normal(jax.random.key(0), (4, 8)), "b": jnp.zeros(8)}

    @jax.jit
    def step(params, state, key):
        key, noise = jax.random.split(key)
        x = jax.random.normal(noise, (5, 4))
        grads = jax.grad(lambda p: jnp.mean((jnp.tanh(x @ p["w"]) + p["b"]) ** 2))(params)
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state, key

    run = params, jax.jit(tx.init)(params), jax.random.key(1)
    for count in range(6):
        if count == 3:
            if name == "tunable":
                hyper = {"learning_rate": 0.05}
                run = run[0], aj.set_hyperparameters(run[1], hyper), run[2]
            checkpoint.save(tmp_path / "run", run, step=count)
        run = step(*run)
    again = checkpoint.restore(tmp_path / "run", abstract(run))
    compilations = step._cache_size()
    for _ in range(3):
        again = step(*again)
    assert_same(again, run)
    assert step._cache_size() == compilations  # what is restored is of the same types


# Damage.


def outcomes(path, changed, tree):
    """Restores after each of the changes, (file, new bytes or None to delete it), one at a time."""
    found = collections.Counter()
    for file, content in changed:
        whole = file.read_bytes()
        file.unlink() if content is None else file.write_bytes(content)
        try:
            restored = checkpoint.restore(path, tree)
        except CheckpointError as error:
            assert str(path) in str(error) and "\n" not in str(error)
            found["caught by digest" if "differs from what was" in str(error) else "caught"] += 1
        else:
            assert_same(restored, tree)
            found["harmless"] += 1
        file.write_bytes(whole)
    return found


def flipped(content, i):
    return content[:i] + bytes([content[i] ^ 1 << i % 8]) + content[i + 1 :]


# TensorStore goes on to read other arrays, and its news of them find Orbax's event loop closed.
@pytest.mark.filterwarnings(
    "ignore:Exception ignored in. None:pytest.PytestUnraisableExceptionWarning"
)
def test_no_damage_to_any_file_gives_a_wrong_value(saved, tmp_path):
    """A bit flipped at up to 26 places of every file, each cut at several lengths, each deleted."""
    tree, path = saved[0], shutil.copytree(saved[1], tmp_path / "run")
    files = [(f, f.read_bytes()) for f in sorted(path.rglob("*")) if f.is_file()]
    assert len(files) > 8
    flips = [(f, flipped(b, i)) for f, b in files for i in range(0, len(b), 1 + len(b) // 26)]
    cuts = [
        (f, b[:n]) for f, b in files for n in {0, 1, len(b) // 2, len(b) - 1} if 0 <= n < len(b)
    ]
    found = {
        "flips": outcomes(path, flips, tree),
        "cuts": outcomes(path, cuts, tree),
        "deletions": outcomes(path, [(f, None) for f, _ in files], tree),
    }
    assert sum(each.total() for each in found.values()) > 300, found
    assert found["flips"]["caught by digest"] > 10, found  # Orbax alone would have returned them
    assert found["flips"]["caught"] > 80 and found["cuts"]["caught"] > 10, found
    assert found["deletions"]["caught"] >= 4, found
    assert_same(checkpoint.restore(path, tree), tree)


def edit(path, change):
    """Changes the manifest as somebody would who also writes its digest anew."""
    file = path / "manifest" / "manifest.json"
    body = json.loads(file.read_text())
    change(body)
    from adaptive_jax.checkpoint import manifest

    body.pop("digest")
    file.write_text(json.dumps({"digest": manifest._digest(body), **body}))


def test_what_is_no_checkpoint_is_told(saved, tmp_path):
    tree, path = saved[0], shutil.copytree(saved[1], tmp_path / "run")

    def assert_error(kind, message, path):
        for function in (functools.partial(checkpoint.restore, like=tree), checkpoint.verify):
            with pytest.raises(kind, match=message):
                function(path)

    assert_error(CheckpointError, "there is no checkpoint .*/nowhere", tmp_path / "nowhere")
    (tmp_path / "file").write_text("{}")
    assert_error(CheckpointError, "is a file; a checkpoint is a folder", tmp_path / "file")
    (tmp_path / "folder").mkdir()
    assert_error(DamagedError, "is not a checkpoint, or it is damaged", tmp_path / "folder")
    shutil.copytree(path, tmp_path / "12.orbax-checkpoint-tmp")
    assert_error(CheckpointError, "was never finished", tmp_path / "12.orbax-checkpoint-tmp")
    shutil.copytree(path, tmp_path / "runs" / "12")
    assert_error(
        CheckpointError, "a folder of checkpoints, .*: restore .*/12, or use", tmp_path / "runs"
    )
    edit(path, lambda body: body.update(version=2))
    assert_error(CheckpointError, "has format 2, .* reads formats up to 1: install", path)
    edit(path, lambda body: body.update(version=1))
    assert checkpoint.verify(path) == checkpoint.describe(path)


def test_a_manifest_of_somebody_else_is_damaged(saved, tmp_path):
    tree, path = saved[0], shutil.copytree(saved[1], tmp_path / "run")
    file = path / "manifest" / "manifest.json"
    whole = file.read_text()
    for change in (
        {"step": "3"},
        {"order": None},
        {"run": 1},
        {"version": "1"},
        {"entries": 5},
        {"entries": [{}]},
        {"entries": [{"path": "", "kind": "int", "new": 1}]},
    ):
        edit(path, lambda body, change=change: body.update(change))
        with pytest.raises(DamagedError, match=r"manifest.json is damaged"):
            checkpoint.restore(path, tree)
        file.write_text(whole)
    file.write_text("[" * 100_000)
    with pytest.raises(DamagedError, match=r"manifest.json is damaged"):
        checkpoint.describe(path)
    file.unlink()
    os.mkfifo(file)  # which nobody writes to
    with pytest.raises(DamagedError, match="cannot read manifest/manifest"):
        checkpoint.describe(path)


def without(tree, *names):
    return {name: x for name, x in tree.items() if name not in names}


def test_what_differs_is_named(saved):
    tree, path = saved
    params = tree["params"]

    def assert_mismatch(message, **changes):
        with pytest.raises(MismatchError, match=message):
            checkpoint.restore(path, {**tree, **changes})

    assert_mismatch(
        r"has float32\[3\] at \['params'\]\['b'\], where nothing", params=without(params, "b")
    )
    assert_mismatch(
        r"nothing at \['params'\]\['c'\], where float32\[1\]", params={**params, "c": jnp.ones(1)}
    )
    assert_mismatch(
        r"has float32\[3\] at .*'b'\], where float32\[4\]", params={**params, "b": jnp.ones(4)}
    )
    assert_mismatch(r"where bfloat16\[3\] is", params={**params, "b": jnp.ones(3, jnp.bfloat16)})
    assert_mismatch(r"an int at \['at'\], where a float is", at=7.0)
    assert_mismatch(r"an int at \['at'\], where int32\[\] is", at=jnp.int32(7))
    assert_mismatch(
        r"key<fry>\[\] at \['key'\], where key<rbg>\[\]", key=jax.random.key(0, impl="rbg")
    )
    assert_mismatch(r"key<fry>\[\] at \['key'\], where uint32\[2\]", key=jax.random.PRNGKey(0))
    assert_mismatch(r"a tuple at \['state'\], where a list", state=list(tree["state"]))
    # Another optimizer's state, even one with the same arrays.
    others = {
        "yogi": aj.yogi(1e-3),
        "lion": aj.lion(1e-3),
        "8-bit": aj.with_storage(aj.adam(1e-3), mu="int8"),
    }
    for tx in others.values():
        assert_mismatch(
            r"at \['state'\].*its config is \{'optimizer': 'adam'", state=tx.init(params)
        )


STATES = ["adam", "radam", "qhadam"]


@pytest.mark.parametrize("name", STATES)
def test_states_with_the_same_fields_are_told_apart(tmp_path, name):
    params = {"w": np.ones(3, np.float32)}
    states = {n: jax.device_get(getattr(aj, n)(1e-3).init(params)) for n in STATES}
    classes = {n: type(state[0]).__name__ for n, state in states.items()}
    checkpoint.save(tmp_path / "run", states[name])
    for other, like in states.items():
        if other == name:
            assert_same(checkpoint.restore(tmp_path / "run", like), like)
            continue
        rename = {classes[name]: classes[other]}
        message = (
            f"has a {classes[name]} at .*where a {classes[other]} is expected.*rename_classes="
        )
        with pytest.raises(MismatchError, match=message + re.escape(str(rename))):
            checkpoint.restore(tmp_path / "run", like)
        assert_same(checkpoint.restore(tmp_path / "run", like, rename_classes=rename), like)


class Named:
    """As a transformation with a readable repr."""

    def __init__(self, text):
        self.text = text

    def __repr__(self):
        return self.text


def test_another_optimizer_is_told(tmp_path):
    path, tree, adam = tmp_path / "run", {"w": np.ones(2)}, Named("adam(learning_rate=0.001)")
    checkpoint.save(path, tree, optimizer=adam)
    assert checkpoint.describe(path).optimizer == "adam(learning_rate=0.001)"
    for same in (Named(adam.text), adam.text, None):
        assert_same(checkpoint.restore(path, tree, optimizer=same), tree)
    message = (
        r"of the optimizer adam\(.*=0.001\), where radam\(\) is expected: .* pass optimizer=None"
    )
    with pytest.raises(MismatchError, match=message):
        checkpoint.restore(path, tree, optimizer="radam()")
    checkpoint.save(tmp_path / "silent", tree)
    with pytest.raises(MismatchError, match="none recorded"):
        checkpoint.restore(tmp_path / "silent", tree, optimizer=adam)
    with pytest.raises(TypeError, match=r"memory addresses, got .*: describe it, as in optimizer="):
        checkpoint.save(tmp_path / "other", tree, optimizer=optax.sgd(0.1))
    with Checkpoints(tmp_path / "runs", optimizer=adam) as checkpoints:
        checkpoints.save(1, tree)
    with (
        Checkpoints(tmp_path / "runs", optimizer="sgd()") as checkpoints,
        pytest.raises(MismatchError, match="of the optimizer adam"),
    ):
        checkpoints.restore(tree)
    with Checkpoints(tmp_path / "runs", optimizer="sgd()") as checkpoints:
        checkpoints.restore(tree, optimizer=None)
        checkpoints.save(2, tree)
    assert checkpoint.describe(checkpoints.path(2)).optimizer == "sgd()"


# A part.


def test_parameters_alone_are_restored(saved):
    tree, path = saved
    message = (
        r"restored in part; left out: \['at'\] \(an int\), \['key'\].*, \['state'\] \(a tuple\)$"
    )
    for params in (abstract(tree["params"]), jax.tree.map(jnp.zeros_like, tree["params"])):
        with pytest.warns(UserWarning, match=message):
            restored = checkpoint.restore(path, {"params": params}, partial=True)
        assert_same(restored, {"params": tree["params"]})


def test_only_the_arrays_that_fit_are_read(tmp_path):
    path = tmp_path / "run"
    big = {"params": {"w": np.ones(3)}, "state": np.random.default_rng(0).normal(size=10**5)}
    checkpoint.save(path, big)
    largest = max((f for f in path.rglob("*") if f.is_file()), key=lambda f: f.stat().st_size)
    largest.write_bytes(flipped(largest.read_bytes(), largest.stat().st_size // 2))
    with pytest.raises(DamagedError):
        checkpoint.restore(path, big)
    with pytest.warns(UserWarning, match="left out: .*state"):
        restored = checkpoint.restore(path, {"params": {"w": np.zeros(3)}}, partial=True)
    assert_same(restored, {"params": {"w": np.ones(3)}})


def test_a_changed_model_keeps_what_does_not_fit(saved):
    tree, path = saved
    new = {"b": jnp.zeros(4), "c": jnp.full(2, 5.0), "w": jnp.zeros((20, 30))}
    like = {"params": new, "state": aj.lion(1e-3).init(new), "at": 0.5, "key": jax.random.key(9)}
    with pytest.warns(UserWarning) as told:
        restored = checkpoint.restore(path, like, partial=True)
    assert_same(
        restored,
        {**like, "params": {**new, "w": tree["params"]["w"]}, "key": tree["key"]},
    )
    text = str(told[0].message)
    assert "kept as given: ['at'] (a float, where the checkpoint has an int)" in text
    assert "['params']['b'] (float32[4], where the checkpoint has float32[3])" in text
    assert "['params']['c'] (float32[2], where the checkpoint has nothing)" in text
    assert "['state'][0] (a ScaleByLionState, where the checkpoint has a ScaleByAdamState)" in text
    with pytest.raises(MismatchError, match=r"matches at \['params'\]\['.'\].* no value"):
        checkpoint.restore(path, {"params": abstract(new)}, partial=True)
    with pytest.raises(MismatchError, match=r"nothing that matches: .*at the root, where a list"):
        checkpoint.restore(path, [tree["params"]], partial=True)
    with pytest.raises(ValueError, match="partial and convert_storage cannot be given together"):
        checkpoint.restore(path, like, partial=True, convert_storage={"mu": "int8"})


def test_names_that_begin_alike_are_not_below_one_another(tmp_path):
    pair = collections.namedtuple("pair", ["mu", "mu2"])
    checkpoint.save(tmp_path / "run", pair({"a": 1}, 2))
    with pytest.warns(UserWarning, match=r"left out: \.mu\['a'\].*kept as given: \.mu\['b'\]"):
        restored = checkpoint.restore(tmp_path / "run", pair({"b": 0}, 0), partial=True)
    assert restored == pair({"b": 0}, 2)


def test_another_config_is_told(saved):
    tree, path = saved
    assert_same(checkpoint.restore(path, tree, config=ADAM), tree)
    message = r"config\['learning_rate'\] is 0.001, where 0.01 is expected; its config is .*"
    with pytest.raises(MismatchError, match=message):
        checkpoint.restore(path, tree, config={**ADAM, "learning_rate": 0.01})
    with pytest.raises(MismatchError, match=r"rate'\] is 0\.001, where missing is expected"):
        checkpoint.restore(path, tree, config={"optimizer": "adam"})
    with pytest.raises(TypeError, match="config must be JSON-serializable"):
        checkpoint.restore(path, tree, config={"learning_rate": jnp.ones(2)})
    assert checkpoint.describe(path).config == ADAM


def test_what_cannot_be_saved_is_refused(tmp_path):
    path = tmp_path / "run"
    for leaf in (object(), 1j, np.array(["a"]), np.array([object()])):
        with pytest.raises(CheckpointError, match=r"\['x'\] must"):
            checkpoint.save(path, {"x": leaf})
    with pytest.raises(TypeError, match="config must be"):
        checkpoint.save(path, {"x": 1}, config={"x": float("nan")})
    assert not path.exists()
    checkpoint.save(path, {"x": 1})
    with pytest.raises(CheckpointError, match="exists already: use another folder"):
        checkpoint.save(path, {"x": 2})
    assert checkpoint.restore(path, {"x": 0}) == {"x": 1}


HOSTILE = ["a|b", "a%20b", "ü b", "a?b#c", "-x", "a'b", "${HOME}"]
IMPOSSIBLE = {"a\0b": "NUL", "\udcff": "UTF-8", "x" * 300: "File name too long"}


def test_any_path_works_or_is_refused(tmp_path):
    for name in HOSTILE:
        checkpoint.save(tmp_path / name, {"x": 1})
        assert checkpoint.restore(tmp_path / name, {"x": 0}) == {"x": 1}
    for name, message in IMPOSSIBLE.items():
        for function in (checkpoint.verify, checkpoint.describe, Checkpoints):
            with pytest.raises(CheckpointError, match=message) as error:
                function(tmp_path / name)
            assert not isinstance(error.value, DamagedError)
        with pytest.raises(CheckpointError, match=message):
            checkpoint.save(tmp_path / name, {"x": 1})
    with pytest.raises(CheckpointError, match="name of an unfinished checkpoint"):
        checkpoint.save(tmp_path / "1.orbax-checkpoint-tmp", {"x": 1})
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(HOSTILE)


def test_what_cannot_be_read_now_is_not_damaged(saved, monkeypatch):
    tree, path = saved

    def fail(*args, **kwargs):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    def fail_as_tensorstore(*args, **kwargs):
        raise ValueError("PERMISSION_DENIED: Error opening: x [os_error_code='24']")

    for target, name, function in (
        (Path, "read_bytes", fail),
        (backend.ocp, "load", fail_as_tensorstore),
    ):
        with monkeypatch.context() as patch, pytest.raises(CheckpointError) as error:
            patch.setattr(target, name, function)
            checkpoint.restore(path, tree)
        assert re.fullmatch(
            r"cannot read .*: (Permission denied|Too many open files)", str(error.value)
        )
        assert not isinstance(error.value, DamagedError)


def test_double_precision_is_never_cut_silently(tmp_path):
    checkpoint.save(tmp_path / "run", {"x": np.arange(3.0)})
    with pytest.raises(MismatchError, match=r"float64.* jax_enable_x64"):
        checkpoint.restore(tmp_path / "run", {"x": jax.ShapeDtypeStruct((3,), np.float64)})


def test_nothing_is_ever_unpickled(monkeypatch, tmp_path):
    def refuse(*args, **kwargs):
        raise AssertionError("pickle was used")

    for name in ("dump", "dumps", "load", "loads", "Pickler", "Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    tree = small_run()
    checkpoint.save(tmp_path / "run", tree)
    assert_same(checkpoint.restore(tmp_path / "run", tree), tree)


# Other devices and storages.


def test_restores_to_other_shardings(tmp_path):
    def mesh(*shape):
        devices = np.array(jax.devices()[: int(np.prod(shape))]).reshape(shape)
        return jax.sharding.Mesh(devices, ("data", "model")[: len(shape)])

    def put(tree, mesh, *spec):
        return jax.device_put(tree, NamedSharding(mesh, PartitionSpec(*spec)))

    w = jnp.arange(64.0).reshape(8, 8).astype(jnp.bfloat16)
    key = jax.random.split(jax.random.key(0), 8)
    tree = put({"w": w, "key": key}, mesh(8), "data")
    checkpoint.save(tmp_path / "run", tree)
    for like in (
        put({"w": w, "key": key}, mesh(2, 2), "model"),
        put({"w": w, "key": key}, mesh(1), None),
        {"w": put(w, mesh(2, 4), "data", "model"), "key": jax.device_put(key, jax.devices()[3])},
    ):
        abstract_like = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), like
        )
        for wanted in (like, abstract_like):
            restored = checkpoint.restore(tmp_path / "run", wanted)
            assert_same(restored, {"w": w, "key": key})
            for x, y in zip(jax.tree.leaves(restored), jax.tree.leaves(like), strict=True):
                assert x.sharding.is_equivalent_to(y.sharding, x.ndim)
    assert not checkpoint.restore(tmp_path / "run", {"w": w, "key": key})["w"].committed


def test_storages_are_converted_when_asked(tmp_path):
    storage = {"nu": "uint8", "minimum": 8}
    plain = aj.chain(
        aj.clip_by_global_norm(1.0), aj.scale_by_adam(), aj.scale_by_learning_rate(0.1)
    )
    stages = aj.with_storage(aj.scale_by_adam(), **storage), aj.scale_by_learning_rate(0.1)
    stored = aj.chain(aj.clip_by_global_norm(1.0), *stages)
    params = {"w": jax.random.normal(jax.random.key(0), (4, 8)), "b": jnp.ones(2)}
    states = {}
    for name, tx in (("plain", plain), ("stored", stored)):
        _, states[name] = jax.jit(tx.update)(params, jax.jit(tx.init)(params))
        checkpoint.save(tmp_path / name, states[name], step=5)
    both = {"state": states["plain"], "at": 7, "seen": np.arange(3)}
    checkpoint.save(tmp_path / "both", both, step=5)
    like = {**abstract(both), "state": states["stored"]}
    whole = checkpoint.restore(tmp_path / "both", like, convert_storage=storage)
    encoded = checkpoint.restore(tmp_path / "plain", states["stored"], convert_storage=storage)
    assert_same(whole, {**both, "state": encoded})
    at = [type(state).__name__ for state in states["stored"]].index("StorageState")
    assert_same(encoded[at], encode_state(states["plain"][at], 5, **storage))
    decoded = checkpoint.restore(tmp_path / "stored", states["plain"], convert_storage=storage)
    assert_same(decoded[at], decode_state(states["stored"][at], **storage))
    assert_same(decoded[:at], states["plain"][:at])
    jax.eval_shape(stored.update, params, encoded)
    with pytest.raises(MismatchError, match=r"StorageState.* pass the arguments of with_storage"):
        checkpoint.restore(tmp_path / "plain", states["stored"])
    with pytest.raises(MismatchError, match=r"StorageState.* pass the arguments of with_storage"):
        checkpoint.restore(tmp_path / "stored", states["plain"])
    with pytest.raises(MismatchError, match="does not match"):
        wrong = {**storage, "minimum": 4096}
        checkpoint.restore(tmp_path / "plain", states["stored"], convert_storage=wrong)
