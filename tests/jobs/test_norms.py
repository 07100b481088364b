"""Statistics of batch norms taken anew: those of the training tiles, by numpy in float64."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch import nn

from hlss.config import read_settings, write_settings
from hlss.embedding_table import EmbeddingTable
from hlss.encoders.base import ImageEncoder
from hlss.errors import UserError
from hlss.experiment import Experiment
from hlss.jobs.embed import embed_run
from hlss.jobs.setup import Data, open_data, renew_norms
from hlss.jobs.tower import Norms, tower_of
from hlss.jobs.train import train_experiment


class Normed(ImageEncoder):
    def __init__(self) -> None:
        super().__init__(3, 32, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
        self.norm = nn.BatchNorm2d(3)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.norm(pixels).mean(dim=(2, 3))


def silent(_: str) -> None:
    pass


def trained(path: Path, *changes: str) -> tuple[Experiment, Data]:
    experiment = read_settings(path, Experiment, changes)
    train_experiment(experiment, silent)
    return experiment, open_data(experiment, silent)


def test_statistics_are_those_of_the_training_tiles(experiment: Path):
    settings = read_settings(experiment, Experiment, [])
    train = open_data(settings, silent).sides["train"]
    tower = Normed()
    assert renew_norms(tower, settings, train) == 1
    pixels = np.stack([train.read_tile(row) for row in range(train.n_tiles)]).astype(np.float64)
    normalised = ((pixels / 255 - 0.5) / 0.25).reshape(-1, 3)
    torch.testing.assert_close(
        tower.norm.running_mean.double(), torch.from_numpy(normalised.mean(0)), rtol=0, atol=1e-5
    )
    torch.testing.assert_close(
        tower.norm.running_var.double(), torch.from_numpy(normalised.var(0, ddof=1)), rtol=1e-5, atol=0
    )
    assert not tower.norm.training
    assert tower.norm.momentum == pytest.approx(0.1)


def test_midway_has_them_and_the_others_their_own(experiment: Path):
    settings, data = trained(experiment)
    folder = settings.folder

    def statistics(checkpoint: str, norms: Norms | None) -> torch.Tensor:
        tower, facts = tower_of(settings, folder, checkpoint, data, norms, silent)
        assert ("norms_renewed" in facts) == ((norms or ("train" if checkpoint == "midway" else "own")) == "train")
        return torch.cat([value for name, value in tower.state_dict().items() if name.endswith("running_mean")])

    halved = (statistics("start", None) + statistics("last", None)) / 2
    torch.testing.assert_close(statistics("midway", "own"), halved)
    assert torch.equal(statistics("midway", None), statistics("midway", "train"))
    assert not torch.allclose(statistics("midway", None), halved)
    assert not torch.allclose(statistics("start", "train"), statistics("start", None))


def test_a_checkpoint_is_one_tower_whatever_it_embeds(experiment: Path):
    settings, data = trained(experiment)
    other = read_settings(experiment, Experiment, ["cohort.seed=9", "split.val=0", "split.test=0.5"])
    said: list[str] = []
    here, _ = tower_of(settings, settings.folder, "midway", data, None, silent)
    there, _ = tower_of(other, settings.folder, "midway", open_data(other, silent), None, said.append)
    for name, value in there.state_dict().items():
        assert torch.equal(value, here.state_dict()[name]), name
    assert "statistics of norms are taken from the training tiles of the run's own cohort" in said
    lost = read_settings(experiment, Experiment).model_dump(mode="json") | {
        "cohort": {"name": "manifest", "path": "gone.csv", "tile_px": 32}
    }
    (settings.folder / "config.yaml").write_text(yaml.safe_dump(lost))
    with pytest.raises(UserError, match=r"statistics want the run's own cohort.*--norms own"):
        tower_of(other, settings.folder, "midway", open_data(other, silent), None, silent)


def test_midway_keeps_norms_that_were_frozen(experiment: Path):
    settings, data = trained(experiment, "train.freeze.norms=true")
    tower, facts = tower_of(settings, settings.folder, "midway", data, None, silent)
    first, _ = tower_of(settings, settings.folder, "start", data, None, silent)
    assert "norms_renewed" not in facts
    buffers = dict(first.named_buffers())
    assert buffers
    for name, value in tower.named_buffers():
        torch.testing.assert_close(value, buffers[name])


def test_the_table_says_so(experiment: Path):
    settings, _ = trained(experiment)
    table = embed_run(settings.folder, "start", None, [], norms="train", say=silent)
    assert table.name == "start-norms-train"
    assert EmbeddingTable.read(table).provenance["norms_renewed"] > 0


class Plain(Normed):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, 3)


def test_a_tower_without_batch_norms_is_told_of(experiment: Path, monkeypatch: pytest.MonkeyPatch):
    said: list[str] = []
    settings = read_settings(experiment, Experiment, [])
    settings.folder.mkdir()
    write_settings(settings, settings.folder / "config.yaml")
    monkeypatch.setattr("hlss.jobs.tower.build_encoder", lambda *_: Plain())
    monkeypatch.setattr("hlss.train.checkpoint.Checkpoints.load_encoder", lambda *_: "step-00000000")
    _, facts = tower_of(settings, settings.folder, "start", open_data(settings, silent), "train", said.append)
    assert facts["norms_renewed"] == 0
    assert said == ["note: this tower has no batch norms, --norms changes nothing"]


def test_without_training_patients_there_is_nothing_to_take_them_from(experiment: Path):
    settings, data = trained(experiment)
    test_only = Data(data.cohort, {"test": data.sides["test"]})
    with pytest.raises(UserError, match=r"no training patients.*--norms own"):
        tower_of(settings, settings.folder, "last", test_only, "train", silent)
