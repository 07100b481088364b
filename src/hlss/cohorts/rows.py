"""The rows of a manifest, checked one question at a time; each error names the line and the remedy."""

import math
from collections.abc import Sequence
from pathlib import Path, PurePath

from hlss.cohorts.build import ImageRow
from hlss.cohorts.columns import Table
from hlss.errors import Unreadable, UserError
from hlss.slides.decode import read_size

TOLD = ("label", "site", "split")  # of a slide, beside its patient


def filtered(table: Table, where: dict[str, list[str]]) -> list[int]:
    """Rows whose columns hold one of the values asked for. A column or value that the table lacks is an error."""
    rows = list(range(len(table)))
    for column, values in where.items():
        if column not in table.columns:
            fix = f"It has: {', '.join(table.columns)}."
            raise UserError(f"cohort.where names column {column!r}, which it lacks", where=table.path, fix=fix)
        cells = table.columns[column]
        absent = [value for value in values if value not in cells]
        if absent:
            known = ", ".join(sorted(set(cells))[:12])
            what = f"cohort.where asks for {column} {absent[0]!r}, which no row has"
            raise UserError(what, where=table.path, fix=f"Known: {known}.")
        rows = [row for row in rows if cells[row] in values]
    if not rows:
        raise UserError("no row is left by cohort.where", where=table.path, fix="Widen the filter.")
    return rows


def refuse_lacking(table: Table, needed: Sequence[str]) -> None:
    """Raises UserError for a column that is needed and not there."""
    for name in needed:
        if name not in table.columns:
            known = f"It has: {', '.join(table.columns)}. Rename one, or say which: cohort.columns={{{name}: …}}."
            raise UserError(f"has no column for {name}", where=table.path, fix=known)


def refuse_blank(table: Table, row: int, needed: Sequence[str]) -> None:
    """Raises UserError for a cell that is needed and empty."""
    for name in needed:
        if not table.get(name, row):
            raise UserError(f"{name} is empty", where=table.where(row), fix="Fill it in or remove the row.")


def refuse_blank_or_twice(table: Table, rows: Sequence[int]) -> None:
    """Raises UserError for a row without patient or path, and for an image listed twice."""
    seen: dict[str, int] = {}
    for row in rows:
        refuse_blank(table, row, ("patient_id", "path"))
        path = str(PurePath(table.get("path", row)))
        if path in seen:
            what = f"image {path!r} is listed before, in {table.where(seen[path])}"
            raise UserError(what, where=table.where(row), fix="Remove one of the two rows.")
        seen[path] = row


def slide_ids(table: Table, rows: Sequence[int]) -> dict[int, str]:
    """slide_id where there is one; else the file's name, or its whole path where names repeat."""
    paths = {row: PurePath(table.get("path", row)) for row in rows}
    stems = [path.stem for path in paths.values()]
    unique = len(set(stems)) == len(stems)
    own = {row: path.stem if unique else str(path.with_suffix("")) for row, path in paths.items()}
    return {row: table.get("slide_id", row) or own[row] for row in rows}


def refuse_shared_slides(table: Table, rows: Sequence[int], slides: dict[int, str]) -> None:
    """Raises UserError for a slide of two patients."""
    owner: dict[str, int] = {}
    for row in rows:
        first = owner.setdefault(slides[row], row)
        mine, theirs = table.get("patient_id", row), table.get("patient_id", first)
        if mine != theirs:
            raise UserError(
                f"slide {slides[row]!r} belongs to patient {mine!r} here and to {theirs!r} in {table.where(first)}",
                where=table.where(row),
                fix="Correct the patient, or make slide ids unique, as in patient/slide.",
            )


def refuse_missing(table: Table, rows: Sequence[int], root: Path) -> None:
    """Raises UserError that counts the files which are not there, and names the first."""
    missing = sorted(table.get("path", row) for row in rows if not (root / table.get("path", row)).is_file())
    if missing:
        listed = ", ".join(missing[:3]) + (", …" if len(missing) > 3 else "")
        fix = "Correct the paths, or set cohort.root= to the folder they start from."
        raise UserError(
            f"{len(missing)} of {len(rows)} images are not below {root}: {listed}", where=table.path, fix=fix
        )


def read_sizes(
    table: Table, rows: Sequence[int], root: Path
) -> tuple[dict[int, tuple[int, int]], tuple[tuple[str, str], ...]]:
    """(width, height) of each readable image, from the table or else from its header; and what cannot be read."""
    sizes: dict[int, tuple[int, int]] = {}
    problems = []
    for row in rows:
        path = root / table.get("path", row)
        width, height = number(table, "width", row), number(table, "height", row)
        try:
            if path.stat().st_size == 0:
                raise Unreadable(path, "the file is empty")
            sizes[row] = (int(width), int(height)) if width and height else read_size(path)
        except Unreadable as error:
            problems.append((error.path, error.reason))
    return sizes, tuple(problems)


def rows_of_slides(table: Table, where: dict[str, list[str]]) -> list[int]:
    """Rows of a table of slides, filtered, a slide each. Raises UserError for a column that is missing or a cell that
    is empty, and for a slide listed twice.
    """
    needed = ("patient_id", "slide_id")
    refuse_lacking(table, needed)
    rows, seen = filtered(table, where), dict[str, int]()
    for row in rows:
        refuse_blank(table, row, needed)
        slide = table.get("slide_id", row)
        if slide in seen:
            what = f"slide {slide!r} is listed before, in {table.where(seen[slide])}"
            raise UserError(what, where=table.where(row), fix="Remove one of the two rows.")
        seen[slide] = row
    refuse_shared_slides(table, rows, {row: table.get("slide_id", row) for row in rows})
    return rows


def identity(table: Table, row: int, size_px0: tuple[int, int] = (0, 0)) -> ImageRow:
    """Who a row is. size_px0: (width, height) of its image, where that matters."""
    return ImageRow(
        mpp=None,
        patient=table.get("patient_id", row),
        slide=table.get("slide_id", row),
        width_px0=size_px0[0],
        height_px0=size_px0[1],
        **told(table, row),
    )


def told(table: Table, row: int) -> dict[str, str | None]:
    """Label, site and split of a row; None where its cell is empty."""
    return {name: table.get(name, row) or None for name in TOLD}


def number(table: Table, name: str, row: int) -> float | None:
    """A positive number from a cell, None where it is empty. Raises UserError for anything else."""
    text = table.get(name, row)
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise UserError(f"{name} {text!r} is no positive number", where=table.where(row), fix="Correct or empty it.")
    return value


def too_many_unreadable(problems: Sequence[tuple[str, str]], of: int, allowed: float, where: object) -> UserError:
    """The error that counts unreadable images, and names the first with their reasons."""
    listed = "; ".join(f"{path}: {reason}" for path, reason in problems[:3])
    what = f"{len(problems)} of {of} images cannot be read, more than max_unreadable={allowed:g} allows ({listed})"
    return UserError(what, where=where, fix="Repair or remove them, or raise max_unreadable.")
