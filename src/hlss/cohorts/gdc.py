"""A download folder of the GDC: a folder a file, named by its UUID, and the manifest that says what belongs there."""

from pathlib import Path

from hlss.cohorts.columns import Table, read_table
from hlss.errors import UserError

MANIFESTS = "gdc_manifest*.txt"


def manifest_of(root: Path) -> Path | None:
    """The manifest in or beside a download folder. Raises UserError where there are several."""
    found = sorted({*root.glob(MANIFESTS), *root.resolve().parent.glob(MANIFESTS)})
    if len(found) > 1:
        what = f"there are several manifests here, {found[0].name} and {found[1].name}"
        raise UserError(what, where=found[0].parent, fix="Say which: cohort.manifest=.")
    return found[0] if found else None


def read_manifest(path: Path) -> Table:
    """Raises UserError where it is none of the GDC's."""
    table = read_table(path, {})
    lacks = [name for name in ("id", "filename", "size") if name not in table.columns]
    if lacks:
        fix = "Take the file as the GDC portal gives it."
        raise UserError(f"is no manifest of the GDC: it has no column {lacks[0]!r}", where=path, fix=fix)
    return table


def why_incomplete(root: Path, table: Table, row: int) -> tuple[str, str] | None:
    """(path, reason) where the file of this row is not there, or not whole; sizes are compared, contents are not."""
    name = table.get("filename", row)
    below = [root / table.get("id", row) / name, root / name]
    path = next((one for one in below if one.is_file()), None)
    half = next((one for one in below if one.with_name(f"{name}.partial").is_file()), None)
    if path is None:
        where = half if half is not None else below[0]
        return str(where), "its download stopped half way" if half is not None else "it was not downloaded"
    expected = table.get("size", row)
    if not expected.isdecimal():
        raise UserError(f"size {expected!r} is no number", where=table.where(row), fix="Take the file as it was given.")
    if path.stat().st_size != int(expected):
        return str(path), f"it has {path.stat().st_size} bytes, the GDC's manifest says {expected}"
    return None
