"""The folder that `hlss embed --per-slide` fills.

NAME.h5                 features of a slide, written whole, with the key of what they were made of
problems/NAME.json      why a slide has none
norms-KEY.safetensors   statistics of batch norms that were taken anew, the same for all processes
claims/                 which process embeds which slide just now
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hlss.errors import UserError
from hlss.evaluate.by_slide import SlideWork
from hlss.evaluate.slide_files import stored_key
from hlss.files import write_json
from hlss.jobs.notes import Record, begun_in, note, said_since, sweep_begun


@dataclass(frozen=True)
class SlideFolder:
    """Paths in it, and what it says of slides."""

    path: Path

    @property
    def claims(self) -> Path:
        return self.path / "claims"

    def claim(self, work: SlideWork) -> Path:
        return self.claims / work.path.stem

    def is_done(self, work: SlideWork) -> bool:
        """Whether the slide has a file of these weights, tiles and view."""
        return stored_key(work.path) == work.key

    def note_problem(self, work: SlideWork, reason: str, unreadable: Mapping[str, str]) -> None:
        """Say why the slide has no features. unreadable: tiles, (image at x, y) → reason."""
        said = {"slide": work.slide, "reason": reason, "unreadable": dict(unreadable), "key": work.key}
        write_json(self._problem(work), said)

    def forget_problem(self, work: SlideWork) -> None:
        self._problem(work).unlink(missing_ok=True)

    def problem(self, work: SlideWork) -> Record | None:
        """What was noted of the slide with these weights, tiles and view."""
        said = note(self._problem(work))
        return said if said is not None and said["key"] == work.key else None

    def problem_since(self, work: SlideWork, earliest: float) -> bool:
        """Whether it was noted at `earliest` (of a file's clock) or later."""
        return said_since(self._problem(work), {"key": work.key}, earliest)

    def begun(self) -> frozenset[str]:
        """Slides, by the names of their files, of which something half-written lies there. To be asked once: a folder
        of many slides takes long to search.
        """
        return frozenset(Path(name).stem for name in begun_in(self.path) | begun_in(self.path / "problems"))

    def sweep(self, work: SlideWork) -> None:
        """Remove what a killed process left half-written of this slide: for who has claimed it."""
        sweep_begun((work.path, self._problem(work)))

    def _problem(self, work: SlideWork) -> Path:
        return self.path / "problems" / f"{work.path.stem}.json"


def opened_slide_folder(path: Path) -> SlideFolder:
    """The folder, made where there is none. Raises UserError where that cannot be."""
    folder = SlideFolder(path)
    if path.exists() and not path.is_dir():
        raise UserError("this is a file, not a folder", where=path, fix="Choose another one for --per-slide.")
    try:
        folder.claims.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        fix = "Choose another one for --per-slide."
        raise UserError(f"cannot be written: {error.strerror}", where=path, fix=fix) from error
    return folder
