"""The embedding tables that are meant where a run, or a table itself, is named; and with what they were embedded."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hlss.config import read_settings
from hlss.embedding_table import IDS_FILE, SETTINGS_FILE, stored_provenance
from hlss.errors import UserError
from hlss.experiment import Experiment

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


def home_of(what: Path) -> Path:
    """Where output about a run or a table belongs: the run's folder; of a table apart, the folder that it lies in."""
    what = Path(what).resolve()
    if is_run(what):
        return what
    return what.parent.parent if is_run(what.parent.parent) else what.parent


def settings_of(folder: Path, provenance: Mapping[str, Any], known: Sequence[Path] = ()) -> Path:
    """The settings that a table was embedded with: those of the run that it lies in; its own where it was embedded with
    others (as another cohort) or lies apart; of an older one apart, as `hlss table` leaves those of starts, those of
    the run with their hash, of the runs known or of those in the folder that it lies in. Raises UserError.
    """
    hashed, own, run = provenance.get("config_hash"), folder / SETTINGS_FILE, folder.resolve().parent.parent
    if is_run(run) and (not own.is_file() or _hash(run / _CONFIG) == hashed):
        return run / _CONFIG
    if own.is_file():
        return own
    for other in dict.fromkeys([*known, *sorted(folder.resolve().parent.iterdir())]):
        if is_run(other) and _hash(other / _CONFIG) == hashed:
            return other / _CONFIG
    fix = "Words want a table in its run's folder, RUN/embeddings/NAME, or one that this version embedded."
    raise UserError("no run beside this table, so no text tower", where=folder, fix=fix)


def experiment_of(folder: Path) -> Experiment:
    """The settings that a table was embedded with; its features are not read. Raises UserError."""
    return read_settings(settings_of(folder, stored_provenance(folder)), Experiment)


def _hash(config: Path) -> str:
    return read_settings(config, Experiment).hash
