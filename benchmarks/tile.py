"""`hlss tile`: two workers against one, and memory over many slides, all in one run.

    python benchmarks/tile.py [--quick]

One slide is drawn (smooth, in colours of a stain, on glass) and stored as a pyramid; the others are that file with
other bytes behind its end, which no reader looks at. The best of the rounds counts. Memory is the process's largest
(of Linux), read after 20 slides and after 200, cut one after the other in one process.
"""

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from numpy import ndarray

from hlss.cohorts.write.pyramid import write_pyramid

SETTINGS = ("mpp=0.5", "tile_px=256")
MPP0, GOAL, FLAT_MB = 0.5, 1.6, 16


def drawn(side_px: int) -> ndarray:
    """A disc of something like tissue on glass, `side_px` square, at 1/8 of level 0; enlarged as it is read."""
    random = np.random.default_rng(0)
    coarse = random.uniform(0, 1, (side_px // 64, side_px // 64)).astype(np.float32)
    field = cv2.resize(coarse, (side_px // 8, side_px // 8), interpolation=cv2.INTER_CUBIC)[..., None]
    stained = 225 - field * np.array([60, 110, 40], np.float32) + random.normal(0, 4, (*field.shape[:2], 3))
    y, x = np.mgrid[: side_px // 8, : side_px // 8]
    tissue = np.hypot(y - side_px / 16, x - side_px / 16) < side_px / 20
    return np.where(tissue[..., None], stained, 241).clip(0, 255).astype(np.uint8)


def write_first(path: Path, side_px: int) -> None:
    whole = drawn(side_px)

    def read(xy_px0: tuple[int, int], size_px: int, mpp: float) -> ndarray:
        (x, y), side = (value // 8 for value in xy_px0), max(1, round(size_px * mpp / MPP0 / 8))
        return np.asarray(cv2.resize(whole[y : y + side, x : x + side], (size_px, size_px)))

    write_pyramid(path, read, (side_px, side_px), MPP0)


def write_slides(folder: Path, count: int, side_px: int) -> None:
    folder.mkdir()
    first = folder / "000.tiff"
    write_first(first, side_px)
    for number in range(1, count):
        copy = folder / f"{number:03d}.tiff"
        shutil.copy(first, copy)
        with copy.open("ab") as file:
            file.write(number.to_bytes(8, "little"))


def seconds(slides: Path, workers: int) -> float:
    """Of the command as a user starts it."""
    with tempfile.TemporaryDirectory(dir=slides.parent) as out:
        command = [sys.executable, "-c", "from hlss.cli import main; main()", "tile", str(slides), "--out"]
        start = time.perf_counter()
        subprocess.run([*command, f"{out}/o", *SETTINGS, "--workers", str(workers)], check=True, capture_output=True)
        return time.perf_counter() - start


def peak_mb() -> float:
    """The largest memory of this process, MB, without that of the process which started it."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def peaks_mb(slides: Path, out: Path, moments: tuple[int, ...]) -> list[float]:
    """Its largest memory, MB, after so many slides."""
    from hlss.jobs import tile_work
    from hlss.jobs.tile import tile_slides

    found, opened = [], tile_work.open_slide
    counted = iter(range(10**9))

    def counting(*arguments: object) -> object:
        if next(counted) in moments:
            found.append(peak_mb())
        return opened(*arguments)  # type: ignore[arg-type]

    tile_work.open_slide = counting  # type: ignore[assignment]
    tile_slides(slides, out, SETTINGS, say=lambda _: None)
    return [*found, peak_mb()][: len(moments)]


def measured_apart(slides: Path, out: Path, moments: tuple[int, ...]) -> list[float]:
    """In a process of its own: this one has drawn a slide, and that counts."""
    command = [sys.executable, __file__, "--memory", str(slides), str(out), *map(str, moments)]
    return [float(one) for one in subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few and small slides, to see that it runs: no verdict")
    parser.add_argument("--memory", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory:
        slides, out, *moments = arguments.memory
        print(*peaks_mb(Path(slides), Path(out), tuple(map(int, moments))))
        return
    quick = arguments.quick
    count, timed, side_px, rounds = (6, 4, 2048, 1) if quick else (200, 40, 16384, 2)
    moments = (2, 6) if quick else (20, 200)
    with tempfile.TemporaryDirectory() as temporary:
        every, some = Path(temporary) / "all", Path(temporary) / "some"
        write_slides(every, count, side_px)
        some.mkdir()
        for path in sorted(every.iterdir())[:timed]:
            with contextlib.suppress(OSError):
                os.link(path, some / path.name)
        print(f"{timed} slides of {side_px}×{side_px} px, thumbnails at 8 µm/px; best of {rounds}")
        turns = [{w: seconds(some, w) for w in (1, 2)} for _ in range(rounds)]
        best = {w: min(turn[w] for turn in turns) for w in (1, 2)}
        for workers, took in best.items():
            print(f"  {workers} worker(s)  {timed / took:6.1f} slides/s  {best[1] / took:5.2f}×")
        few, many = measured_apart(every, Path(temporary) / "out", moments)
        print(f"  peak memory of a process: {few:.0f} MB at {moments[0]} slides, {many:.0f} MB at {moments[1]}")
        if not quick:
            print(f"  goal {GOAL}×: {'reached' if best[1] >= GOAL * best[2] else 'MISSED'}")
            print(f"  flat (within {FLAT_MB} MB): {'reached' if many - few <= FLAT_MB else 'MISSED'}")


if __name__ == "__main__":
    main()
