"""The embedding table that is meant where a run, or a table itself, is named."""

from pathlib import Path

from hlss.embedding_table import IDS_FILE
from hlss.errors import UserError

LAST = "last"


def table_of(what: Path, name: str | None = None) -> Path:
    """The folder itself where it is a table and none is named, or is no run; of a run the table of this name [`last`,
    or its only one].

    Raises UserError where the run has none, not the one named, or several without `last`.
    """
    what = Path(what)
    if name is None and ((what / IDS_FILE).is_file() or not (what / "embeddings").is_dir()):
        return what
    found = sorted(path.parent.name for path in (what / "embeddings").glob(f"*/{IDS_FILE}"))
    if not found:
        raise UserError("this run has no embeddings", where=what, fix=f"Run `hlss embed {what}` first.")
    if name is None and len(found) > 1 and LAST not in found:
        raise UserError(
            f"this run has several tables: {', '.join(found)}", where=what, fix="Name one: RUN/embeddings/NAME."
        )
    chosen = name or (LAST if LAST in found else found[0])
    if chosen not in found:
        raise UserError(f"this run has no table {chosen!r}", where=what, fix=f"It has: {', '.join(found)}.")
    return what / "embeddings" / chosen
