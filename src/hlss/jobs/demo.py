"""`hlss demo`: the main job on drawn tissue, from nothing to a table, without data or network."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from hlss.cohorts.base import Cohort
from hlss.config import read_settings
from hlss.experiment import Experiment
from hlss.files import replacing
from hlss.jobs.embed import embed_run
from hlss.jobs.evaluate import evaluate_tables
from hlss.jobs.train import say_once, train_experiment

_SETTINGS = Path(__file__).parent / "demo.yaml"
_ACROSS = 6  # tiles of a patient on the contact sheet

_NEXT = """
What was just run, and how to run it on slides of your own (a manifest with patient_id, slide_id, path, label):

  hlss train experiments/phantom/hlss.yaml 'cohort={name: manifest, path: my/manifest.csv}' out=runs/mine
  hlss embed runs/mine --checkpoint start && hlss embed runs/mine
  hlss evaluate runs/mine/embeddings/start runs/mine/embeddings/last --against start
"""


def run_demo(out: Path, overrides: Sequence[str]) -> Path:
    """Train, embed before and after, evaluate; run again, it goes on or shows the result again. Returns `out`."""
    say_once("1/4 drawing tissue of known truth and pretraining HLSS on it, from random weights")
    experiment = read_settings(_SETTINGS, Experiment, [f"out={out / 'run'}", f"cache={out / 'cache'}", *overrides])
    _contact_sheet(experiment.cohort.open(), out / "tissue.png")
    train_experiment(experiment)
    tables = []
    for number, checkpoint in enumerate(("start", "last"), start=2):
        say_once(f"{number}/4 embedding all patches with the {checkpoint} of training")
        tables.append(embed_run(out / "run", checkpoint, None, []))
    say_once("4/4 evaluating on patients that training never saw")
    evaluate_tables(tables, "start", out / "evaluation.json")
    print(_NEXT)
    print(f"Pictures of the tissue: {out / 'tissue.png'}; numbers with their provenance: {out / 'evaluation.json'}")
    return out


def _contact_sheet(cohort: Cohort, path: Path) -> None:
    """A row of tiles for the first patient of each class."""
    rows = []
    for label in range(len(cohort.classes)):
        patient = int(np.flatnonzero(cohort.patient_label == label)[0])
        tiles = np.concatenate([cohort.slide_tiles(int(slide)) for slide in cohort.patient_slides(patient)])
        rows.append(
            np.hstack([cohort.read_tile(int(tile)) for tile in tiles[:: max(1, len(tiles) // _ACROSS)][:_ACROSS]])
        )
    with replacing(path) as temporary:
        encoded = cv2.imencode(".png", cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))[1]
        temporary.write_bytes(encoded.tobytes())
