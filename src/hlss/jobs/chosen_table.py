"""The embedding tables that are meant where a run, or a table itself, is named."""

from pathlib import Path

from hlss.embedding_table import IDS_FILE
from hlss.errors import UserError

START, LAST = "start", "last"
_CONFIG = "config.yaml"


def is_run(folder: Path) -> bool:
    """Whether a folder is that of a training run."""
    return (folder / _CONFIG).is_file()


def tables_of(what: Path) -> list[Path]:
    """The folder itself where it is a table; of a run all its tables, the start first: what others are compared with.

    Raises UserError where it is neither, or the run has no table.
    """
    what = Path(what)
    if (what / IDS_FILE).is_file():
        return [what]
    if not is_run(what) and not (what / "embeddings").is_dir():
        fix = "Give a run's folder, or a table in it: RUN/embeddings/NAME."
        raise UserError("neither a run nor an embedding table", where=what, fix=fix)
    found = [file.parent for file in what.glob(f"embeddings/*/{IDS_FILE}")]
    if not found:
        raise UserError("this run has no embeddings", where=what, fix=f"Run `hlss embed {what}` first.")
    return sorted(found, key=lambda folder: (folder.name != START, folder.name))


def table_of(what: Path, name: str | None = None) -> Path:
    """The folder itself where it is a table and none is named; of a run the table of this name [`last`, or its only
    one].

    Raises UserError as `tables_of`, and where there is none of the name, or several and none is `last`.
    """
    known = {folder.name: folder for folder in tables_of(what)}
    if name is None and len(known) == 1:
        return next(iter(known.values()))
    if name is None and LAST not in known:
        fix = "Name one: RUN/embeddings/NAME."
        raise UserError(f"this run has several tables: {', '.join(known)}", where=what, fix=fix)
    if (name or LAST) not in known:
        raise UserError(f"this run has no table {name!r}", where=what, fix=f"It has: {', '.join(known)}.")
    return known[name or LAST]
