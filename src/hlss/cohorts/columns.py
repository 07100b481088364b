"""A CSV or Parquet table as columns of strings: nothing is guessed, "007" and "NA" stay what they are."""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hlss.errors import UserError

# The field's names for one thing, compared without case, spaces, hyphens and underscores.
ALIASES: dict[str, tuple[str, ...]] = {
    "patient_id": ("patientid", "patient", "caseid", "case", "subjectid", "subject"),
    "slide_id": ("slideid", "slide", "slidename"),
    "path": ("path", "filename", "file", "filepath", "image", "imagepath", "imagefile", "wsi", "wsipath"),
    "label": ("label", "class", "category"),
    "split": ("split", "subset", "partition"),
    "site": ("site", "center", "centre", "institution", "tissuesourcesite"),
    "mpp": ("mpp", "spacing", "micronsperpixel", "umperpx"),
    "width": ("width", "widthpx"),
    "height": ("height", "heightpx"),
}


Raw = tuple[list[str], list[list[str]], list[str]]  # names, columns, places


@dataclass(frozen=True)
class Table:
    """Columns by name, all strings ("" where a cell is empty); `places` says what each row is called in a message."""

    path: Path
    columns: Mapping[str, Sequence[str]]
    places: Sequence[str]

    def __len__(self) -> int:
        return len(self.places)

    def where(self, row: int) -> str:
        """`cases.csv line 7`: a row as its author finds it."""
        return f"{self.path} {self.places[row]}"

    def get(self, name: str, row: int) -> str:
        """A cell; "" where the column is missing."""
        column = self.columns.get(name)
        return column[row] if column is not None else ""


def read_table(path: Path, renamed: Mapping[str, str]) -> Table:
    """Read a table; columns known by an alias get the canonical name. `renamed`: canonical name → column, by hand.

    Raises UserError for a file that is missing, empty, ragged, or neither CSV nor Parquet, for a column given twice,
    and for two columns that mean the same.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError("there is no such manifest", where=path, fix="Check the path.")
    parquet = path.suffix.lower() in (".parquet", ".pq")
    names, columns, places = _read_parquet(path) if parquet else _read_csv(path)
    if not places:
        fix = "Give it a line of column names and a line for each image."
        raise UserError("the manifest is empty", where=path, fix=fix)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"column {twice[0]!r} stands twice", where=path, fix="Remove one of the two.")
    return Table(path, _canonical(dict(zip(names, columns, strict=True)), renamed, path), places)


def _canonical(columns: dict[str, Sequence[str]], renamed: Mapping[str, str], path: Path) -> dict[str, Sequence[str]]:
    missing = [column for column in renamed.values() if column not in columns]
    if missing:
        raise UserError(f"has no column {missing[0]!r}", where=path, fix=f"It has: {', '.join(columns)}.")
    result = dict(columns)
    for field, aliases in ALIASES.items():
        means = [name for name in columns if _plain(name) in aliases and name not in renamed.values()]
        chosen = [renamed[field]] if field in renamed else means
        if len(chosen) > 1:
            raise UserError(
                f"columns {chosen[0]!r} and {chosen[1]!r} both mean {field}",
                where=path,
                fix=f"Remove one, or say which: cohort.columns={{{field}: {chosen[0]}}}.",
            )
        if chosen:
            result[field] = columns[chosen[0]]
        elif field in result:  # a column of this very name was given another meaning by hand
            del result[field]
    return result


def _plain(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())


def _read_csv(path: Path) -> Raw:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header = file.readline()
            file.seek(0)
            reader = csv.reader(file, delimiter=max(",;\t", key=header.count), strict=True)
            rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if any(row)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"cannot be read as CSV: {error}", where=path, fix="Save it as UTF-8 CSV.") from error
    if not rows:
        return [], [], []
    (_, names), *rows = rows
    for line, row in rows:
        if len(row) != len(names):
            found = f"line {line} has {len(row)} fields, the line of column names {len(names)}"
            raise UserError(found, where=path, fix="Quote values that hold a comma.")
    columns = [[row[i] for _, row in rows] for i in range(len(names))]
    return names, columns, [f"line {line}" for line, _ in rows]


def _read_parquet(path: Path) -> Raw:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"cannot be read as Parquet: {error}", where=path) from error
    for field in table.schema:
        if _plain(field.name) in (*ALIASES["patient_id"], *ALIASES["slide_id"]) and pa.types.is_floating(field.type):
            fix = "Store it as strings: 7.0 is no id."
            raise UserError(f"column {field.name!r} holds floating-point numbers", where=path, fix=fix)
    columns = [[_text(value) for value in column.to_pylist()] for column in table.columns]
    return table.column_names, columns, [f"row {row}" for row in range(1, table.num_rows + 1)]


def _text(value: Any) -> str:
    missing = value is None or (isinstance(value, float) and math.isnan(value))
    return "" if missing else str(value).strip()
