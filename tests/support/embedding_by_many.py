"""A run on slides of several sizes, embedded in this process or another, and what that leaves."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from hlss.config import read_settings
from hlss.embedding_table import EmbeddingTable
from hlss.experiment import Experiment
from hlss.jobs.embed import embed_run
from hlss.jobs.train import train_experiment

SIDES = (2, 5, 3, 4, 2, 6, 2)  # tiles along a slide's side: of two slides one batch is not enough
N = len(SIDES)
TILES = sum(side * side for side in SIDES)
SLIDES, TABLE = Path("slides"), Path("table")  # as they are named in files, which must be the same bytes
PASSING = {"time", "command"}


def silent(_: str) -> None:
    pass


def write_run(folder: Path, write_experiment: Callable[..., Path]) -> Path:
    """A run, two steps long, on slides of 4 to 36 tiles: slide s1 is the image 1.jpg beside it."""
    lines = ["patient_id,slide_id,path,label"]
    for number, side in enumerate(SIDES):
        pixels = np.random.default_rng(number).integers(0, 256, (32 * side, 32 * side, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.jpg", quality=90)
        lines.append(f"p{number},s{number},{number}.jpg,{'ab'[number % 2]}")
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    cohort = {"name": "manifest", "path": str(folder / "manifest.csv"), "tile_px": 32}
    loader = {"workers": 1, "pack": None}
    file = write_experiment(folder, cohort=cohort, loader=loader)
    return train_experiment(read_settings(file, Experiment, ["train.steps=2"]), silent)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """As on a machine with so many cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def embedded(run: Path, folder: Path, *, cores: int = 2, checkpoint: str = "last", **asked: object) -> list[str]:
    """Embed into `folder`; returns what was said."""
    folder.mkdir(exist_ok=True)
    said: list[str] = []
    with chdir(folder), threads(cores):
        embed_run(run, checkpoint, TABLE, [], say=said.append, per_slide=SLIDES, **asked)
    return said


def n_done(said: str) -> int:
    return sum(int(found) for found in re.findall(r"^embedded (\d+) slides", said, flags=re.MULTILINE))


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of the slides, and the table without when and by which command it was written."""
    found = {}
    for path in sorted((folder / SLIDES).rglob("*")):
        if path.is_file() and not path.name.startswith("."):
            found[str(path.relative_to(folder))] = path.read_bytes()
    if (folder / TABLE).exists():
        table = EmbeddingTable.read(folder / TABLE)
        found["features"] = (folder / TABLE / "features.safetensors").read_bytes()
        columns = {name: column.tolist() for name, column in table.columns.items()}
        said = {name: value for name, value in table.provenance.items() if name not in PASSING}
        found["rows"] = json.dumps([columns, said], sort_keys=True).encode()
    return found


def started(run: Path, folder: Path, *more: str) -> "subprocess.Popen[str]":
    folder.mkdir(exist_ok=True)
    code = "from hlss.cli import main; main()"
    command = [sys.executable, "-c", code, "embed", str(run), "--per-slide", str(SLIDES), "--out", str(TABLE), *more]
    paths = os.pathsep.join(filter(None, sys.path))
    return subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "2", "PYTHONPATH": paths},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )


def ended(process: "subprocess.Popen[str]") -> str:
    said = process.communicate(timeout=300)[1]
    assert process.returncode == 0, said
    return said
