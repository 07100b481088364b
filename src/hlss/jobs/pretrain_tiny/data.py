"""Tiles for `tiny`, drawn once into one file, with their truth beside them."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int64, UInt8
from numpy import ndarray

from hlss.cohorts.base import Cohort
from hlss.cohorts.phantom.factors import FACTORS
from hlss.cohorts.phantom.spec import PhantomSpec
from hlss.cohorts.phantom.truth import tile_truths
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
    """Many patients and laboratories of the reference organ."""
    return PhantomSpec(
        patients=patients, slides=2, side=3, tile_px=STORED_PX, mpp=MPP, sites=max(2, patients // 8), seed=TRAIN_SEED
    )


def judging_cohort(patients: int) -> PhantomSpec:
    """Other patients, other laboratories."""
    return PhantomSpec(patients=patients, slides=2, side=3, tile_px=CROP_PX, mpp=MPP, sites=8, seed=JUDGE_SEED)


def drawn(spec: PhantomSpec, folder: Path, workers: int, progress: Callable[[int, int], None]) -> Drawn:
    """The tiles of a cohort, drawn or found again; a broken-off drawing goes on where it was."""
    cohort = spec.open()
    if not (folder / "done.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        _draw(cohort, spec, folder, workers, progress)
        write_json(folder / "done.json", {"fingerprint": cohort.fingerprint, "tiles": cohort.n_tiles})
    if json.loads((folder / "done.json").read_text())["fingerprint"] != cohort.fingerprint:
        raise ValueError(f"{folder} holds tiles of another cohort")
    parts = [np.load(folder / f"part-{number:04d}.npz") for number in range(-(-cohort.n_tiles // _PART))]
    tiles, truth = (np.concatenate([part[name] for part in parts]) for name in ("tiles", "truth"))
    return Drawn(tiles, truth, cohort.tile_patient(np.arange(cohort.n_tiles)))


def _draw(cohort: Cohort, spec: PhantomSpec, folder: Path, workers: int, progress: Callable[[int, int], None]) -> None:
    starts = range(0, cohort.n_tiles, _PART)
    jobs = [(spec, start, folder / f"part-{start // _PART:04d}.npz") for start in starts]
    left = [job for job in jobs if not job[2].exists()]
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
    """Steps `start` to `stop` and the rows of each: a pure function of (seed, step), every row once an epoch."""
    per_epoch = count // batch
    order, of_epoch = np.empty(0, dtype=np.int64), -1
    for step in range(start, stop):
        epoch, place = divmod(step, per_epoch)
        if epoch != of_epoch:
            order, of_epoch = np.random.Generator(np.random.Philox([seed, epoch])).permutation(count), epoch
        yield step, order[place * batch : (place + 1) * batch]
