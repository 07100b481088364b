"""What a run could not read: one table in its folder, whole at any moment, whoever adds to it."""

import csv
import fcntl
from collections.abc import Iterable, Mapping
from io import StringIO
from pathlib import Path
from typing import NamedTuple

from hlss.errors import UserError
from hlss.files import replacing

EXIT_PROBLEMS = 3  # all was done that could be, and not all could be read
TRAINING = "training"


class Problem(NamedTuple):
    """slide: the file (its path, mostly); place: x,y of a tile, level-0 px, empty for the whole file; reason: why it
    cannot be read; during: what was at work.
    """

    slide: str
    place: str
    reason: str
    during: str


class Problems:
    """`problems.csv` of a run folder. found: how many were noted through this object.

    during: what is at work, for the column of that name.
    """

    def __init__(self, folder: Path, during: str) -> None:
        self.path, self.during = Path(folder) / "problems.csv", during
        self._noted: set[Problem] = set()

    @property
    def found(self) -> int:
        return len(self._noted)

    def images(self, problems: Iterable[tuple[str, str]]) -> None:
        """Note whole files: (path, reason). Raises UserError where the table cannot be written."""
        self._add(Problem(path, "", reason, self.during) for path, reason in problems)

    def tiles(self, unreadable: Mapping[str, str]) -> None:
        """Note tiles as the loader names them: "path at x,y" → reason. Raises UserError as above."""
        self._add(Problem(*_parted(name), reason, self.during) for name, reason in unreadable.items())

    def rows(self) -> list[Problem]:
        """All that the table holds of what is at work, whoever noted it."""
        return [problem for problem in _read(self.path) if problem.during == self.during]

    def _add(self, problems: Iterable[Problem]) -> None:
        """Append what the table lacks. Several processes take turns."""
        new = {Problem(*(" ".join(field.split()) for field in problem)) for problem in problems} - self._noted
        if not new:
            return
        self._noted |= new
        try:
            self._append(new)
        except OSError as error:
            fix = "Mend that, and run the same command again."
            raise UserError(f"cannot write: {error.strerror}", where=self.path, fix=fix) from error

    def _append(self, new: set[Problem]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.with_name(".problems.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            known = _read(self.path)
            added = sorted(new - set(known))
            if added:
                with replacing(self.path) as temporary:
                    temporary.write_text(_as_csv([*known, *added]), encoding="utf-8")


def _read(path: Path) -> list[Problem]:
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [Problem(*(row.get(name) or "" for name in Problem._fields)) for row in csv.DictReader(file)]


def _as_csv(problems: Iterable[Problem]) -> str:
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(Problem._fields)
    writer.writerows(problems)
    return text.getvalue()


def _parted(name: str) -> tuple[str, str]:
    slide, _, place = name.rpartition(" at ")
    return (slide, place) if slide else (name, "")
