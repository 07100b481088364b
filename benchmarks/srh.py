"""Patches of stimulated Raman histology: one file to one picture, against tifffile and the arithmetic in NumPy.

    python benchmarks/srh.py [--quick]

Files are as OpenSRH has them: 2×300×300 uint16, uncompressed. The usual way is tifffile, a cast to float32 and the
arithmetic of the released code; its cast alone is shown as well, which makes no picture. Ways take turns in one
process, files lie in the page cache, the best round counts. The error is that of the 8 bits, against float64.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import tifffile
from numpy import ndarray

from hlss.cohorts.phantom import PhantomSpec
from hlss.cohorts.srh import SrhPatches
from hlss.cohorts.write.opensrh import PATCH_PX, srh

GOAL = 3.0  # times the usual way
USUAL, CAST, OURS = "tifffile + cast + arithmetic", "tifffile + cast, no picture", "hlss"
VIEW_PX = 224


def cast(path: Path) -> ndarray:
    return np.asarray(tifffile.imread(path).astype(np.float32))


def usual(path: Path) -> ndarray:
    ch2, ch3 = cast(path) / 65536
    return np.stack([ch3 - ch2 + 5000 / 65536, ch2, ch3]).clip(0, 1)


def written(folder: Path, patches: int) -> list[Path]:
    """Patches drawn from the phantom's tissue, each with shot noise of its own."""
    cohort = PhantomSpec(patients=4, slides=1, side=2, tile_px=PATCH_PX, mpp=0.5).open()
    drawn = [srh(cohort.read_tile(row)) for row in range(cohort.n_tiles)]
    random, paths = np.random.default_rng(0), []
    for number in range(patches):
        noise = random.normal(0, 200, (2, PATCH_PX, PATCH_PX))
        counts = (drawn[number % len(drawn)] + noise).clip(0, 65535).astype(np.uint16)
        paths.append(folder / f"{number:05d}.tif")
        tifffile.imwrite(paths[-1], counts, photometric="minisblack", metadata=None)
    return paths


def measure(ways: dict[str, Callable[[int], ndarray]], rows: Sequence[int], rounds: int) -> dict[str, float]:
    """Seconds a patch of each way, the best round; one more before them warms the page cache."""
    best = dict.fromkeys(ways, float("inf"))
    for turn in range(rounds + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            for row in rows:
                way(row)
            if turn:
                best[name] = min(best[name], (time.perf_counter() - start) / len(rows))
    return best


def errors(source: SrhPatches, paths: Sequence[Path]) -> tuple[float, float, float]:
    """Largest and root-mean-square error of a pixel in 0..1, and of one resized to a view; by area, as views are."""
    size, stored, resized = (VIEW_PX, VIEW_PX), [], []
    for row, path in enumerate(paths):
        ours, exact = source.read(row, (0, 0), PATCH_PX, None), np.moveaxis(usual(path), 0, -1).copy()
        stored.append(ours / 255 - exact)
        smaller = [cv2.resize(picture, size, interpolation=cv2.INTER_AREA) for picture in (ours, exact)]
        resized.append(smaller[0] / 255 - smaller[1])
    return float(np.abs(stored).max()), float(np.std(stored)), float(np.std(resized))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few patches, to see that it runs: no verdict")
    quick = parser.parse_args().quick
    patches, rounds = (8, 1) if quick else (256, 7)
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as temporary:
        paths = written(Path(temporary), patches)
        source = SrhPatches(Path(temporary), [path.name for path in paths], PATCH_PX)
        ways: dict[str, Callable[[int], ndarray]] = {
            USUAL: lambda row: usual(paths[row]),
            CAST: lambda row: cast(paths[row]),
            OURS: lambda row: source.read(row, (0, 0), PATCH_PX, None),
        }
        best = measure(ways, np.random.default_rng(1).permutation(patches).tolist(), rounds)
        largest, stored, resized = errors(source, paths[:8])
    print(f"{patches} patches in random order; ms a patch, best of {rounds}")
    for name, seconds in best.items():
        print(f"  {name:30s} {1000 * seconds:6.3f} ms  {1 / seconds:7.0f}/s  {best[USUAL] / seconds:5.2f}×")
    if not quick:
        print(f"  goal {GOAL}×: {'reached' if best[USUAL] >= GOAL * best[OURS] else 'MISSED'}")
    print(
        f"  8 bits against float, of 1: at most {largest:.5f}, rms {stored:.5f}; a view of {VIEW_PX} px: {resized:.5f}"
    )


if __name__ == "__main__":
    main()
