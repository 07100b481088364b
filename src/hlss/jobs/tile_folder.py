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

from base64 import b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hlss.cohorts.cut import IDENTITY
from hlss.errors import UserError
from hlss.files import write_json
from hlss.jobs.notes import Record, note, said_since, sweep_begun
from hlss.jobs.tile_cut import Cut
from hlss.jobs.tile_recipe import TileRecipe
from hlss.jobs.tile_slides import SlideFile
from hlss.slides.base import Slide


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
        record = note(self.done(slide.name))
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
        return said_since(self.problem(slide.name), {"recipe": self.key, "hash": slide.hash}, earliest)

    def records(self, slides: Iterable[SlideFile]) -> Iterator[tuple[SlideFile, Record | None, Record | None]]:
        """Of each slide what says that it is done, and its problem; at most one of them."""
        for slide in slides:
            done = note(self.done(slide.name))
            if done is not None and done["recipe"] != self.key:
                done = None
            yield slide, done, None if done is not None else note(self.problem(slide.name))

    def sweep(self, name: str) -> None:
        """Remove what a killed process left of this slide under temporary names: for who has claimed it."""
        kinds = (self.patches, self.tiles, self.picture, self.done, self.problem)
        sweep_begun(kind(name) for kind in kinds)


def opened_folder(path: Path, root: Path, recipe: TileRecipe) -> TileFolder:
    """The output folder, made where there is none. Raises UserError where anything else fills it."""
    here: Record = {"key": recipe.key, "root": str(root.resolve()), "mpp": recipe.at_mpp}
    here["recipe"] = recipe.model_dump(mode="json")
    said = path / "recipe.json"
    there = note(said)
    if there is None and path.is_dir() and any(not inside.name.startswith(".") for inside in path.iterdir()):
        there = note(said)  # another process may have written it meanwhile
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


def _differences(there: Record, here: Record) -> str:
    old, new = _flat(there), _flat(here)
    changed = [key for key in sorted({*old, *new}) if old.get(key) != new.get(key)]
    return ", ".join(f"{key} was {old.get(key)}, now {new.get(key)}" for key in changed) or "another version of hlss"


def _flat(settings: Record, prefix: str = "") -> Record:
    flat: Record = {}
    for key, value in settings.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat
