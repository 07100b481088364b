"""What a run starts from, and goes on from."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from hlss.config import read_settings
from hlss.experiment import Experiment
from hlss.jobs.train import train_experiment

BYOL = ("objective={name: byol, hidden: 24, width: 16}", "train.steps=2", "train.checkpoint_every=1")


@pytest.fixture
def settings(experiment: Path) -> Experiment:
    """BYOL with a tower whose projection training features place."""
    return read_settings(experiment, Experiment, BYOL)


def weights(run: Path, step: int) -> dict[str, dict[str, Tensor]]:
    """Of a checkpoint, by the name of its file."""
    return {path.stem: load_file(path) for path in (run / f"checkpoints/step-{step:08d}").glob("*.safetensors")}


def test_byols_target_starts_as_the_tower_with_its_placed_projection(settings: Experiment):
    start = weights(train_experiment(settings, lambda _: None), 0)
    prefix = "target_encoder."
    target = {name.removeprefix(prefix): w for name, w in start["objective"].items() if name.startswith(prefix)}
    assert start["encoder"]["placed"]
    assert start["encoder"]["projection.bias"].any()  # −W·mean; 0 before it is placed
    assert target.keys() == start["encoder"].keys()
    for name, weight in start["encoder"].items():
        assert torch.equal(target[name], weight), name


def test_gone_on_with_the_target_is_where_it_was(settings: Experiment):
    run = train_experiment(settings, lambda _: None)
    whole = weights(run, 2)
    shutil.rmtree(run / "checkpoints" / "step-00000002")
    train_experiment(settings, lambda _: None)
    again = weights(run, 2)
    assert {"encoder", "objective", "optimizer"} <= whole.keys()
    for file, tensors in whole.items():
        assert all(torch.equal(again[file][name], tensor) for name, tensor in tensors.items()), file
