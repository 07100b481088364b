"""What `hlss tile` left in a folder, as tables, and cohorts of it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hlss.cohorts.base import Cohort
from hlss.cohorts.build import ImageRow, cohort_of_tiles
from hlss.cohorts.slide_tiles import SlideTiles
from hlss.errors import UserError
from hlss.slides.tiles import GriddedTiles

IDENTITY = ("slide_id", "patient_id", "label", "site", "split")  # as the manifest of the slides told them


@dataclass(frozen=True, eq=False)
class CutSlides:
    """Slides and their tiles, in the order of the index.

    folder, root:   of `hlss tile`'s output; where the paths of slides start.
    tile_px, mpp:   of every tile, px and µm/px; reader: of all slides, None: by file.
    names, paths, hashes: of each slide: its files' name, its own path, its content.
    identity:       what the slides' manifest told of each, by column, "" where nothing.
    mpps, sizes_px0: µm/px and (width, height) of level 0 of each.
    """

    folder: Path
    root: Path
    tile_px: int
    mpp: float
    reader: str | None
    names: tuple[str, ...]
    paths: tuple[str, ...]
    hashes: tuple[str, ...]
    identity: Mapping[str, tuple[str, ...]]
    mpps: tuple[float, ...]
    sizes_px0: tuple[tuple[int, int], ...]
    tiles: GriddedTiles

    def refuse_other_tiles(self, tile_px: int, mpp: float | None) -> None:
        """Raises UserError where tiles of another size (0: any) or resolution (None: any) are asked for."""
        if tile_px not in (0, self.tile_px):
            what = f"holds tiles of {self.tile_px} px, not {tile_px}"
            raise UserError(what, where=self.folder, fix="Leave cohort.tile_px out, or cut the slides anew.")
        if mpp is not None and abs(mpp - self.mpp) > 1e-6 * self.mpp:
            what = f"holds tiles at {self.mpp:g} µm/px, not {mpp:g}"
            raise UserError(what, where=self.folder, fix="Leave cohort.mpp out, or cut the slides anew.")

    def row(self, slide: int, patient: str, **told: str | None) -> ImageRow:
        """A slide as a row of a cohort; told: label, site, split."""
        width, height = self.sizes_px0[slide]
        name = self.identity["slide_id"][slide] or self.names[slide]
        return ImageRow(patient, name, width, height, mpp=self.mpps[slide], **told)


def read_cut(folder: Path) -> CutSlides:
    """Read a folder that `hlss tile` filled. Raises UserError where it is none, not finished, or broken."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    index, recipe = folder / "index.parquet", folder / "recipe.json"
    if not recipe.is_file():
        fix = "Run `hlss tile`, or correct the path."
        raise UserError("nothing was cut here: there is no recipe.json", where=folder, fix=fix)
    if not index.is_file():
        raise UserError("not all slides are cut: there is no index.parquet", where=folder, fix="Run `hlss tile` again.")
    try:
        said, table = json.loads(recipe.read_text(encoding="utf-8")), pq.read_table(index)
        columns = {name: table[name].to_pylist() for name in table.column_names if name != "bits"}
        return _cut(folder, said, columns, table["bits"].to_pylist())
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        fix = "Delete it and run `hlss tile` again."
        raise UserError(f"is broken: {error!s:.200}", where=index, fix=fix) from error


def _cut(
    folder: Path, said: Mapping[str, Any], columns: Mapping[str, list[Any]], bits: list[bytes | None]
) -> CutSlides:
    def integers(*names: str) -> Any:
        return np.array([columns[name] for name in names], dtype=np.int64)

    sizes = np.array([0 if one is None else len(one) for one in bits], dtype=np.int64)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    tiles = GriddedTiles(
        starts=np.concatenate([[0], np.cumsum(integers("n_tiles")[0])]),
        origin_px0=integers("origin_x_px0", "origin_y_px0").T.astype(np.int32),
        step_px0=integers("step_px0")[0].astype(np.int32),
        columns=integers("columns")[0].astype(np.int32),
        lines=integers("lines")[0].astype(np.int32),
        bits_at=np.where([one is None for one in bits], -1, starts[:-1]),
        bits=np.frombuffer(b"".join(one for one in bits if one is not None), dtype=np.uint8),
    )
    return CutSlides(
        folder=folder,
        root=Path(said["root"]),
        tile_px=int(said["recipe"]["tile_px"]),
        mpp=float(said["mpp"]),
        reader=said["recipe"]["reader"],
        names=tuple(columns["name"]),
        paths=tuple(columns["path"]),
        hashes=tuple(columns["hash"]),
        identity={name: tuple(one or "" for one in columns[name]) for name in IDENTITY},
        mpps=tuple(columns["mpp"]),
        sizes_px0=tuple(zip(columns["width_px0"], columns["height_px0"], strict=True)),
        tiles=tiles,
    )


def cohort_of_cut(
    name: str, cut: CutSlides, rows: Mapping[int, ImageRow], where: object, notices: Sequence[str] = (), *, srgb: bool
) -> Cohort:
    """The cohort of some slides of a cut, each with its row. Slides without tiles are left out with a notice.

    srgb: whether colours are brought to sRGB by the slides' profiles.

    Raises UserError where none is left, and where a patient stands in two splits.
    """
    full = np.diff(cut.tiles.starts)
    kept = sorted((one for one in rows if full[one]), key=lambda one: (rows[one].patient, rows[one].slide))
    if not kept:
        raise UserError("no slide with tiles is left", where=where, fix="Widen the filter, or lower min_tissue.")
    empty = [rows[one].slide for one in sorted(rows) if not full[one]]
    if empty:
        listed = ", ".join(empty[:3]) + (", …" if len(empty) > 3 else "")
        notices = (*notices, f"{len(empty)} of {len(rows)} slides have no tile and are left out: {listed}")
    source = SlideTiles(cut.root, cut.paths, cut.hashes, cut.mpps, cut.reader, srgb)
    tiles = cut.tiles.of_images(np.array(kept, dtype=np.int64))
    of_kept = [rows[one] for one in kept]
    return cohort_of_tiles(name, source, of_kept, kept, tiles, cut.tile_px, cut.mpp, where, tuple(notices))
