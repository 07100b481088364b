"""One setting changed at a time: train, embed, score against the start, and ask the words. Goes on where it stopped.

    python experiments/sweep.py experiments/features/sweep.yaml --out docs/results/ha_features.json

On several cores, `--only 0/2` and `--only 1/2` in processes of their own make every second run, and no result.

A sweep names an experiment, the run whose cohort knows the truth, and the changes by name. Each row of the result
holds accuracy less that of the start with its 95 % interval (patients resampled, paired), how well words agree with
what was drawn (AUROC), how many texts of the patient level views choose (perplexity), the rank of the features, how
often the site is told, and the config hash.
"""

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field, model_validator

from hlss.config import Part, read_settings
from hlss.embedding_table import EmbeddingTable
from hlss.evaluate.evaluation import EvaluateSpec, evaluate
from hlss.evaluate.health import effective_rank, site_predictability
from hlss.experiment import Experiment
from hlss.files import write_json
from hlss.jobs.embed import embed_run
from hlss.jobs.evaluate import evaluate_tables
from hlss.jobs.provenance import provenance
from hlss.jobs.setup import experiment_of
from hlss.jobs.train import say_once, train_experiment
from hlss.jobs.truth import Asked, Words, asked_of_each, measured
from hlss.types import LEVELS, Level

START = "start"
silent = partial(str)  # what a run says of itself stays in its folder


class Sweep(Part):
    """experiment: its file; truth: experiment of the cohort that was drawn, whose text tower reads; runs: folder.

    checkpoints: what is compared with the start; start-norms-train: nothing learnt, statistics of norms of the cohort.
    cohorts: every setting draws a cohort of its own, and is compared with its own start; then all are pooled.
    seeds: by name, settings that differ by their seed alone: pooled, and compared with the first of these names.
    """

    experiment: Path
    truth: Path
    runs: Path
    checkpoints: list[Literal["start-norms-train", "midway", "last"]] = Field(default=["last"], min_length=1)
    cohorts: bool = False
    seeds: dict[str, list[str]] = Field(default_factory=dict)
    settings: dict[str, list[str]] = Field(min_length=1)

    @model_validator(mode="after")
    def _known(self) -> "Sweep":
        unknown = [one for names in self.seeds.values() for one in names if one not in self.settings]
        if unknown:
            raise ValueError(f"`seeds` names {unknown[0]!r}, which is no setting")
        return self


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sweep", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", metavar="I/N", help="make the runs I, I + N, … and no result")
    given = parser.parse_args()
    sweep = read_settings(given.sweep, Sweep)
    if given.only:
        which, of = map(int, given.only.split("/"))
        for name in list(sweep.settings)[which::of]:
            made(sweep, {name: sweep.settings[name]}, given.sweep.parent)
        return
    rows, data, cohorts = [], [], []
    for settings in [{name: made} for name, made in sweep.settings.items()] if sweep.cohorts else [sweep.settings]:
        tables = made(sweep, settings, given.sweep.parent)
        first = next(iter(tables))
        scored = json.loads(evaluate_tables(list(tables.values()), first, sweep.runs / "evaluation.json").read_text())
        changes = next(iter(settings.values())) if sweep.cohorts else []
        truth = read_settings(given.sweep.parent / sweep.truth, Experiment, changes)
        read = {name: EmbeddingTable.read(table) for name, table in tables.items()}
        asked, words = asked_of_each(read, truth.cohort.open()), Words.of(truth)
        rows += [row(name, sweep, tables[name], read[name], scored, words, asked[name]) for name in tables]
        data.append(scored["tables"][0]["data_hash"])
        cohorts.append(read)
    rows += pooled(cohorts, list(rows[0])) if sweep.cohorts else []
    rows += over_seeds(sweep, cohorts[0], list(rows[0])) if sweep.seeds else []
    facts = provenance()
    used = {"command": facts["command"].replace("hlss ", "python experiments/sweep.py ", 1)}
    used |= {name: facts[name] for name in ("code_version", "hardware")}
    write_json(given.out, {"rows": rows, **used, "data": ", ".join(data)})
    print(given.out)


def made(sweep: Sweep, settings: Mapping[str, list[str]], where: Path) -> dict[str, Path]:
    """The start's table, then those of each setting; those that are there are taken as they are.

    Patients a setting keeps out of training (`split.val`) are embedded on the side they have in the experiment.
    """
    tables: dict[str, Path] = {}
    sides = [f"split.val={read_settings(where / sweep.experiment, Experiment).split.val}"]
    for name, changes in settings.items():
        folder = sweep.runs / re.sub(r"\W+", "-", name)
        experiment = read_settings(where / sweep.experiment, Experiment, [f"name={name}", f"out={folder}", *changes])
        say_once(f"{name}: {' '.join(changes)}")
        train_experiment(experiment, silent)
        first = sweep.cohorts or name == next(iter(sweep.settings))
        for checkpoint in (START, *sweep.checkpoints) if first else sweep.checkpoints:
            table = folder / "embeddings" / checkpoint
            if not table.exists():
                which, _, norms = checkpoint.partition("-norms-")
                embed_run(folder, which, None, sides, norms="train" if norms else None, say=silent)
            tables[f"{name} · {checkpoint}"] = table
    return tables


def row(
    name: str,
    sweep: Sweep,
    folder: Path,
    table: EmbeddingTable,
    scored: Mapping[str, Any],
    words: Words,
    asked: Asked,
) -> dict[str, Any]:
    """What became of one setting."""
    method = table.provenance["method"]
    start = folder.name.startswith(START)  # with norms of the cohort, or its own
    changes = [] if start and not sweep.cohorts else sweep.settings[name.rpartition(" · ")[0]]
    found: dict[str, Any] = {"setting": name, "changes": " ".join(changes)}
    for result in (one for one in scored["results"] if one["method"] == method):
        for level in LEVELS:
            found[f"{level} ({result['protocol']})"] = told(result, level)
    test = table["side"] == "test"
    found["words"] = f"{measured(asked, words, resamples=1).mean():.3f}"
    found["texts in use"] = in_use(folder.parents[1] / "log.jsonl") if not start else "–"
    z, sites, patients = table.features[test], numbers(table["site"][test]), numbers(table["patient"][test])
    found["rank"] = f"{effective_rank(z):.0f}"
    told_site = site_predictability(z - z.mean(axis=0), sites, patients).get("val/site_knn")
    found["site"] = "–" if told_site is None else f"{100 * told_site:.0f}"
    found["config"] = experiment_of(folder.parents[1]).hash
    return found


def pooled(cohorts: Sequence[Mapping[str, EmbeddingTable]], columns: Sequence[str]) -> list[dict[str, Any]]:
    """Accuracy over the test patients of all cohorts together, each asked of its own cohort's bank."""
    tables = []
    for number, read in enumerate(cohorts):
        for name, table in read.items():
            own = {column: np.array([f"{number}/{one}" for one in table[column]]) for column in ("patient", "slide")}
            facts = {**table.provenance, "method": f"all cohorts · {name.rpartition(' · ')[2]}", "fold": number}
            tables.append(replace(table, columns={**table.columns, **own}, provenance=facts))
    return together(tables, f"all cohorts · {START}", columns)


def over_seeds(sweep: Sweep, read: Mapping[str, EmbeddingTable], columns: Sequence[str]) -> list[dict[str, Any]]:
    """Accuracy over all seeds of each name in `seeds`; of the others what they gain over the first name, paired."""
    tables = []
    for name, settings in sweep.seeds.items():
        for seed, setting in enumerate(settings):
            table = read[f"{setting} · {sweep.checkpoints[-1]}"]
            facts = {**table.provenance, "method": f"{name} · all seeds", "seed": seed}
            tables.append(replace(table, provenance=facts))
    return together(tables, tables[0].provenance["method"], columns)


def together(tables: Sequence[EmbeddingTable], against: str, columns: Sequence[str]) -> list[dict[str, Any]]:
    """A row of accuracies for each method of these tables."""
    scored = evaluate(tables, EvaluateSpec(), against).to_json()
    found: dict[str, dict[str, Any]] = {}
    for result in scored["results"]:
        less = "–" if result["method"] == against else f"less {against}"
        first = dict.fromkeys(columns, "–") | {"setting": result["method"], "changes": less}
        of_method = found.setdefault(result["method"], first)
        of_method |= {f"{level} ({result['protocol']})": told(result, level) for level in LEVELS}
    return list(found.values())


def told(result: Mapping[str, Any], level: Level) -> str:
    """Accuracy of the start; of the others what they gain, in points, with the interval."""
    difference = result["differences"].get(level, {}).get("accuracy")
    if difference is None:
        return f"{100 * result['metrics'][level]['accuracy']:.1f}"
    gain, interval = f"{100 * difference['mean']:+.1f}", difference["interval"]
    if interval is None:
        return gain
    return f"{gain} [{100 * interval['low']:+.1f}, {100 * interval['high']:+.1f}]"


def in_use(log: Path) -> str:
    """Perplexity of the chosen texts at the end of training, of the patient level."""
    last = [json.loads(line) for line in log.read_text().splitlines()][-1]
    used = [value for key, value in last.items() if key.endswith(f"bank_use/{Level.PATIENT}")]
    return f"{used[0]:.1f}" if used else "–"


def numbers(names: np.ndarray) -> np.ndarray:
    return np.unique(names.astype(str), return_inverse=True)[1]


if __name__ == "__main__":
    main()
