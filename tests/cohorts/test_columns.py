import math
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hlss.cohorts.columns import read_table
from hlss.errors import UserError


@pytest.fixture
def table(tmp_path: Path):
    def read(text: str | bytes, renamed: dict[str, str] | None = None, name: str = "m.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_table(path, renamed or {})

    return read


def test_nothing_is_guessed(table) -> None:
    read = table("patient_id,path,label\n007,a.png,NA\n1e3,b.png,\nnull,c.png,1.0\n")
    assert list(read.columns["patient_id"]) == ["007", "1e3", "null"]
    assert list(read.columns["label"]) == ["NA", "", "1.0"]


@pytest.mark.parametrize(
    ("header", "field"),
    [
        ("case_id", "patient_id"), ("PATIENT", "patient_id"), ("Case", "patient_id"), ("Patient ID", "patient_id"),
        ("FILENAME", "path"), ("wsi", "path"), ("image_path", "path"), ("file", "path"), ("Image", "path"),
        ("slide", "slide_id"), ("spacing", "mpp"), ("class", "label"), ("center", "site"),
    ],
)  # fmt: skip
def test_aliases_are_known_whatever_their_case(table, header: str, field: str) -> None:
    assert table(f"{header}\nvalue\n").get(field, 0) == "value"


def test_bom_semicolons_quotes_blank_lines_and_spaces_are_read(table) -> None:
    read = table('\ufeffpatient_id;path;note\n\n "7" ;a b.png;"x;y"\n')
    assert (read.get("patient_id", 0), read.get("path", 0), read.get("note", 0)) == ('"7"', "a b.png", "x;y")
    assert read.where(0).endswith("m.csv line 3")


def test_two_columns_of_one_meaning_are_named(table) -> None:
    with pytest.raises(UserError, match=r"'wsi' and 'image_path' both mean path.*cohort\.columns"):
        table("patient,wsi,image_path\n1,2,3\n")


def test_meaning_given_by_hand_wins(table) -> None:
    read = table("patient,wsi,image_path\n1,2,3\n", {"path": "image_path", "slide_id": "wsi"})
    assert (read.get("slide_id", 0), read.get("path", 0)) == ("2", "3")
    moved = table("patient_id,path,file\n1,2,3\n", {"path": "file", "slide_id": "path"})
    assert (moved.get("slide_id", 0), moved.get("path", 0)) == ("2", "3")
    bare = table("patient_id,site\n1,2\n", {"label": "site"})
    assert (bare.get("label", 0), bare.get("site", 0)) == ("2", "")


BAD = {
    "empty": (b"", "is empty"),
    "header alone": (b"patient_id,path\n", "is empty"),
    "ragged": (b"patient_id,path\n1,a.png\n\n2,b.png,c\n", "line 4 has 3 fields, the line of column names 2"),
    "twice": (b"path,path\n1,2\n", "column 'path' stands twice"),
    "not text": (b"\xff\xfe\x00\x01", "cannot be read as CSV"),
    "open quote": (b'patient_id,path\n"1,a.png\n', "cannot be read as CSV"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_tables_get_one_line_that_names_the_file(table, name: str) -> None:
    data, message = BAD[name]
    with pytest.raises(UserError, match=message) as caught:
        table(data)
    assert "m.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_file_and_unknown_column_are_named(table, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such manifest"):
        read_table(tmp_path / "gone.csv", {})
    with pytest.raises(UserError, match=r"no column 'block'\. It has: a, b"):
        table("a,b\n1,2\n", {"slide_id": "block"})


def test_parquet_is_read_as_strings(tmp_path: Path) -> None:
    columns = {"PATIENT": [7, 8], "FILENAME": ["a.png", None], "mpp": [0.25, math.nan]}
    path = tmp_path / "m.parquet"
    pq.write_table(pa.table(columns), path)
    read = read_table(path, {})
    assert list(read.columns["patient_id"]) == ["7", "8"]
    assert list(read.columns["path"]) == ["a.png", ""]
    assert list(read.columns["mpp"]) == ["0.25", ""]
    assert read.where(1).endswith("m.parquet row 2")


def test_floating_ids_and_damaged_parquet_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.parquet"
    pq.write_table(pa.table({"patient_id": [7.0]}), path)
    with pytest.raises(UserError, match="floating-point"):
        read_table(path, {})
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(UserError, match="cannot be read as Parquet"):
        read_table(path, {})
