"""`hlss embed --per-slide` against embedding all tiles at once, in one process and one run: what a file a slide costs.

    python benchmarks/embed.py [--quick]

1,024 drawn tiles of 64 px, as slides of 4 to 256 tiles, go through a ResNet-18. At once, batches of 64 span
slides and take all threads; a file a slide, no batch holds tiles of two slides, and batches with a thread each go side
by side. The best of the rounds counts.
"""

import argparse
import tempfile
import time
from pathlib import Path

import torch

from hlss.config import validate
from hlss.experiment import Experiment
from hlss.jobs.embed import embed_run
from hlss.jobs.train import train_experiment


def silent(_: str) -> None:
    pass


def run_on(folder: Path, tiles: int, side: int) -> Path:
    """A run of one step on so many tiles, in slides of side × side."""
    slides = tiles // side**2
    tree = {
        "name": f"side{side}",
        "out": folder / f"side{side}",
        "cache": folder / "cache",
        "cohort": {"name": "phantom", "patients": slides, "slides": 1, "side": side, "tile_px": 64, "classes": 2},
        "split": {"kind": "random", "test": 0, "val": 0},
        "batches": {"patients": 2, "slides": 1, "patches": 2, "views": 2},
        "encoder": {"name": "timm", "architecture": "resnet18", "input_px": 64, "dim": 128},
        "objective": "hidisc",
        "train": {"steps": 1, "precision": "fp32"},
    }
    return train_experiment(validate(tree, Experiment, where="benchmark"), silent)


def seconds(run: Path, per_slide: bool) -> float:
    with tempfile.TemporaryDirectory(dir=run) as folder:
        start = time.perf_counter()
        slides = Path(folder) / "slides" if per_slide else None
        embed_run(run, "last", Path(folder) / "table", [], say=silent, per_slide=slides)
        return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few tiles, to see that it runs: no verdict")
    quick = parser.parse_args().quick
    tiles, rounds = (128, 1) if quick else (1024, 3)
    print(f"{tiles} tiles of 64 px, ResNet-18, {torch.get_num_threads()} threads; tiles/s, best of {rounds}")
    with tempfile.TemporaryDirectory() as folder:
        for side in (2, 4, 8) if quick else (2, 4, 8, 16):
            run = run_on(Path(folder), tiles, side)
            turns = [(seconds(run, False), seconds(run, True)) for _ in range(rounds)]
            at_once, by_slide = (tiles / min(turn[i] for turn in turns) for i in (0, 1))
            print(
                f"  {tiles // side**2:4d} slides of {side**2:4d}:  at once {at_once:6.0f}/s"
                f"  a file a slide {by_slide:6.0f}/s  {by_slide / at_once:5.2f}×"
            )


if __name__ == "__main__":
    main()
