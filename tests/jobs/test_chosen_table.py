"""Which tables a run means, and which settings a table was embedded with: its pixels are those that it was made of."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from drawn_run import noise, write_run

from hlss.cohorts.phantom.spec import PhantomSpec
from hlss.config import read_settings
from hlss.embedding_table import SETTINGS_FILE, EmbeddingTable
from hlss.errors import UserError
from hlss.experiment import Experiment
from hlss.jobs.chosen_table import experiment_of, home_of, settings_of, table_of, tables_of
from hlss.jobs.embed import embed_run
from hlss.jobs.explain_sources import sources_of
from hlss.jobs.table_pixels import TablePixels, other_settings
from hlss.jobs.train import train_experiment
from hlss.jobs.view import view_of_run

SMALL = {
    "name": "small",
    "cohort": {"name": "phantom", "patients": 4, "slides": 1, "side": 2, "tile_px": 32, "classes": 2},
    "split": {"kind": "random", "test": 0.5},
    "loader": {"workers": 0, "pack": None},
    "encoder": "tiny",
    "objective": "hidisc",
}


def silent(_: str) -> None:
    pass


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, write_experiment: Callable[..., Path]) -> Path:
    path = write_experiment(tmp_path_factory.mktemp("trained"))
    return train_experiment(read_settings(path, Experiment, ["train.steps=2"]), silent)


def test_a_table_of_another_cohort_is_looked_at_there(trained: Path, tmp_path: Path) -> None:
    changes = ["cohort.seed=5", "cohort.side=3", "cohort.patients=3", "split.val=0", "loader.pack=null"]
    folder = embed_run(trained, "last", tmp_path / "elsewhere", changes, say=silent)
    experiment, table = experiment_of(folder), EmbeddingTable.read(folder)
    cohort = PhantomSpec(patients=3, slides=1, side=3, tile_px=32, classes=2, seed=5).open()
    assert not other_settings(table, experiment)
    (source,) = sources_of([folder], "all")
    pixels, tiles = TablePixels(source.table, source.experiment), np.arange(cohort.n_tiles)
    places = zip(cohort.tile_slide(tiles).tolist(), cohort.tile_xy_px0(tiles).tolist(), strict=True)
    tile_at = {(cohort.slides[slide], *place): tile for tile, (slide, place) in enumerate(places)}
    for row in (0, 13, 26):
        place = (table["slide"][row], int(table["x_px0"][row]), int(table["y_px0"][row]))
        assert np.array_equal(pixels.read(row), cohort.read_tile(tile_at[place]))
    viewed = view_of_run(folder, bank="general_he")
    assert [image.slide for image in viewed.images] == list(cohort.slides)
    assert home_of(folder) == tmp_path


def test_by_slide_it_is_the_same(trained: Path, tmp_path: Path) -> None:
    changes = ["cohort.seed=5"]
    made = embed_run(trained, "last", tmp_path / "table", changes, say=silent, per_slide=tmp_path / "slides")
    at_once = embed_run(trained, "last", tmp_path / "once", changes, say=silent)
    assert (made / SETTINGS_FILE).read_text() == (at_once / SETTINGS_FILE).read_text()
    assert experiment_of(made).hash == EmbeddingTable.read(made).provenance["config_hash"]


def test_a_table_in_its_run_follows_the_run(trained: Path) -> None:
    folder = embed_run(trained, "last", None, [], say=silent)
    facts = EmbeddingTable.read(folder).provenance
    assert settings_of(folder, facts) == trained.resolve() / "config.yaml"
    assert home_of(folder) == home_of(trained) == trained.resolve()
    other = embed_run(trained, "last", trained / "embeddings" / "other", ["cohort.seed=5"], say=silent)
    assert settings_of(other, EmbeddingTable.read(other).provenance) == other / SETTINGS_FILE


def test_an_older_table_apart_is_of_the_run_with_its_hash(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", SMALL, {"last": noise(16)})
    shutil.move(run / "embeddings" / "last", tmp_path / "start-1")
    facts = EmbeddingTable.read(tmp_path / "start-1").provenance
    assert settings_of(tmp_path / "start-1", facts) == run / "config.yaml"
    with pytest.raises(UserError, match="no run beside this table"):
        settings_of(tmp_path / "start-1", {**facts, "config_hash": "another"})


def test_what_a_run_means(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", SMALL, {"step-2": noise(16), "start": noise(16), "last": noise(16)})
    tables = run / "embeddings"
    assert tables_of(run) == [tables / "start", tables / "last", tables / "step-2"]
    assert (table_of(run), table_of(run, "start")) == (tables / "last", tables / "start")
    assert tables_of(tables / "step-2") == [table_of(tables / "step-2")] == [tables / "step-2"]
    with pytest.raises(UserError, match=r"no table 'best'. It has: start, last, step-2"):
        table_of(run, "best")
    shutil.rmtree(tables / "last")
    with pytest.raises(UserError, match=r"several tables: start, step-2. Name one"):
        table_of(run)
    shutil.rmtree(tables / "start")
    assert table_of(run) == tables / "step-2"
    shutil.rmtree(tables)
    with pytest.raises(UserError, match="this run has no embeddings"):
        table_of(run)
    with pytest.raises(UserError, match="neither a run nor an embedding table"):
        table_of(tmp_path)
