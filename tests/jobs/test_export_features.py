"""Features taken away: what the other tools' own readers find is the table."""

import csv
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest
from stored_features import table
from typer.testing import CliRunner

from hlss.cli import app
from hlss.cohorts.features_hdf5 import FeaturesHdf5Spec
from hlss.cohorts.splits import SplitSpec, split
from hlss.embedding_table import EmbeddingTable
from hlss.errors import UserError
from hlss.jobs.export_features import export_features

FACTS = {"method": "m · last", "tile_px": 50, "mpp": 0.5, "seed": 3, "view": None, "notices": ["a", "b"]}


def shuffled(one: EmbeddingTable, **columns: np.ndarray) -> EmbeddingTable:
    """Rows of a slide need not stand together."""
    order = np.random.default_rng(5).permutation(len(one))
    kept = {name: column[order] for name, column in {**one.columns, **columns}.items()}
    return EmbeddingTable(one.features[order], kept, FACTS)


@pytest.fixture
def stored(tmp_path: Path) -> EmbeddingTable:
    """A table of 16 slides scanned at 0.25 µm/px, at `table`."""
    made = shuffled(table(), mpp0=np.full(96, "0.25", dtype=object))
    made.write(tmp_path / "table")
    return made


def test_trident_has_a_file_a_slide_with_what_is_known(tmp_path: Path, stored: EmbeddingTable):
    out = export_features(tmp_path / "table", "trident", tmp_path / "out")
    assert sorted(path.name for path in out.iterdir()) == [*(f"s{i:02d}.h5" for i in range(16)), "slides.csv"]
    of = stored["slide"] == "s07"
    with h5py.File(out / "s07.h5") as file:
        assert sorted(file) == ["coords", "features"]
        assert (file["features"].dtype, file["coords"].dtype) == (np.float32, np.int64)
        np.testing.assert_array_equal(file["features"], stored.features[of])
        np.testing.assert_array_equal(file["coords"], np.stack([stored["x_px0"][of], stored["y_px0"][of]], axis=1))
        assert dict(file["features"].attrs) == {"name": "s07", "savetodir": str(out)}
        assert dict(file["coords"].attrs) == {
            "patch_size": 50,
            "patch_size_level0": 100,
            "level0_magnification": 40,
            "target_magnification": 20,
            "overlap": 0,
            "name": "s07",
            "savetodir": str(out),
        }


def test_what_is_not_known_is_left_out(tmp_path: Path):
    table().write(tmp_path / "table")
    out = export_features(tmp_path / "table", "trident", tmp_path / "out")
    with h5py.File(out / "s00.h5") as file:
        assert set(file["coords"].attrs) == {"name", "savetodir"}


def test_trident_is_read_back_as_the_same_table(tmp_path: Path, stored: EmbeddingTable):
    out = export_features(tmp_path / "table", "trident", tmp_path / "out")
    cohort = FeaturesHdf5Spec(manifest=out / "slides.csv", folder=out).open()
    found = {}
    for side, part in split(cohort, SplitSpec(kind="given")).items():
        rows = np.arange(part.n_tiles)
        who = (part.tile_patient(rows), part.tile_slide(rows), part.tile_site(rows), part.tile_label(rows))
        names = (part.patients, part.slides, part.sites, part.classes)
        for row, feature in enumerate(part.features(rows)):
            identity = tuple(known[int(number[row])] for known, number in zip(names, who, strict=True))
            found[(*identity, side, *part.tile_xy_px0(np.array([row]))[0].tolist())] = feature
    assert len(found) == len(stored) == 96
    columns = ("patient", "slide", "site", "label", "side", "x_px0", "y_px0")
    for row, feature in enumerate(stored.features):
        np.testing.assert_array_equal(found[tuple(stored[name][row] for name in columns)], feature)


def test_ids_that_are_no_file_names_are_made_some(tmp_path: Path):
    made = table()
    slide = np.where(made["slide"] == "s00", "p0/s", np.where(made["slide"] == "s01", "p0:s", made["slide"]))
    replace(made, columns={**made.columns, "slide": slide.astype(object)}).write(tmp_path / "table")
    out = export_features(tmp_path / "table", "trident", tmp_path / "out")
    with (out / "slides.csv").open() as file:
        listed = [row["slide_id"] for row in csv.DictReader(file)]
    assert len(set(listed)) == len(listed) == 16
    assert {f"{name}.h5" for name in listed} == {path.name for path in out.glob("*.h5")}


def test_slides_of_several_images_have_no_frame_of_their_own(tmp_path: Path):
    made = table()
    images = np.array([f"{name}{row % 2}" for row, name in enumerate(made["image"])], dtype=object)
    replace(made, columns={**made.columns, "image": images}).write(tmp_path / "table")
    with pytest.raises(UserError, match="slide 's00' has 2 images"):
        export_features(tmp_path / "table", "trident", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert export_features(tmp_path / "table", "parquet", tmp_path / "t.parquet").is_file()


def test_parquet_is_one_file_with_all_of_it(tmp_path: Path, stored: EmbeddingTable, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("hlss.jobs.export_features._ROWS", 40)
    found = pq.read_table(export_features(tmp_path / "table", "parquet", tmp_path / "deep" / "t.parquet"))
    assert found["features"].type.list_size == 12
    np.testing.assert_array_equal(np.array(found["features"].to_pylist(), dtype=np.float32), stored.features)
    for name, column in stored.columns.items():
        assert found[name].to_pylist() == column.tolist()
    assert b'"tile_px": 50' in found.schema.metadata[b"hlss"]


def test_anndata_is_read_by_its_own_library(tmp_path: Path, stored: EmbeddingTable):
    anndata = pytest.importorskip("anndata", reason="the extra `anndata` is not installed")
    found = anndata.read_h5ad(export_features(tmp_path / "table", "anndata", tmp_path / "t.h5ad"))
    np.testing.assert_array_equal(found.X, stored.features)
    np.testing.assert_array_equal(found.obsm["spatial"], np.stack([stored["x_px0"], stored["y_px0"]], axis=1))
    for name in ("patient", "slide", "site", "image", "label", "side", "mpp0"):
        assert found.obs[name].tolist() == stored[name].tolist()
    assert found.obs_names.is_unique
    facts = found.uns["hlss"]
    assert (facts["method"], facts["tile_px"], facts["mpp"], facts["notices"]) == ("m · last", 50, 0.5, '["a", "b"]')
    assert "view" not in facts


def test_without_anndata_it_says_what_to_install(tmp_path: Path, stored, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "anndata", None)
    with pytest.raises(UserError, match=r"pip install 'hlss\[anndata\]'"):
        export_features(tmp_path / "table", "anndata", tmp_path / "t.h5ad")


def test_a_run_stands_for_its_last_table(tmp_path: Path, stored: EmbeddingTable):
    run = tmp_path / "run"
    stored.where(stored["side"] == "test").write(run / "embeddings" / "start")
    assert pq.read_metadata(export_features(run, "parquet", tmp_path / "a.parquet")).num_rows == 24
    stored.write(run / "embeddings" / "best")
    with pytest.raises(UserError, match="several tables: start, best"):
        export_features(run, "parquet", tmp_path / "b.parquet")
    stored.write(run / "embeddings" / "last")
    assert pq.read_metadata(export_features(run, "parquet", tmp_path / "b.parquet")).num_rows == 96


def test_what_stands_there_is_not_written_over(tmp_path: Path, stored: EmbeddingTable):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    for kind in ("trident", "parquet"):
        with pytest.raises(UserError, match="full: this is"):
            export_features(tmp_path / "table", kind, tmp_path / "full")
    assert (tmp_path / "full" / "thesis.txt").read_text() == "mine"
    (tmp_path / "none" / "embeddings").mkdir(parents=True)
    with pytest.raises(UserError, match="no embeddings"):
        export_features(tmp_path / "none", "trident", tmp_path / "x")
    with pytest.raises(UserError, match="neither a run nor an embedding table"):
        export_features(tmp_path / "nowhere", "trident", tmp_path / "x")


def test_the_command_says_where_it_lies(tmp_path: Path, stored: EmbeddingTable):
    arguments = ["export", "features", str(tmp_path / "table"), "--as", "trident", "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    assert result.output.strip() == f"Output: {tmp_path / 'out'}"
