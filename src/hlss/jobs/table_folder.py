"""What stands in the folder of a run that belongs to a table: whether it is done, and how long it took."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hlss.errors import UserError
from hlss.experiment import Experiment
from hlss.files import write_json
from hlss.jobs.chosen_table import LAST
from hlss.jobs.table_spec import Planned
from hlss.train.run_folder import RECORD

_DONE, _SESSIONS = "done.json", "sessions.json"
_SIGNS_OF_LIFE = ("log.jsonl", "checkpoints", "embeddings")  # written to while a run goes on


def refuse_others(plan: Sequence[Planned]) -> None:
    """Raise UserError, naming them, where folders hold runs of other settings than the table's."""
    others = [run.folder for run in plan if _known(run.folder / RECORD, run.experiment) is False]
    if others:
        raise UserError(
            f"{len(others)} run folders hold other settings than this table's",
            where=others[0],
            fix=f"Remove them, or set another --out: {' '.join(map(str, others))}",
        )


def facts_of(experiment: Experiment) -> dict[str, Any] | None:
    """What was noted when this very run was finished and embedded; None where it is not."""
    path = experiment.folder / _DONE
    if not _known(path, experiment) or not embeddings_of(experiment).is_dir():
        return None
    facts: dict[str, Any] = json.loads(path.read_text())
    return facts if facts["embedded"] == patches(experiment) else None


def embeddings_of(experiment: Experiment) -> Path:
    """Folder of the table that a finished run's last weights make."""
    return experiment.folder / "embeddings" / LAST


def note_done(experiment: Experiment, threads: int) -> None:
    """Note that a run is finished and embedded. seconds: of all its sessions."""
    sessions = _sessions(experiment.folder)
    facts = {
        "config_hash": experiment.hash,
        "embedded": patches(experiment),
        "seconds": round(sum(sessions[:-1]) + time.time() - _began(experiment.folder), 1),
        "sessions": len(sessions),
        "threads": threads,
    }
    write_json(experiment.folder / _DONE, facts)


def begin_session(folder: Path) -> None:
    """Note that a run begins or goes on. What began before and was killed took until its last sign of life."""
    before = _sessions(folder)
    write_json(folder / _SESSIONS, {"seconds": before, "began": time.time()})


def patches(experiment: Experiment) -> list[str]:
    """Overrides that say which patches are embedded: they may have changed since the run began."""
    most = experiment.evaluate.max_patches_per_slide
    return [
        f"evaluate.max_patches_per_slide={'null' if most is None else most}",
        f"evaluate.seed={experiment.evaluate.seed}",
    ]


def _sessions(folder: Path) -> list[float]:
    """Seconds of each session so far, the last one's up to the run's last sign of life; empty before the first."""
    path = folder / _SESSIONS
    if not path.exists():
        return []
    signs = [(folder / name).stat().st_mtime for name in _SIGNS_OF_LIFE if (folder / name).exists()]
    began = _began(folder)
    seconds: list[float] = json.loads(path.read_text())["seconds"]
    return [*seconds, round(max([began, *signs]) - began, 1)]


def _began(folder: Path) -> float:
    return float(json.loads((folder / _SESSIONS).read_text())["began"])


def _known(path: Path, experiment: Experiment) -> bool | None:
    """Whether a file of a run folder is of this very experiment; None where there is none."""
    try:
        return bool(json.loads(path.read_text()).get("config_hash") == experiment.hash)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read: {error}", where=path, fix=f"Remove {path.parent}.") from error
