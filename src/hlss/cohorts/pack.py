"""Packs: the tiles of a cohort as JPEG (or lossless PNG) bytes in memory-mapped Arrow files, for random access.

A pack is a cache: a folder named after the cohort's fingerprint and the recipe. Its parts are written one by one,
each atomically, and `pack.json` last; so an interrupted pack never looks finished, and the next run goes on.
"""

import json
import os
import signal
import zlib
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import repeat
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread
from typing import Any, Literal

import cv2
import numpy as np
import pyarrow as pa
from jaxtyping import UInt8
from numpy import ndarray
from pydantic import Field

from hlss.cohorts.base import Cohort
from hlss.cohorts.packed import PackedTiles, encode_jpeg, encode_png, part_path, read_part
from hlss.config import Part
from hlss.errors import Unreadable, UserError
from hlss.files import digest, replacing, write_json

FORMAT = 1  # of the files; packs of another are built anew
SCHEMA = pa.schema(
    [("tile", pa.large_binary()), ("crc32", pa.uint32()), ("path", pa.string()), ("problem", pa.string())]
)


class PackRecipe(Part):
    """How tiles are stored: as JPEG, or lossless as PNG (several times the disk, slower to read).

    quality, chroma: of the JPEG; 444 keeps colour at full resolution (stains live there), 420 at half, smaller and
        faster to read.
    part_tiles:      tiles in a file.
    max_unreadable:  share of images that may be unreadable before packing stops.
    """

    quality: int = Field(default=95, ge=1, le=100)
    chroma: Literal["444", "422", "420"] = "444"
    lossless: bool = False
    part_tiles: int = Field(default=512, ge=1)
    max_unreadable: float = Field(default=0.05, ge=0, le=1)

    @property
    def key(self) -> str:
        return digest([FORMAT, self.part_tiles, "png" if self.lossless else (self.quality, self.chroma)])

    def encode(self, pixels: UInt8[ndarray, "h w 3"]) -> bytes:
        return encode_png(pixels) if self.lossless else encode_jpeg(pixels, self.quality, self.chroma)


def packed(
    cohort: Cohort,
    folder: Path,
    recipe: PackRecipe | None = None,
    *,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Cohort:
    """The same cohort with its tiles in a pack below `folder`, which is built first unless it stands there whole.

    Give it the whole cohort, before any split, so that its parts share one pack. Tiles that cannot be read are
    dropped, and their images listed in `problems`. workers: processes that read and encode, each a file of the pack at
    a time. progress: called with (tiles done, tiles in all). Raises UserError where more than `max_unreadable` of the
    images cannot be read, or where writing fails (what was written stays and is used by the next run).
    """
    recipe = recipe or PackRecipe()
    pack = _pack(cohort, Path(folder), recipe)
    summary = _finished(pack)
    if summary is None:
        summary = _build(cohort, pack, recipe, workers, progress)
    _refuse_too_many(summary["problems"], cohort, recipe)
    kept = np.ones(cohort.n_tiles, dtype=bool)
    kept[summary["dropped"]] = False
    source = PackedTiles(pack, cohort, recipe.part_tiles, recipe.key)
    problems = tuple(sorted(summary["problems"].items()))
    return replace(cohort, source=source, problems=cohort.problems + problems).keep_tiles(kept)


def packed_already(cohort: Cohort, folder: Path, recipe: PackRecipe | None = None) -> Cohort | None:
    """As `packed`, where the pack stands there whole; None where it would have to be built."""
    return packed(cohort, folder, recipe) if _finished(_pack(cohort, Path(folder), recipe or PackRecipe())) else None


def _pack(cohort: Cohort, folder: Path, recipe: PackRecipe) -> Path:
    """The folder of this cohort's pack."""
    return folder / f"{cohort.fingerprint}-{digest([cohort.source.freshness, recipe.key])}"


def _finished(pack: Path) -> dict[str, Any] | None:
    """What `pack.json` says, if every part is as long as it says."""
    try:
        summary: dict[str, Any] = json.loads((pack / "pack.json").read_text(encoding="utf-8"))
        sizes = [part_path(pack, part).stat().st_size for part in range(len(summary["bytes"]))]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return summary if sizes == summary["bytes"] else None


def _build(
    cohort: Cohort, pack: Path, recipe: PackRecipe, workers: int, progress: Callable[[int, int], None] | None
) -> dict[str, Any]:
    spans = [
        range(start, min(start + recipe.part_tiles, cohort.n_tiles))
        for start in range(0, cohort.n_tiles, recipe.part_tiles)
    ]
    problems: dict[str, str] = {}
    dropped: list[int] = []
    parts = (part_path(pack, part) for part in range(len(spans)))
    with closing(_written(cohort, list(zip(parts, spans, strict=True)), recipe, workers)) as written:
        for rows, unreadable in zip(spans, written, strict=True):
            for row, path, reason in unreadable:
                dropped.append(rows.start + row)
                problems[path] = reason
            _refuse_too_many(problems, cohort, recipe)
            if progress is not None:
                progress(rows.stop, cohort.n_tiles)
    sizes = [part_path(pack, part).stat().st_size for part in range(len(spans))]
    summary = {"format": FORMAT, "tiles": cohort.n_tiles, "bytes": sizes, "problems": problems, "dropped": dropped}
    write_json(pack / "pack.json", summary)
    return summary


def _written(
    cohort: Cohort, parts: list[tuple[Path, range]], recipe: PackRecipe, workers: int
) -> Generator[list[tuple[int, str, str]], None, None]:
    """Unreadable tiles of each part in turn, as it is written: here, or by processes where there are parts to share."""
    if min(workers, len(parts)) <= 1:
        yield from (_write_part(cohort, path, rows, recipe) for path, rows in parts)
        return
    # Processes and not threads, which take turns at the many short steps that drawing and decoding consist of; started
    # afresh, for the server that workers of the loader are forked from has more to load beforehand.
    with ProcessPoolExecutor(min(workers, len(parts)), get_context("spawn"), _begin_worker) as executor:
        yield from executor.map(partial(_write_part, cohort), *zip(*parts, strict=True), repeat(recipe))


def _begin_worker() -> None:
    cv2.setNumThreads(1)
    for asked_to_stop in (signal.SIGINT, signal.SIGUSR1):
        signal.signal(asked_to_stop, signal.SIG_IGN)  # the parent decides, and its end ends the workers
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _write_part(cohort: Cohort, path: Path, rows: range, recipe: PackRecipe) -> list[tuple[int, str, str]]:
    """Write the part unless it stands there whole; give its unreadable tiles: (row in the part, path, reason)."""
    try:
        batch = read_part(path)
    except Unreadable:
        batch = None
    # Unreadable tiles are tried again: the disk may have been away, the file may have been mended meanwhile.
    if batch is None or batch.num_rows != len(rows) or batch["tile"].null_count:
        records = [_record(cohort, row, recipe) for row in rows]
        batch = pa.RecordBatch.from_pylist(records, schema=SCHEMA)
        with replacing(path) as temporary, temporary.open("wb") as file, pa.ipc.new_file(file, SCHEMA) as writer:
            writer.write_batch(batch)
    return list(_unreadable(batch))


def _record(cohort: Cohort, row: int, recipe: PackRecipe) -> dict[str, Any]:
    try:
        tile = recipe.encode(cohort.read_tile(row))
    except Unreadable as error:
        return {"path": error.path, "problem": error.reason}
    return {"tile": tile, "crc32": zlib.crc32(tile)}


def _unreadable(batch: pa.RecordBatch) -> Iterator[tuple[int, str, str]]:
    for row in np.flatnonzero(batch["tile"].is_null().to_numpy(zero_copy_only=False)).tolist():
        yield row, batch["path"][row].as_py(), batch["problem"][row].as_py()


def _refuse_too_many(problems: dict[str, str], cohort: Cohort, recipe: PackRecipe) -> None:
    if len(problems) <= recipe.max_unreadable * cohort.n_images and len(problems) < cohort.n_images:
        return
    listed = "; ".join(f"{path}: {reason}" for path, reason in sorted(problems.items())[:3])
    what = f"{len(problems)} of {cohort.n_images} images cannot be read, more than max_unreadable="
    fix = "Repair them or take them out of the manifest, or raise max_unreadable."
    raise UserError(f"{what}{recipe.max_unreadable:g} allows ({listed})", where=cohort.name, fix=fix)
