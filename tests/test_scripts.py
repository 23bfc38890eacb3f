"""The training scripts that users copy, for one epoch each."""

import importlib

import pytest


@pytest.mark.relaxed  # as Flax needs it
@pytest.mark.parametrize("name", ["train_flax_nnx", "train_flax_linen", "train_equinox"])
def test_a_training_script_learns(name, capsys):
    script = importlib.import_module(f"scripts.{name}")
    accuracy = script.main(epochs=2, batch_size=64, learning_rate=0.01, seed=0)
    assert accuracy > 0.7
    assert capsys.readouterr().out.count("epoch") == 2
