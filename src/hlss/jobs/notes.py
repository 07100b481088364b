"""What processes that share a folder tell each other of an item: JSON files, and what the killed left half-written."""

import json
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from glob import escape
from pathlib import Path
from typing import Any

from hlss.errors import UserError

Record = dict[str, Any]


def note(path: Path) -> Record | None:
    """What the file says; None where there is none. Raises UserError where it cannot be read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UserError(
            f"cannot be read: {error}", where=path, fix="Delete it, and run the same command again."
        ) from error
    return found if isinstance(found, dict) else None


def said_since(path: Path, facts: Mapping[str, Any], earliest: float) -> bool:
    """Whether the file says these facts, and was written at `earliest` (of a file's clock) or later."""
    found = note(path)
    if found is None or any(found.get(name) != value for name, value in facts.items()):
        return False
    with suppress(FileNotFoundError):
        return path.stat().st_mtime >= earliest
    return False


def sweep_begun(paths: Iterable[Path]) -> None:
    """Remove what a killed process left of these files under temporary names: for who has claimed them."""
    for path in paths:
        for left in path.parent.glob(f".{escape(path.name)}.*.tmp"):
            left.unlink(missing_ok=True)


def begun_in(folder: Path) -> set[str]:
    """Names of the files there of which something lies under temporary names."""
    return {left.name[1:].rsplit(".", 2)[0] for left in folder.glob(".*.*.tmp")}


def sweep_old(folder: Path, age_s: float = 3600.0) -> None:
    """Remove what was left so of files that several processes may write at once, so long ago that none is at it."""
    for left in folder.glob(".*.tmp"):
        with suppress(FileNotFoundError):
            if time.time() - left.stat().st_mtime > age_s:
                left.unlink()
