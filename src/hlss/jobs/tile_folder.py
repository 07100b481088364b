"""The folder that `hlss tile` fills, and what in it says that a slide is done.

recipe.json              settings, their key, and the root of the slides
patches/NAME_patches.h5  coordinates, TRIDENT's layout
tiles/NAME.parquet       the same with each tile's share of tissue and place in the grid
pictures/NAME.jpg        thumbnail, tissue, tiles
done/NAME.json           written last: the slide, its grid, and what both were made of
problems/NAME.json       why a slide has none
index.parquet            a row a slide, once all are done
problems.json            all problems, a list
claims/                  which process cuts which slide just now
"""

import json
import time
from base64 import b64encode
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import Any

from hlss.cohorts.cut import IDENTITY
from hlss.errors import UserError
from hlss.files import write_json
from hlss.jobs.tile_cut import Cut
from hlss.jobs.tile_recipe import TileRecipe
from hlss.jobs.tile_slides import SlideFile
from hlss.slides.base import Slide

Record = dict[str, Any]


@dataclass(frozen=True)
class TileFolder:
    """Paths in it, and its records. key: of the recipe that everything in it was made with."""

    path: Path
    key: str

    def patches(self, name: str) -> Path:
        return self.path / "patches" / f"{name}_patches.h5"

    def tiles(self, name: str) -> Path:
        return self.path / "tiles" / f"{name}.parquet"

    def picture(self, name: str) -> Path:
        return self.path / "pictures" / f"{name}.jpg"

    def done(self, name: str) -> Path:
        return self.path / "done" / f"{name}.json"

    def problem(self, name: str) -> Path:
        return self.path / "problems" / f"{name}.json"

    @property
    def claims(self) -> Path:
        return self.path / "claims"

    @property
    def index(self) -> Path:
        return self.path / "index.parquet"

    def is_done(self, slide: SlideFile) -> bool:
        """Whether the slide, as it is now, was cut with this recipe; what is merely said of it may have changed, and
        is then written anew.
        """
        record = _record(self.done(slide.name))
        if record is None or not slide.hash:
            return False
        if (record["recipe"], record["hash"], record["mpp_given"]) != (self.key, slide.hash, slide.mpp):
            return False
        said = _said(slide)
        if {key: record[key] for key in said} != said:
            write_json(self.done(slide.name), record | said)
        return True

    def note_done(self, slide: SlideFile, opened: Slide, found: Cut, seconds: float) -> None:
        """Say, last of all, that the slide is done."""
        cells = found.grid
        record = {
            "name": slide.name,
            **_said(slide),
            "hash": slide.hash,
            "recipe": self.key,
            "mpp": opened.mpp,
            "mpp_given": slide.mpp,
            "size_px0": list(opened.size_px0),
            "tile_px0": found.tile_px0,
            "origin_px0": list(cells.origin_px0),
            "step_px0": cells.step_px0,
            "columns": cells.columns,
            "lines": cells.lines,
            "bits": None if cells.bits is None else b64encode(cells.bits.tobytes()).decode(),
            "n_tiles": cells.n,
            "tissue_share": round(float(found.mask.mean()), 6),
            "seconds": round(seconds, 3),
        }
        write_json(self.done(slide.name), record)
        self.problem(slide.name).unlink(missing_ok=True)

    def note_problem(self, slide: SlideFile, reason: str) -> None:
        """Say why the slide has no tiles; what there was of it is not done any more."""
        self.done(slide.name).unlink(missing_ok=True)
        record = {"slide": slide.name, "path": slide.path, "reason": reason, "recipe": self.key, "hash": slide.hash}
        write_json(self.problem(slide.name), record)

    def problem_since(self, slide: SlideFile, earliest: float) -> bool:
        """Whether a problem with the slide, as it is now, was noted at `earliest` (of a file's clock) or later."""
        path = self.problem(slide.name)
        record = _record(path)
        if record is None or (record["recipe"], record["hash"]) != (self.key, slide.hash):
            return False
        with suppress(FileNotFoundError):
            return path.stat().st_mtime >= earliest
        return False

    def records(self, slides: Iterable[SlideFile]) -> Iterator[tuple[SlideFile, Record | None, Record | None]]:
        """Of each slide what says that it is done, and its problem; at most one of them."""
        for slide in slides:
            done = _record(self.done(slide.name))
            if done is not None and done["recipe"] != self.key:
                done = None
            yield slide, done, None if done is not None else _record(self.problem(slide.name))

    def sweep(self, name: str) -> None:
        """Remove what a killed process left of this slide under temporary names: for who has claimed it."""
        for path in (self.patches(name), self.tiles(name), self.picture(name), self.done(name), self.problem(name)):
            for left in path.parent.glob(f".{escape(path.name)}.*.tmp"):
                left.unlink(missing_ok=True)

    def sweep_own(self, age_s: float = 3600.0) -> None:
        """Remove what was left so of the files over all slides, which several processes may write at once, so long ago
        that none is at it.
        """
        for left in self.path.glob(".*.tmp"):
            with suppress(FileNotFoundError):
                if time.time() - left.stat().st_mtime > age_s:
                    left.unlink()


def opened_folder(path: Path, root: Path, recipe: TileRecipe) -> TileFolder:
    """The output folder, made where there is none. Raises UserError where anything else fills it."""
    here: Record = {"key": recipe.key, "root": str(root.resolve()), "mpp": recipe.at_mpp}
    here["recipe"] = recipe.model_dump(mode="json")
    said = path / "recipe.json"
    there = _record(said)
    if there is None and path.is_dir() and any(not inside.name.startswith(".") for inside in path.iterdir()):
        there = _record(said)  # another process may have written it meanwhile
        if there is None:
            raise UserError("the output folder holds something else", where=path, fix="Choose another.")
    if there is not None and there["key"] != recipe.key:
        what = f"was filled with another recipe ({_differences(there['recipe'], here['recipe'])})"
        raise UserError(what, where=path, fix="Choose another --out, or give the same settings.")
    if there != here:
        write_json(said, here)
    return TileFolder(path, recipe.key)


def _said(slide: SlideFile) -> Record:
    return {"path": slide.path} | {key: slide.who.get(key, "") for key in IDENTITY}


def _record(path: Path) -> Record | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UserError(
            f"cannot be read: {error}", where=path, fix="Delete it, and run the same command again."
        ) from error
    return found if isinstance(found, dict) else None


def _differences(there: Record, here: Record) -> str:
    old, new = _flat(there), _flat(here)
    changed = [key for key in sorted({*old, *new}) if old.get(key) != new.get(key)]
    return ", ".join(f"{key} was {old.get(key)}, now {new.get(key)}" for key in changed) or "another version of hlss"


def _flat(settings: Record, prefix: str = "") -> Record:
    flat: Record = {}
    for key, value in settings.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat
