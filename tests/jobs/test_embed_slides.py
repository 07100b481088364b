"""`hlss embed --per-slide`, as it is called: the same table, and other tools' files beside it."""

from pathlib import Path

import numpy as np
import pytest
from stored_features import table

from hlss.batches import loader
from hlss.cohorts.features_hdf5 import FeaturesHdf5Spec
from hlss.config import read_settings, validate
from hlss.embedding_table import EmbeddingTable
from hlss.errors import UserError
from hlss.experiment import Experiment
from hlss.jobs.embed import embed_run
from hlss.jobs.export_features import export_features
from hlss.jobs.train import train_experiment

VARYING = {"time", "command"}


def silent(_: str) -> None:
    pass


@pytest.fixture
def run(experiment: Path) -> Path:
    """A trained run on eight drawn slides of four tiles."""
    return train_experiment(read_settings(experiment, Experiment, ["train.steps=2"]), silent)


def test_the_same_table_and_files_that_are_read_again(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    at_once = EmbeddingTable.read(embed_run(run, "last", tmp_path / "once", [], say=silent))
    slides, said = tmp_path / "slides", list[str]()
    found = EmbeddingTable.read(embed_run(run, "last", tmp_path / "by", [], say=silent, per_slide=slides))
    np.testing.assert_allclose(found.features, at_once.features, rtol=1e-4, atol=1e-5)
    for name, column in at_once.columns.items():
        assert found[name].tolist() == column.tolist(), name
    same = at_once.provenance.keys() - VARYING
    assert {key: found.provenance[key] for key in same} == {key: at_once.provenance[key] for key in same}
    assert (found.provenance["tile_px"], found.provenance["patches"]) == (32, 32)

    before = {path.name: path.read_bytes() for path in slides.glob("*.h5")}
    assert len(before) == 8

    def fails(*_: object) -> None:
        raise AssertionError("a tile was read again")

    with monkeypatch.context() as patched:
        patched.setattr(loader._Tiles, "__getitem__", fails)
        again = EmbeddingTable.read(embed_run(run, "last", tmp_path / "b", [], say=said.append, per_slide=slides))
    assert "8 of 8 slides were embedded before" in said
    assert np.array_equal(again.features, found.features)
    assert {path.name: path.read_bytes() for path in slides.glob("*.h5")} == before
    embed_run(run, "start", tmp_path / "c", [], say=silent, per_slide=slides)
    assert all(path.read_bytes() != before[path.name] for path in slides.glob("*.h5"))

    out = export_features(tmp_path / "by", "trident", tmp_path / "out")
    exported = FeaturesHdf5Spec(manifest=out / "slides.csv", folder=out).open()
    kept = FeaturesHdf5Spec(manifest=out / "slides.csv", folder=slides).open()
    assert kept.slides == exported.slides
    assert kept.n_tiles == 32


def test_a_view_is_of_its_own_and_a_file_is_no_folder(run: Path, tmp_path: Path):
    slides = tmp_path / "slides"
    plain = EmbeddingTable.read(embed_run(run, "last", tmp_path / "a", [], say=silent, per_slide=slides))
    seen = EmbeddingTable.read(embed_run(run, "last", tmp_path / "b", [], view=1, say=silent, per_slide=slides))
    once = EmbeddingTable.read(embed_run(run, "last", tmp_path / "c", [], view=1, say=silent))
    np.testing.assert_allclose(seen.features, once.features, rtol=1e-4, atol=1e-5)
    assert np.abs(seen.features - plain.features).max() > 1e-3
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match="this is a file, not a folder"):
        embed_run(run, "last", tmp_path / "d", [], say=silent, per_slide=tmp_path / "file")


def test_stored_features_too(tmp_path: Path):
    table(width=16).write(tmp_path / "table")
    tree = {
        "name": "features",
        "out": tmp_path / "run",
        "cache": tmp_path / "cache",
        "cohort": {"name": "embeddings", "path": tmp_path / "table"},
        "split": {"kind": "given"},
        "batches": {"patients": 4, "slides": 2, "patches": 2, "views": 2},
        "views": {"preset": "features"},
        "encoder": {"name": "adapter", "width": 16},
        "objective": "hidisc",
        "train": {"steps": 1},
    }
    run = train_experiment(validate(tree, Experiment, where="test"), silent)
    once = EmbeddingTable.read(embed_run(run, "last", tmp_path / "a", [], say=silent))
    by = EmbeddingTable.read(embed_run(run, "last", tmp_path / "b", [], say=silent, per_slide=tmp_path / "s"))
    np.testing.assert_allclose(by.features, once.features, rtol=1e-5, atol=1e-6)
    table(width=16, seed=1).write(tmp_path / "table")
    other = EmbeddingTable.read(embed_run(run, "last", tmp_path / "c", [], say=silent, per_slide=tmp_path / "s"))
    assert np.abs(other.features - once.features).max() > 1e-2
