"""`hlss demo`: the main job on drawn tissue, from nothing to a table and pictures, without data or network."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from hlss.cohorts.base import Cohort
from hlss.config import read_settings
from hlss.embedding_table import EmbeddingTable
from hlss.experiment import Experiment
from hlss.explain.pictures import show_sheet
from hlss.files import write_json
from hlss.jobs.demo_pictures import picture_map, picture_readings
from hlss.jobs.embed import embed_run
from hlss.jobs.evaluate import evaluate_tables
from hlss.jobs.pretrain_tiny.captions import HELD_OUT
from hlss.jobs.provenance import provenance
from hlss.jobs.train import say_once, train_experiment
from hlss.jobs.truth import Asked, Words, agreement_of, asked_of_each
from hlss.train.checkpoint import MIDWAY
from hlss.types import LEVELS

_SETTINGS = Path(__file__).parent / "demo.yaml"
_ACROSS = 9  # tiles of a class on the contact sheet
CHECKPOINTS = ("start", MIDWAY, "last")
_READ = MIDWAY  # of which the pictures are: as good by patients as the last on tissue tuned on, and better in words
_WEIGHTS = {
    "start": "the small CLIP as it comes",
    MIDWAY: "half way between start and last, weight by weight, which keeps more of the words; norms taken anew",
    "last": "the end of training",
}

_NEXT = """
The same on slides of your own (a manifest with patient_id, slide_id, path, label), from a CLIP that knows real images:

  hlss train my.yaml                          # README has a my.yaml of nine lines
  hlss embed runs/mine --checkpoint start
  hlss embed runs/mine --checkpoint midway
  hlss embed runs/mine
  hlss evaluate runs/mine/embeddings/* --against start
"""


def run_demo(out: Path, overrides: Sequence[str]) -> Path:
    """Train, embed before and after, evaluate, explain; run again, it goes on or shows the result again."""
    began = time.monotonic()
    experiment = read_settings(_SETTINGS, Experiment, [f"out={out / 'run'}", f"cache={out / 'cache'}", *overrides])
    say_once("1/6 drawing tissue of known truth, and pretraining HLSS on it, from the small CLIP that comes with hlss")
    cohort: Cohort = experiment.cohort.open()
    contact_sheet(cohort, out / "tissue.png")
    train_experiment(experiment)
    folders = {}
    for number, checkpoint in enumerate(CHECKPOINTS, start=2):
        say_once(f"{number}/6 embedding all patches: {_WEIGHTS[checkpoint]}")
        folders[checkpoint] = embed_run(out / "run", checkpoint, None, [])
    say_once("5/6 evaluating on patients that training never saw")
    evaluate_tables(list(folders.values()), "start", out / "evaluation.json")
    say_once("6/6 comparing what is read from the features with what was drawn")
    words = Words.of(experiment)
    tables = {name: EmbeddingTable.read(folder) for name, folder in folders.items()}
    asked = asked_of_each(tables, cohort)
    say_once("  scoring every characteristic, patients resampled")
    _explain(asked, words, out)
    read = tables[_READ]
    say_once("  drawing pictures: patches and their words, a slide and its map")
    picture_readings(read, asked[_READ], words, cohort, out / "readings.png")
    picture_map(experiment, out / "run", _READ, read, words, out / "map.png")
    print(_verdict(json.loads((out / "evaluation.json").read_text())))
    print(_NEXT)
    print(_where(out, time.monotonic() - began))
    return out


def contact_sheet(cohort: Cohort, path: Path) -> None:
    """A row of tiles for each class, each of another patient as long as there are any."""
    rows, names = [], []
    for label, name in enumerate(cohort.classes):
        patients = np.flatnonzero(cohort.patient_label == label)
        tiles = []
        for number in range(_ACROSS):
            patient = int(patients[number % len(patients)])
            of_patient = np.concatenate([cohort.slide_tiles(int(slide)) for slide in cohort.patient_slides(patient)])
            tiles.append(cohort.read_tile(int(of_patient[(7 * number) % len(of_patient)])))
        rows.append(tiles)
        names.append(name.replace("_", " "))
    show_sheet(rows, names, path)


def _explain(asked: dict[str, Asked], words: Words, out: Path) -> None:
    found = {name: agreement_of(one, words) for name, one in asked.items()}
    write_json(out / "explanations.json", {"agreement": found, "provenance": provenance()})
    table = Table(title="Words against the truth: AUROC on test patches (0.5: chance)", title_justify="left")
    for head in ("what", *CHECKPOINTS):
        table.add_column(head, justify="left" if head == "what" else "right")
    factors = {name: one["by_factor"] for name, one in found.items()}
    told = [factor for factor in factors["start"] if factor not in HELD_OUT]
    untold = [factor for factor in factors["start"] if factor in HELD_OUT]
    table.add_row("all factors, mean", *(_with_interval(found[name]) for name in CHECKPOINTS))
    table.add_row("told to the small CLIP, mean", *(_mean_of(factors[name], told) for name in CHECKPOINTS))
    table.add_row("never told to it, mean", *(_mean_of(factors[name], untold) for name in CHECKPOINTS))
    for factor in (*told, *untold):
        mark = "" if factor in told else " (never told)"
        table.add_row(f"  {factor}{mark}", *(_shown(factors[name].get(factor)) for name in CHECKPOINTS))
    table.add_row("distractors, mean", *(_shown(found[name]["distractors"]) for name in CHECKPOINTS))
    Console().print(table)


def _with_interval(found: dict[str, Any]) -> str:
    span = "" if found["interval"] is None else " [{:.2f}, {:.2f}]".format(*found["interval"])
    return _shown(found["mean_auroc"]) + span


def _mean_of(by_factor: dict[str, float], names: Sequence[str]) -> str:
    known = [by_factor[name] for name in names if name in by_factor]
    return _shown(float(np.mean(known)) if known else None)


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _verdict(evaluation: dict[str, Any]) -> str:
    """What was measured, in a sentence a level; a loss is said as plainly as a gain."""
    lines = ["What this run shows (kNN accuracy on test patients, against the start):"]
    for result in evaluation["results"]:
        weights = result["method"].split(" · ")[-1]
        found = {level: result["differences"].get(level, {}).get("accuracy") for level in LEVELS}
        lines += [
            f"  {weights}, protocol {result['protocol']}, {level}: {_claim(difference)}"
            for level, difference in found.items()
            if difference is not None
        ]
    return "\n".join(lines)


def _claim(difference: dict[str, Any]) -> str:
    change, interval = 100 * difference["mean"], difference["interval"]
    word = "HLSS gained" if change > 0 else "HLSS lost" if change < 0 else "unchanged,"
    if interval is None:
        return f"{word} {abs(change):.1f} points"
    sure = interval["low"] > 0 or interval["high"] < 0
    span = f"[{100 * interval['low']:+.1f}, {100 * interval['high']:+.1f}]"
    return f"{word} {abs(change):.1f} points {span}{'' if sure else ' – the interval holds 0: no difference is shown'}"


def _where(out: Path, seconds: float) -> str:
    return (
        f"In {seconds:.0f} s. Pictures: {out / 'tissue.png'} (the tissue), {out / 'readings.png'} (patches and their "
        f"words), {out / 'map.png'} (a slide beside the truth). Numbers with their provenance: "
        f"{out / 'evaluation.json'}, {out / 'explanations.json'}."
    )
