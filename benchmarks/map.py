"""Mapping one large slide as `hlss map` does: seconds, peak memory beyond imports and features, bytes, by format.

The slide is drawn, its features are tissue-like: smooth over eight tiles, and noise. One text is mapped, tested by 199
random maps and the maps of 99 random texts. `csv` stands for what every format needs: scores, faithfulness, one small
file. Each line is a process of its own that has mapped a small slide in all formats before, so that imports do not
count; the peak is what the kernel counts from then on (Linux).
"""

import argparse
import multiprocessing
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from hlss.embedding_table import EmbeddingTable
from hlss.evaluate.embed import Identities
from hlss.experiment import Experiment
from hlss.jobs.map_ground import Pixels, grounds_of
from hlss.jobs.map_slide import KINDS, MapSettings, SlideMapper
from hlss.jobs.map_texts import RANDOM_TEXTS, Asked
from hlss.jobs.provenance import code_version, hardware

SMOOTH, TILE_PX = 8, 256
CLEAR = Path("/proc/self/clear_refs")
SMALL = 100  # tiles of the slide that is mapped first


class Words:
    """Directions in place of a text tower's rows."""

    bank_name, notices = None, ()

    def __init__(self, width: int) -> None:
        rows = np.random.default_rng(1).standard_normal((RANDOM_TEXTS + 1, width)).astype(np.float32)
        self.rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def random(self, sentences: int) -> np.ndarray:
        return np.asarray(self.rows[1:])


def features_of(side: int, width: int) -> np.ndarray:
    """In place, so that nothing but the features themselves counts as held before the map."""
    rng, coarse = np.random.default_rng(0), -(-side // SMOOTH)
    field = rng.standard_normal((coarse, coarse, width), dtype=np.float32)
    found = rng.standard_normal((side * side, width), dtype=np.float32)
    for line in range(side):
        found[line * side : (line + 1) * side] += field[line // SMOOTH][np.arange(side) // SMOOTH]
    return found


def mapped(tiles: int, width: int, kinds: tuple[str, ...]) -> tuple[int, float, float, float, float]:
    """Tiles, seconds, peak beyond what was held before (MB), peak of the process (MB), and MB written."""
    side, words = int(np.sqrt(tiles)), Words(width)
    one_map(int(np.sqrt(SMALL)), features_of(int(np.sqrt(SMALL)), width), words, KINDS)
    features = features_of(side, width)
    CLEAR.write_text("5")  # the peak is counted from here
    before, began = memory_mb("VmRSS"), time.perf_counter()
    written = one_map(side, features, words, kinds)
    peak = memory_mb("VmHWM")
    return side * side, time.perf_counter() - began, peak - before, peak, written


def one_map(side: int, features: np.ndarray, words: Words, kinds: tuple[str, ...]) -> float:
    """MB written."""
    cohort = {"name": "phantom", "patients": 1, "slides": 1, "classes": 1, "side": side, "tile_px": TILE_PX, "mpp": 0.5}
    settings = {"name": "map", "cohort": cohort, "encoder": "tiny", "objective": "hidisc"}
    experiment = Experiment.model_validate(settings)
    tiles = Identities(experiment.cohort.open(), "").of(np.arange(side * side))
    table = EmbeddingTable(features, {**tiles, "side": np.full(side * side, "test", dtype=object)}, {})
    source: Any = SimpleNamespace(table=table, experiment=experiment, run_facts={}, aligned=True, notices=())
    pixels, stand_in = Pixels.of(source), words
    asked = [Asked("a text", None, ("a text",), words.rows[0])]
    mapper = SlideMapper(source, stand_in, pixels, asked, MapSettings(kinds=kinds))  # type: ignore[arg-type]
    with tempfile.TemporaryDirectory() as folder:
        mapper.map(grounds_of(table, pixels, ())[0], Path(folder), "slide")
        return sum(path.stat().st_size for path in Path(folder).iterdir()) / 1e6


def memory_mb(what: str) -> float:
    """Of this process, as the kernel counts it: VmRSS now, VmHWM at most."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what)) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiles", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--widths", type=int, nargs="+", default=[128, 512])
    parser.add_argument("--quick", action="store_true", help="400 and 900 tiles of 32 numbers")
    given = parser.parse_args()
    sizes, widths = ([400, 900], [32]) if given.quick else (given.tiles, given.widths)
    if not CLEAR.exists():
        print("memory is counted as Linux does it: skipped here")
        return
    print("  tiles  width  format          s   peak beyond features   of the process   written")
    for size in sizes:
        for width in widths:
            for kinds in (KINDS, *((kind,) for kind in KINDS if width == widths[0])):
                with multiprocessing.get_context("spawn").Pool(1) as pool:
                    tiles, seconds, beyond, peak, written = pool.apply(mapped, (size, width, kinds))
                cells = f"{kinds[0] if len(kinds) == 1 else 'all':<8} {seconds:>8.1f} {beyond:>18.0f} MB"
                print(f"{tiles:>7} {width:>6}  {cells} {peak:>13.0f} MB {written:>6.1f} MB", flush=True)
    print(f"code: {code_version()}\nmachine: {hardware()}")


if __name__ == "__main__":
    main()
