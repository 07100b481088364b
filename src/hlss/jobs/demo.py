"""`hlss demo`: the main job on drawn tissue, from nothing to a report and pictures, without data or network."""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hlss.cohorts.base import Cohort
from hlss.cohorts.phantom.spec import PhantomSpec
from hlss.cohorts.splits import split
from hlss.config import read_settings
from hlss.embedding_table import EmbeddingTable
from hlss.errors import UserError
from hlss.experiment import Experiment
from hlss.files import write_json
from hlss.jobs.demo_maps import map_new_slides, pictures_of
from hlss.jobs.demo_pictures import contact_sheet
from hlss.jobs.demo_readings import picture_readings
from hlss.jobs.demo_report import CHECKPOINTS, PICTURES, READ, Report, origin_of, weights_of
from hlss.jobs.demo_tables import UNSHOWN, accuracy_tables, in_columns, verdict_table, words_table
from hlss.jobs.embed import embed_run
from hlss.jobs.evaluate import evaluate_tables
from hlss.jobs.provenance import provenance
from hlss.jobs.report import make_report
from hlss.jobs.train import say_once, train_experiment
from hlss.jobs.truth import Asked, Words, agreement_of, asked_of_each
from hlss.language.factors import truth_of

_SETTINGS = Path(__file__).parent / "demo.yaml"


def run_demo(out: Path, overrides: Sequence[str]) -> Path:
    """Train, embed before and after, evaluate, explain; run again, it goes on or shows the result again.

    Fills `out`, whose README.md tells the rest. Raises UserError, before training where the settings do not fit.
    """
    began, resumed = time.monotonic(), (out / "run" / "checkpoints").exists()
    experiment = demo_experiment(out, overrides)
    say_once(f"1/6 drawing tissue of known truth, and pretraining on it, from {origin_of(experiment)}")
    cohort: Cohort = experiment.cohort.open()
    contact_sheet(cohort, out / "tissue.png")
    train_experiment(experiment)
    tables = {name: _embedded(out / "run", number, name) for number, name in enumerate(CHECKPOINTS, start=2)}
    facts = {name: table.provenance for name, table in tables.items()}
    say_once("5/6 evaluating on patients that training never saw")
    folders = [out / "run" / "embeddings" / name for name in CHECKPOINTS]
    evaluate_tables(folders, "start", out / "evaluation.json", shown=False)
    evaluation = json.loads((out / "evaluation.json").read_text())
    for title, rows in accuracy_tables(evaluation).items():
        print(f"{title}\n{in_columns(rows)}\n")
    say_once("6/6 comparing what is read from the features with what was drawn")
    words = Words.of(experiment)
    say_once("  looking up what was drawn in every test patch")
    asked = asked_of_each(tables, cohort)
    found = _agreement(asked, words, out / "explanations.json")
    say_once("  drawing patches and their words")
    picture_readings(tables[READ], asked[READ], words, cohort, out / "readings.png")
    say_once("  mapping two slides of new patients")
    maps = map_new_slides(experiment, out / "run", READ, words, out, lambda line: None)
    say_once("  putting all of it into one page, report.html")
    make_report([out / "run"], out / "report.html", checkpoint=READ, mapped=out / "slides", say=lambda line: None)
    pictures = PICTURES | pictures_of(maps)
    Report(experiment, evaluation, found, facts, pictures, time.monotonic() - began, resumed).write(out / "README.md")
    print(_ending(evaluation, out, time.monotonic() - began))
    return out


def demo_experiment(out: Path, overrides: Sequence[str]) -> Experiment:
    """The demo's settings with these changes. Raises UserError where they do not make a demo."""
    experiment = read_settings(_SETTINGS, Experiment, [f"out={out / 'run'}", f"cache={out / 'cache'}", *overrides])
    if experiment.folder.resolve() != (out / "run").resolve():
        raise UserError(
            "the demo keeps its run below its folder", where="out", fix=f"Leave it out, and use --out {out}."
        )
    if not isinstance(experiment.cohort, PhantomSpec):
        fix = "Keep the cohort `phantom`; for your own slides use `hlss train`."
        raise UserError("the demo needs tissue of known truth", where="cohort", fix=fix)
    if experiment.language is None:
        raise UserError("the demo needs words", where="language", fix="Keep the bank `phantom`.")
    truth_of(experiment.language.bank)
    if experiment.language.variant != "granular":
        fix = "Keep it granular."
        raise UserError("other rows of text than the bank's have no known truth", where="language.variant", fix=fix)
    sides = split(experiment.cohort.open(), experiment.split)
    for side in ("train", "test"):
        if side not in sides:
            raise UserError(f"the demo needs patients on the {side} side", where="split", fix="Keep split.test=0.4.")
    return experiment


def _embedded(run: Path, number: int, checkpoint: str) -> EmbeddingTable:
    """Every patch through a checkpoint; number: of the stage."""
    say_once(f"{number}/6 embedding all patches: {weights_of(checkpoint, {})}")
    return EmbeddingTable.read(embed_run(run, checkpoint, None, []))


def _agreement(asked: Mapping[str, Asked], words: Words, path: Path) -> dict[str, dict[str, Any]]:
    """Words against the truth by checkpoint; prints the means and writes all of it."""
    found = {}
    for name, one in asked.items():
        say_once(f"  scoring every word of {name}, patients resampled")
        found[name] = agreement_of(one, words)
    write_json(path, {"agreement": found, "provenance": provenance()})
    print(
        f"Words against the truth: AUROC on test patches (0.5: chance)\n{in_columns(words_table(found, every=False))}\n"
    )
    return found


def _ending(evaluation: Mapping[str, Any], out: Path, seconds: float) -> str:
    verdict = in_columns(verdict_table(evaluation))
    unshown = f"({UNSHOWN}: the 95 % interval holds 0)\n" if UNSHOWN in verdict else ""
    return (
        f"\nWhat this run shows (accuracy on test patients, points over the start):\n{verdict}\n{unshown}\n"
        f"In {seconds:.0f} s. All of it in one page, for a browser, which works offline:\n{out / 'report.html'}\n"
        f"What was found in short, and how to do the same on your own slides:\n{out / 'README.md'}"
    )
