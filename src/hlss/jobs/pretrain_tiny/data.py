"""Tiles for `tiny`, drawn once into one file, with their truth beside them."""

import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Int64, UInt8
from numpy import ndarray

from hlss.cohorts.base import Cohort
from hlss.cohorts.phantom.factors import FACTORS
from hlss.cohorts.phantom.spec import PhantomSpec
from hlss.cohorts.phantom.truth import tile_truths
from hlss.errors import UserError
from hlss.files import replacing, write_json

TRAIN_SEED, JUDGE_SEED = 900_001, 900_002  # no demo, test or benchmark draws from these
STORED_PX, CROP_PX, MPP = 112, 96, 1.0
_PART = 512  # tiles a worker draws before it says so


@dataclass(frozen=True)
class Drawn:
    """Stored tiles, their truth (columns as FACTORS, NaN: unknown) and the patient of each."""

    tiles: UInt8[ndarray, "n p p 3"]
    truth: Float32[ndarray, "n f"]
    patients: Int64[ndarray, " n"]


def training_cohort(patients: int) -> PhantomSpec:
    """Many patients of the reference organ, of few laboratories that stain much alike.

    As real encoders do, `tiny` is to lose ground where others stain differently; else nothing would be left to gain.
    """
    return PhantomSpec(
        patients=patients, slides=2, side=3, tile_px=STORED_PX, mpp=MPP, sites=8, stain=0.7, seed=TRAIN_SEED
    )


def judging_cohort(patients: int) -> PhantomSpec:
    """Other patients, other laboratories."""
    return PhantomSpec(patients=patients, slides=2, side=3, tile_px=CROP_PX, mpp=MPP, sites=8, seed=JUDGE_SEED)


def drawn(spec: PhantomSpec, folder: Path, workers: int, progress: Callable[[int, int], None]) -> Drawn:
    """The tiles of a cohort, drawn or found again; a broken-off drawing goes on where it was. Raises UserError."""
    cohort = spec.open()
    keep_settings(folder / "cohort.json", {"fingerprint": cohort.fingerprint, "tiles": cohort.n_tiles})
    _draw(cohort, spec, folder, workers, progress)
    tiles = np.empty((cohort.n_tiles, spec.tile_px, spec.tile_px, 3), dtype=np.uint8)
    truth = np.empty((cohort.n_tiles, len(FACTORS)), dtype=np.float32)
    for start in range(0, cohort.n_tiles, _PART):
        with np.load(_part(folder, start)) as part:
            tiles[start : start + _PART], truth[start : start + _PART] = part["tiles"], part["truth"]
    return Drawn(tiles, truth, cohort.tile_patient(np.arange(cohort.n_tiles)))


def keep_settings(path: Path, settings: Mapping[str, Any]) -> None:
    """Note what a folder was begun with. Raises UserError where it was begun with something else."""
    if path.exists() and json.loads(path.read_text()) != settings:
        raise UserError("begun with other settings", where=path.parent, fix="Choose another --out, or remove it.")
    write_json(path, settings)


def _part(folder: Path, start: int) -> Path:
    return folder / f"part-{start // _PART:04d}.npz"


def _draw(cohort: Cohort, spec: PhantomSpec, folder: Path, workers: int, progress: Callable[[int, int], None]) -> None:
    starts = range(0, cohort.n_tiles, _PART)
    jobs = [(spec, start, _part(folder, start)) for start in starts]
    left = [job for job in jobs if not job[2].exists()]
    if not left:
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("forkserver")) as pool:
        for number, _ in enumerate(pool.map(_draw_part, left), start=len(jobs) - len(left) + 1):
            progress(min(number * _PART, cohort.n_tiles), cohort.n_tiles)


def _draw_part(job: tuple[PhantomSpec, int, Path]) -> None:
    spec, start, path = job
    cohort = spec.open()
    rows = np.arange(start, min(start + _PART, cohort.n_tiles))
    tiles = np.stack([cohort.read_tile(int(row)) for row in rows])
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, tiles=tiles, truth=tile_truths(cohort, rows).astype(np.float32))


def truth_row(drawn: Drawn, row: int) -> dict[str, float]:
    """The truth of a tile, by factor."""
    return dict(zip(FACTORS, drawn.truth[row].tolist(), strict=True))


def batches(count: int, batch: int, seed: int, start: int, stop: int) -> Iterator[tuple[int, Int64[ndarray, " b"]]]:
    """Steps `start` to `stop` and the rows of each: a pure function of (seed, step), every row once an epoch.

    Raises UserError where there is not one batch of rows.
    """
    per_epoch = count // batch
    if per_epoch == 0:
        raise UserError(f"{count} tiles are less than one batch of {batch}", fix="Ask for more patients.")
    order, of_epoch = np.empty(0, dtype=np.int64), -1
    for step in range(start, stop):
        epoch, place = divmod(step, per_epoch)
        if epoch != of_epoch:
            order, of_epoch = np.random.Generator(np.random.Philox([seed, epoch])).permutation(count), epoch
        yield step, order[place * batch : (place + 1) * batch]
