"""`hlss view` in a process of its own: a run on drawn slides of 20,000 px, or slides whose names try to be HTML."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from drawn_run import noise, towards, write_run
from web_server import SCRIPT, WebServer

from hlss.cohorts.base import Cohort
from hlss.cohorts.phantom.reader import PhantomFile
from hlss.cohorts.phantom.spec import DRAWING, PhantomSpec
from hlss.embedding_table import EmbeddingTable
from hlss.encoders.random import RandomText

SIDE_PX0, TILE_PX, DIM = 20_000, 250, 16
TILES = SIDE_PX0 // TILE_PX  # a line; as many lines
SENTENCE = "a needle in the haystack"
NEEDLE = (2, 4050)  # the slide, and the tile of it, that match the sentence best; the second is beside it
TEXTS = tuple(f"clear cells {way}" for way in ("one", "two", "three", "four"))
GLANDS, FEW = "gland formation", 36
HARD = f"hard {SCRIPT}"
SETTINGS: dict[str, Any] = {
    "name": "viewed",
    "cohort": {"name": "phantom", "patients": 4, "slides": 1, "side": TILES, "tile_px": TILE_PX, "classes": 2},
    "split": {"kind": "random", "test": 0.5},
    "loader": {"workers": 0},
    "encoder": {"name": "timm", "architecture": "resnet10t", "input_px": 32, "dim": DIM},
    "language": {"bank": "general_he", "text": {"name": "random", "dim": DIM}},
    "objective": "hidisc",
}


def needle(cohort: Cohort, labels: np.ndarray) -> np.ndarray:
    """Noise, of each class around a place of its own; but two neighbouring tiles of NEEDLE's slide say the sentence."""
    rng = np.random.default_rng(0)
    around = {label: 2 * rng.standard_normal(DIM) for label in sorted(set(labels.tolist()))}
    text = RandomText(dim=DIM).build().encode([SENTENCE]).numpy()[0]
    features = np.stack([around[label] for label in labels.tolist()]) + rng.standard_normal((len(labels), DIM))
    first = int(cohort.slide_tiles(NEEDLE[0])[0]) + NEEDLE[1]
    features[first], features[first + 1] = 40 * text, 40 * text + rng.standard_normal(DIM)
    return features


def write_bank(path: Path) -> Path:
    """Two characteristics a level; a name and a description of the patch level would be a script."""
    tree: dict[str, Any] = {"title": f"small {SCRIPT}", "domain": "drawn", "provenance": "a test"}
    for level in ("patch", "slide", "patient"):
        tree[level] = [
            {"name": f"{level} {n}", "descriptions": [f"{level} {n} seen {way}" for way in "abcd"]} for n in range(2)
        ]
    tree["patch"][0] |= {"name": "clear cells", "descriptions": list(TEXTS)}
    tree["patch"][1] |= {"name": HARD, "descriptions": [SCRIPT, "b", "c", "d"]}
    path.write_text(yaml.safe_dump(tree))
    return path


def run_server(folder: Path) -> WebServer:
    """Of a run of four patients, each with a slide of 80 × 80 tiles."""
    run = write_run(folder / "run", SETTINGS, {"last": needle})
    return WebServer(["view", str(run), "--bank", str(write_bank(folder / "bank.yaml"))])


def write_drawn(folder: Path) -> Path:
    """A run on drawn tissue of two patients with a slide of 8 × 8 tiles each. Its `last` features know where glands
    are; of the first slide it has FEW patches only, and nothing has a label. Those of `start` are noise.
    """
    settings = {
        **SETTINGS,
        "cohort": {
            "name": "phantom", "patients": 2, "slides": 1, "side": 8, "tile_px": 32, "mpp": 2.0, "classes": 1,
            "seed": 4,
        },
        "loader": {"workers": 0, "pack": None},
        "encoder": "tiny",
        "language": {"bank": "phantom"},
    }  # fmt: skip
    run = write_run(folder / "run", settings, {"start": noise(128), "last": towards(GLANDS, "slide", "glands")})
    table = EmbeddingTable.read(run / "embeddings" / "last")
    rows, columns = np.arange(len(table)), {**table.columns, "label": np.full(len(table), "", dtype=object)}
    unlabelled = EmbeddingTable(table.features, columns, table.provenance)
    unlabelled.where((rows < FEW) | (rows >= 64)).write(run / "embeddings" / "last")
    return run


def write_slides(folder: Path) -> Path:
    """A manifest of three drawn slides, of which one has a script for all its names; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [("plain.phantom", "Ann", "plain", "clear"), ("hard.phantom", SCRIPT, HARD, SCRIPT)]
    for number, (file, *_) in enumerate(rows):
        said = PhantomFile(
            drawing=DRAWING,
            cohort=PhantomSpec(patients=2, slides=1),
            patient=number,
            slide=0,
            width_px0=3000 + number,
            height_px0=1111,
            mpp=0.5,
            downsamples=(1.0, 4.0),
        )
        (folder / file).write_text(said.text())
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "patient_id", "slide_id", "label"])
        writer.writerows(rows)
    (folder / "secret.txt").write_text("outside")
    return folder / "manifest.csv"


def slides_server(folder: Path) -> WebServer:
    """Of slides without a run."""
    return WebServer(["view", "--slides", str(write_slides(folder))])
