"""Explaining one large slide: seconds, and memory beyond the features, at 10⁴ and 10⁵ tiles of 512 numbers, 384 texts.

The table holds the slide and 20 of 200 tiles. Explained are the slide (128 slide texts, words shuffled 20 times, 1000
draws of tiles dealt anew), its patient, the 12 tiles that stand out most, the evidence of five characteristics, and the
comparison of its patient with another; and what each draw of shuffled words finds in their place (of tiles: in those
that stand out most to it). Each size runs in a process of its own, so that peaks do not mix.
"""

import argparse
import multiprocessing
import resource
import time

import numpy as np

from hlss.embedding_table import EmbeddingTable
from hlss.explain.by_chance import by_chance
from hlss.explain.comparison import comparison
from hlss.explain.evidence import best_rows
from hlss.explain.gauge import Gauge
from hlss.explain.sides import of_patients, rows_named
from hlss.explain.units import Wordings, explained, outstanding_patches
from hlss.jobs.provenance import code_version, hardware
from hlss.types import LEVELS, Level

OTHERS, TILES_OF_OTHERS, DRAWS = 20, 200, 20


def table_of(tiles: int, width: int) -> EmbeddingTable:
    """Noise; the slide's tiles on a square grid."""
    slide = np.repeat(np.arange(OTHERS + 1), [tiles, *[TILES_OF_OTHERS] * OTHERS])
    names = np.array([f"s{number:02d}" for number in range(OTHERS + 1)], dtype=object)
    blank = np.full(len(slide), "", dtype=object)
    place, side = np.arange(len(slide)), int(np.sqrt(tiles)) + 1
    columns = dict.fromkeys(("site", "label", "side", "image"), blank)
    columns |= {"patient": names[slide], "slide": names[slide]}
    columns |= {"x_px0": 256 * (place % side), "y_px0": 256 * (place // side)}
    features = np.random.default_rng(0).standard_normal((len(slide), width), dtype=np.float32)
    return EmbeddingTable(features, columns, {})


def wordings(width: int, texts: int) -> dict[Level, Wordings]:
    """Random unit rows."""
    rng = np.random.default_rng(1)

    def rows() -> np.ndarray:
        drawn = rng.standard_normal((texts, width)).astype(np.float32)
        return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True))

    names = [f"text {k}" for k in range(texts)]
    return {level: Wordings(names, rows(), [rows() for _ in range(DRAWS)], rows()) for level in LEVELS}


def measured(tiles: int, width: int, texts: int) -> tuple[float, float, float, float]:
    """Seconds, seconds of CPU, peak of the process, and what of it came after the features were there (MB)."""
    table, words = table_of(tiles, width), wordings(width, texts)
    before, began, cpu = peak_mb(), time.perf_counter(), time.process_time()
    gauge = Gauge(table)
    for level in (Level.SLIDE, Level.PATIENT):
        (one,) = explained(gauge, level, np.array([0]), words[level], top=5, draws=1000, seed=0)
        rows = gauge.rows(level, 0)
        for match in one.matches:
            best_rows(gauge, rows, gauge.slide[rows], words[level].rows[match.k], 4)
        by_chance(gauge, level, [np.array([0])] * DRAWS, words[level], draws=1000, seed=0)
    of_patch = words[Level.PATCH]
    chosen = outstanding_patches(gauge, gauge.rows(Level.SLIDE, 0), [of_patch.rows, *of_patch.random], 12)
    explained(gauge, Level.PATCH, chosen[0], of_patch, top=5, draws=1000, seed=0, among=tiles)
    by_chance(gauge, Level.PATCH, chosen[1:], of_patch, draws=1000, seed=0)
    halves, _ = rows_named(gauge, ("s00", "s01"))
    comparison(of_patients(gauge, halves), words[Level.PATCH], resamples=1000, permutations=1000, seed=0)
    return time.perf_counter() - began, time.process_time() - cpu, peak_mb(), peak_mb() - before


def peak_mb() -> float:
    """Peak of resident memory of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiles", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--texts", type=int, default=128, help="of each level")
    parser.add_argument("--quick", action="store_true", help="1000 and 4000 tiles of 64 numbers, 16 texts a level")
    given = parser.parse_args()
    sizes, width, texts = ([1000, 4000], 64, 16) if given.quick else (given.tiles, given.width, given.texts)
    for size in sizes:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            seconds, cpu, peak, beyond = pool.apply(measured, (size, width, texts))
        told = f"{size:>7} tiles ({size * width * 4 / 1e6:.0f} MB): {seconds:.1f} s ({cpu:.1f} s of CPU)"
        print(f"{told}, peak {peak:.0f} MB, beyond them {beyond:.0f} MB")
    print(f"command: python benchmarks/explain.py{' --quick' * given.quick}")
    print(f"code: {code_version()}")
    print(f"machine: {hardware()}")


if __name__ == "__main__":
    main()
