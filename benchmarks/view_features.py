"""What the viewer does with stored features, on this machine: `python benchmarks/view_features.py`.

Search by text, neighbours of a patch and the σ of 96 characteristics among 10⁶ features; whether the map of a slide of
100,000 tiles can be believed, first with what random text points to there, then of a second text.
"""

import argparse
import os
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from hlss.embedding_table import EmbeddingTable
from hlss.explain.lattice import Lattice
from hlss.jobs.map_texts import RANDOM_TEXTS
from hlss.jobs.provenance import code_version, hardware
from hlss.jobs.view_features import PatchFeatures, first_of
from hlss.jobs.view_trust import Trust

REPEATS, TILE_PX, CHARACTERISTICS = 5, 256, 96
SMALL = 1000  # tiles of a slide as most are


def units(rng: np.random.Generator, rows: int, dim: int) -> np.ndarray:
    """Texts that say nothing."""
    found = rng.standard_normal((rows, dim), dtype=np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def table_of(z: np.ndarray) -> EmbeddingTable:
    """Of two classes in a thousand slides."""
    rows = np.arange(len(z))
    slides = np.array([f"slide {n}" for n in range(1000)], dtype=object)[rows * 1000 // len(z)]
    blank, label = np.full(len(z), "", dtype=object), np.array(["a", "b"], dtype=object)[rows % 2]
    side = np.full(len(z), "train", dtype=object)
    columns = {"patient": slides, "slide": slides, "site": blank, "image": blank, "label": label, "side": side}
    return EmbeddingTable(z, {**columns, "x_px0": rows, "y_px0": rows}, {})


def search(rows: int, dim: int) -> None:
    """Answers among stored features, after the table is there."""
    rng = np.random.default_rng(0)
    table = table_of(rng.standard_normal((rows, dim), dtype=np.float32))
    began = time.perf_counter()
    features = PatchFeatures(table)
    print(f"{rows} × {dim} features: loading (norms) {time.perf_counter() - began:.2f} s")
    texts = units(rng, CHARACTERISTICS, dim)
    asks: dict[str, Callable[[], object]] = {
        "text": lambda: first_of(features.sigma(texts[0]), features.table["slide"], 12, 2),
        "neighbours and votes": lambda: features.votes(7, features.nearness(7)),
        f"{CHARACTERISTICS} characteristics of all patches": lambda: features.moments(texts),
    }
    for name, ask in asks.items():
        took = []
        for _ in range(REPEATS):
            began = time.perf_counter()
            ask()
            took.append(time.perf_counter() - began)
        print(f"  {name}: first {took[0]:.3f} s, median {statistics.median(took):.3f} s")


def faithfulness(tiles: int, dim: int) -> None:
    """Of two texts' maps of one slide, and the memory that it takes beside the features."""
    rng, line = np.random.default_rng(0), int(np.ceil(tiles**0.5))
    number = np.arange(tiles)
    lattice = Lattice.of(np.stack([number % line, number // line], axis=1) * TILE_PX, TILE_PX)
    features, texts, random = (
        rng.standard_normal((tiles, dim), dtype=np.float32),
        units(rng, 2, dim),
        units(rng, RANDOM_TEXTS, dim),
    )
    ground: Any = SimpleNamespace(lattice=lattice, rows=number)
    patches: Any = SimpleNamespace(
        ground=lambda image: ground, features=SimpleNamespace(table=SimpleNamespace(features=features))
    )
    words: Any = SimpleNamespace(
        get=lambda key: SimpleNamespace(row=texts[int(key)], descriptions=("",)),
        texts=SimpleNamespace(random=lambda sentences: random),
    )
    drawn: Any = None
    trust, took = Trust(patches, words, drawn), []
    with Peak() as peak:
        for key in "01":
            began = time.perf_counter()
            trust.tested(0, key)
            took.append(time.perf_counter() - began)
    print(
        f"faithfulness of a map of {tiles} tiles × {dim}: first {took[0]:.2f} s, then {took[1]:.2f} s, "
        f"{peak.mib:.0f} MiB beside the features"
    )


class Peak:
    """Resident memory above what there was, MiB."""

    def __enter__(self) -> "Peak":
        self.mib, self._before, self._ended = 0.0, _resident_mib(), threading.Event()
        self._watching = threading.Thread(target=self._watch)
        self._watching.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._watching.join()

    def _watch(self) -> None:
        while not self._ended.wait(0.01):
            self.mib = max(self.mib, _resident_mib() - self._before)


def _resident_mib() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--tiles", type=int, default=100_000)
    told = parser.parse_args()
    print(f"{code_version()}, {hardware()}, load {os.getloadavg()[0]:.1f}")
    search(told.rows, told.dim)
    for tiles, dim in ((SMALL, told.dim), (told.tiles, 128), (told.tiles, told.dim)):
        faithfulness(tiles, dim)


if __name__ == "__main__":
    main()
