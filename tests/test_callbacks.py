"""Callbacks: what they receive, what loggers write, and how progress is shown."""

import io
import sys
import types

import pytest

from adaptive_jax.lab.training import (
    Callback,
    Callbacks,
    Epoch,
    History,
    Member,
    MLflowLogger,
    OptimizerSpec,
    ProgressBar,
    RunConfig,
    WandbLogger,
    progress_bar,
    train,
)

pytestmark = pytest.mark.relaxed
SGD = OptimizerSpec("sgd")


def test_runs_begin_and_end():
    calls = []

    class Note(Callback):
        def on_run_begin(self, workload, member):
            calls.append(("begin", member.seed))

        def on_epoch(self, epoch):
            calls.append(("epoch", epoch.number))

        def on_run_end(self, workload, history):
            calls.append(("end", history.member.seed, sorted(history.final)[0]))

    train(RunConfig("noisy_quadratic", "sgd", epochs=2, seed=3), Callbacks(Note()))
    assert calls == [("begin", 3), ("epoch", 1), ("epoch", 2), ("end", 3, "test_loss")]


@pytest.fixture
def history():
    curve = [{"train_loss": 2.0 / epoch, "validation_loss": 3.0 / epoch} for epoch in (1, 2)]
    member = Member(SGD, 5, {"learning_rate": 0.1}, "tune")
    return History(member, 4.0, curve, None, {"train_loss": 0.9, "test_loss": 1.5}, 0.1, 0.2)


def test_runs_are_logged_to_wandb(monkeypatch, history):
    class Run:
        def __init__(self, **settings):
            self.settings, self.logged, self.summary, self.finished = settings, [], {}, False
            runs.append(self)

        def log(self, point, step):
            self.logged.append((step, point))

        def finish(self):
            self.finished = True

    runs = []
    monkeypatch.setitem(sys.modules, "wandb", types.SimpleNamespace(init=Run))
    WandbLogger("mine", mode="offline").on_run_end("small", history)
    (run,) = runs
    assert run.settings["project"] == "mine" and run.settings["mode"] == "offline"
    assert run.settings["group"] == "small" and run.settings["job_type"] == history.member.phase
    assert run.settings["config"]["optimizer"] == history.member.optimizer.label
    assert run.logged == [*enumerate(history.curve, 1)] and run.finished
    assert run.summary == {**history.final, "diverged": False}


def test_runs_are_logged_to_mlflow(monkeypatch, history):
    class Client:
        def __init__(self, uri):
            self.uri, self.params, self.metrics, self.ended = uri, [], [], []
            clients.append(self)

        def get_experiment_by_name(self, name):
            return None

        def create_experiment(self, name):
            return f"id of {name}"

        def create_run(self, experiment, tags, run_name):
            assert experiment == "id of mine" and tags["phase"] == history.member.phase
            return types.SimpleNamespace(info=types.SimpleNamespace(run_id="run"))

        def log_batch(self, run, metrics=(), params=()):
            self.metrics += metrics
            self.params += params

        def set_terminated(self, run):
            self.ended.append(run)

    clients = []
    entities = types.SimpleNamespace(
        Metric=lambda key, value, timestamp, step: (key, value, step),
        Param=lambda key, value: (key, value),
    )
    module = types.SimpleNamespace(MlflowClient=Client, entities=entities)
    monkeypatch.setitem(sys.modules, "mlflow", module)
    MLflowLogger("mine", "sqlite:///x").on_run_end("small", history)
    (client,) = clients
    assert client.uri == "sqlite:///x" and client.ended == ["run"]
    assert ("optimizer", history.member.optimizer.label) in client.params
    last = len(history.curve)
    assert ("train_loss", history.curve[0]["train_loss"], 1) in client.metrics
    assert ("final_test_loss", history.final["test_loss"], last) in client.metrics


@pytest.mark.parametrize(("logger", "package"), [(WandbLogger, "wandb"), (MLflowLogger, "mlflow")])
def test_a_missing_package_is_named(monkeypatch, logger, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ModuleNotFoundError, match=f"needs {package}: pip install {package}"):
        logger("mine")


class Terminal(io.StringIO):
    def isatty(self):
        return True


def shown(file, **settings):
    members = [Member(SGD, 0), Member(SGD, 1)]
    with ProgressBar(file, **settings) as bar:
        bar.on_plan("small", 4)
        bar.on_epoch(Epoch("small", members, 1, {}))
        bar.on_plan("small", 2)
        bar.on_epoch(Epoch("small", members, 2, {}))
    return file.getvalue()


def test_progress_is_a_bar_in_a_terminal_and_lines_elsewhere(monkeypatch):
    assert shown(io.StringIO()) == "small: 4 of 6 epochs\n"
    assert shown(io.StringIO(), enabled=False) == ""
    assert "4/6" in shown(Terminal())
    monkeypatch.setattr(progress_bar, "_SECONDS", 0.0)
    lines = shown(io.StringIO()).splitlines()
    assert lines == [
        "small: 2 of 4 epochs, 0:00 left",
        "small: 4 of 6 epochs, 0:00 left",
        "small: 4 of 6 epochs",
    ]
