"""Random-access tiles: a pack against small JPEG files, the same JPEG bytes in both, side by side in one run.

    python benchmarks/loading.py [--quick]

The usual way is one JPEG file a tile, decoded by Pillow. Every way reads the same tiles in the same random order, in
one process and in two; ways take turns, and the best of the rounds counts. Measured for JPEGs as patches are usually
exported (quality 80, chroma 4:2:0) and as packs keep them by default (95, 4:4:4).
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
import simplejpeg
from numpy import ndarray
from PIL import Image

from hlss.cohorts.base import Cohort, TileSource
from hlss.cohorts.build import ImageRow, cohort_from_images
from hlss.cohorts.pack import PackRecipe, packed

TILE_PX = 256
GOAL = 1.5  # times the usual way
USUAL, PACK = "small JPEG files + Pillow", "pack (hlss)"
Reader = Callable[[int], ndarray]


class Smooth(TileSource):
    """Smooth random fields with some noise, in the colours of a stain: JPEGs of about the size of real tissue's."""

    @property
    def fingerprint(self) -> str:
        return "smooth"

    def image_name(self, image: int) -> str:
        return f"tile {image}"

    def read(self, image: int, xy_px0: tuple[int, int], tile_px: int, mpp: float | None) -> ndarray:
        random = np.random.default_rng(image)
        coarse = random.uniform(0, 1, (tile_px // 8, tile_px // 8)).astype(np.float32)
        field = cv2.resize(coarse, (tile_px, tile_px), interpolation=cv2.INTER_CUBIC)[..., None]
        stained = 235 - field * np.array([70, 130, 60], np.float32) + random.normal(0, 3, (tile_px, tile_px, 3))
        return np.asarray(stained.clip(0, 255).astype(np.uint8))


def by_pillow(folder: Path, row: int) -> ndarray:
    with Image.open(folder / f"{row}.jpg") as image:
        return np.asarray(image.convert("RGB"))


def by_simplejpeg(folder: Path, row: int) -> ndarray:
    return np.asarray(simplejpeg.decode_jpeg((folder / f"{row}.jpg").read_bytes()))


def read_all(reader: Reader, rows: Sequence[int]) -> int:
    return sum(int(reader(row)[0, 0, 0]) for row in rows)


def seconds(reader: Reader, rows: Sequence[int], pool: ProcessPoolExecutor | None, workers: int) -> float:
    start = time.perf_counter()
    if pool is None:
        read_all(reader, rows)
    else:
        list(pool.map(read_all, [reader] * workers, [rows[i::workers] for i in range(workers)]))
    return time.perf_counter() - start


def measure(readers: dict[str, Reader], rows: Sequence[int], workers: int, rounds: int) -> dict[str, float]:
    """Tiles a second of each way, the best of the rounds; one more round before them warms caches and workers."""
    best = dict.fromkeys(readers, 0.0)
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn")) if workers > 1 else None
    try:
        for turn in range(rounds + 1):
            for name, reader in readers.items():
                rate = len(rows) / seconds(reader, rows, pool, workers)
                best[name] = max(best[name], rate if turn else 0.0)
    finally:
        if pool is not None:
            pool.shutdown()
    return best


def prepared(folder: Path, tiles: int, recipe: PackRecipe) -> tuple[Cohort, Path]:
    """The same tiles as a pack and as small files, the same bytes in both."""
    images = [ImageRow(f"{i:06d}", f"{i:06d}", TILE_PX, TILE_PX) for i in range(tiles)]
    cohort = cohort_from_images("smooth", Smooth(), images, TILE_PX)
    small = folder / "small"
    small.mkdir()
    for row in range(tiles):
        (small / f"{row}.jpg").write_bytes(recipe.encode(cohort.read_tile(row)))
    return packed(cohort, folder / "packs", recipe), small


def compare(recipe: PackRecipe, tiles: int, rounds: int, verdict: bool) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        cohort, small = prepared(Path(temporary), tiles, recipe)
        readers: dict[str, Reader] = {
            USUAL: partial(by_pillow, small),
            "small JPEG files + simplejpeg": partial(by_simplejpeg, small),
            PACK: cohort.read_tile,
        }
        rows = np.random.default_rng(0).permutation(tiles).tolist()
        size_kb = sum(path.stat().st_size for path in small.iterdir()) / tiles / 1000
        print(f"\nJPEG quality {recipe.quality}, chroma {recipe.chroma}: {size_kb:.1f} kB a tile")
        for workers in (1, 2):
            best = measure(readers, rows, workers, rounds)
            for name, rate in best.items():
                print(f"  {workers} process(es)  {name:32s} {rate:8.0f}/s  {rate / best[USUAL]:5.2f}×")
            if verdict:
                print(f"  goal {GOAL}×: {'reached' if best[PACK] >= GOAL * best[USUAL] else 'MISSED'}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few tiles, to see that it runs: no verdict")
    quick = parser.parse_args().quick
    tiles, rounds = (64, 1) if quick else (3000, 3)
    cv2.setNumThreads(1)
    print(f"{tiles} tiles of {TILE_PX} px in random order; tiles/s, best of {rounds}")
    for recipe in (PackRecipe(quality=80, chroma="420"), PackRecipe()):
        compare(recipe, tiles, rounds, verdict=not quick)


if __name__ == "__main__":
    main()
