"""The table on disk: what is written is read, and what is broken is refused."""

import resource
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file, save_file

from hlss.embedding_table import FEATURES_FILE, IDS_FILE, EmbeddingTable
from hlss.errors import UserError


@pytest.fixture
def table(make_table) -> EmbeddingTable:
    rows = [("007", "a", "lung", "train"), ("08", "b", "", "test"), ("NA", "ß", "kidney", "val")]
    features = np.random.default_rng(0).standard_normal((3, 5))
    return make_table(rows, features, method="hlss · last", seed=3, config_hash="abc")


@pytest.fixture
def no_large_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_round_trip(table: EmbeddingTable, tmp_path: Path):
    table.write(tmp_path / "deep" / "t")
    read = EmbeddingTable.read(tmp_path / "deep" / "t")
    assert np.array_equal(read.features, table.features)
    assert read.features.dtype == np.float32
    assert dict(read.provenance) == {"method": "hlss · last", "seed": 3, "config_hash": "abc"}
    assert set(read.columns) == set(table.columns)
    for name, column in table.columns.items():
        assert read[name].tolist() == column.tolist()
    assert read["patient"].tolist() == ["007", "08", "NA"]
    assert read["x_px0"].dtype == np.int64


def test_other_programs_can_read_it(table: EmbeddingTable, tmp_path: Path):
    table.write(tmp_path / "t")
    ids = pq.read_table(tmp_path / "t" / IDS_FILE)
    assert ids["slide"].to_pylist() == ["a", "b", "ß"]
    assert np.array_equal(load_file(tmp_path / "t" / FEATURES_FILE)["features"], table.features)


def test_where_keeps_rows_together(table: EmbeddingTable):
    kept = table.where(table["side"] != "test")
    assert kept["patient"].tolist() == ["007", "NA"]
    assert np.array_equal(kept.features, table.features[[0, 2]])


def test_empty_table_round_trip(table: EmbeddingTable, tmp_path: Path):
    table.where(np.zeros(3, dtype=bool)).write(tmp_path / "t")
    assert len(EmbeddingTable.read(tmp_path / "t")) == 0


def test_null_label_is_none(table: EmbeddingTable, tmp_path: Path):
    table.write(tmp_path / "t")
    ids = pq.read_table(tmp_path / "t" / IDS_FILE)
    at = ids.column_names.index("label")
    pq.write_table(ids.set_column(at, "label", pa.array(["lung", None, None])), tmp_path / "t" / IDS_FILE)
    assert EmbeddingTable.read(tmp_path / "t")["label"].tolist() == ["lung", "", ""]


def test_written_over_an_older_one(table: EmbeddingTable, tmp_path: Path):
    table.write(tmp_path / "t")
    table.where(table["side"] == "val").write(tmp_path / "t")
    assert len(EmbeddingTable.read(tmp_path / "t")) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["t"]


def test_full_disk_leaves_the_old_one(table: EmbeddingTable, tmp_path: Path, no_large_files: None):
    table.write(tmp_path / "t")
    large = EmbeddingTable(
        np.zeros((3, 5000), dtype=np.float32), table.columns, {"notes": "x" * 9000}
    )  # both files are too large
    with pytest.raises(UserError, match="file-size limit"):
        large.write(tmp_path / "t")
    wide = EmbeddingTable(np.zeros((3, 5000), dtype=np.float32), table.columns, {})  # only the features are
    with pytest.raises(UserError, match="file-size limit"):
        wide.write(tmp_path / "t")
    assert EmbeddingTable.read(tmp_path / "t").features.shape == (3, 5)
    assert [path.name for path in tmp_path.iterdir()] == ["t"]


def test_missing(tmp_path: Path, table: EmbeddingTable):
    with pytest.raises(UserError, match=r"nowhere: no embedding table here.*hlss embed"):
        EmbeddingTable.read(tmp_path / "nowhere")
    table.write(tmp_path / "t")
    (tmp_path / "t" / FEATURES_FILE).unlink()
    with pytest.raises(UserError, match=r"features\.safetensors is missing"):
        EmbeddingTable.read(tmp_path / "t")


@pytest.mark.parametrize("name", [IDS_FILE, FEATURES_FILE])
@pytest.mark.parametrize("left", [0, 7, 100])
def test_truncated(table: EmbeddingTable, tmp_path: Path, name: str, left: int):
    table.write(tmp_path / "t")
    path = tmp_path / "t" / name
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(UserError, match="broken embedding table"):
        EmbeddingTable.read(tmp_path / "t")


def test_files_of_two_tables(table: EmbeddingTable, tmp_path: Path):
    table.write(tmp_path / "t")
    table.where(table["side"] == "val").write(tmp_path / "u")
    (tmp_path / "u" / FEATURES_FILE).replace(tmp_path / "t" / FEATURES_FILE)
    with pytest.raises(UserError, match="1 features, but 3 rows"):
        EmbeddingTable.read(tmp_path / "t")


def test_missing_column(table: EmbeddingTable, tmp_path: Path):
    table.write(tmp_path / "t")
    ids = pq.read_table(tmp_path / "t" / IDS_FILE)
    pq.write_table(ids.drop_columns(["slide", "side"]), tmp_path / "t" / IDS_FILE)
    with pytest.raises(UserError, match="columns side, slide are missing"):
        EmbeddingTable.read(tmp_path / "t")


@pytest.mark.parametrize("features", [np.zeros((3, 5)), np.zeros(3, dtype=np.float32)])
def test_wrong_features(table: EmbeddingTable, tmp_path: Path, features: np.ndarray):
    table.write(tmp_path / "t")
    save_file({"features": features}, tmp_path / "t" / FEATURES_FILE)
    with pytest.raises(UserError, match="not float32 of shape"):
        EmbeddingTable.read(tmp_path / "t")


def test_broken_provenance_and_places(table: EmbeddingTable, tmp_path: Path):
    table.write(tmp_path / "t")
    ids = pq.read_table(tmp_path / "t" / IDS_FILE)
    pq.write_table(ids.replace_schema_metadata({"hlss": "{"}), tmp_path / "t" / IDS_FILE)
    with pytest.raises(UserError, match="broken embedding table"):
        EmbeddingTable.read(tmp_path / "t")
    at = ids.column_names.index("x_px0")
    pq.write_table(ids.set_column(at, "x_px0", pa.array(["left", "1", "2"])), tmp_path / "t" / IDS_FILE)
    with pytest.raises(UserError, match="broken embedding table"):
        EmbeddingTable.read(tmp_path / "t")


def test_columns_must_fit(table: EmbeddingTable):
    with pytest.raises(ValueError, match="2 features, but 3 rows"):
        EmbeddingTable(table.features[:2], table.columns, {})
