"""Every shipped experiment parses, builds and steps once; every table's rows are shipped experiments.

Where neither tiles nor features are at hand (real cohorts, foreign towers), the objective alone is built, at the width
of the experiment's tower, and given features once.
"""

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from stored_features import table

from hlss.config import read_settings, read_tree, settings_hash, write_settings
from hlss.encoders.base import ImageEncoder
from hlss.evaluate.paper import PAPER
from hlss.experiment import Experiment
from hlss.jobs.setup import build_objective
from hlss.jobs.table_spec import compared, planned, read_table
from hlss.jobs.train import train_experiment
from hlss.objectives.base import Gathered
from hlss.train.run_folder import read_log
from hlss.types import LEVELS

ROOT = Path(__file__).parents[2]
SHARED = {"methods", "starts", "tables"}  # folders of parts that experiments and tables are made of
PARTS = [path for path in sorted(ROOT.glob("experiments/*/*.yaml")) if path.parent.name not in SHARED]
TABLES = [path for path in PARTS if path.read_text().startswith("base: [../tables/")]
SWEEPS = [path for path in PARTS if path.name in ("sweep.yaml", "replicates.yaml")]
FILES = [path for path in PARTS if path not in (*TABLES, *SWEEPS) and path.name not in ("tables.yaml", "prompts.yaml")]
FILES += sorted(ROOT.glob("src/hlss/jobs/*.yaml"))

COHORTS = ("opensrh", "tcga", "phantom", "phantom_features", "tcga_organs", "tcga_organs_features", "osteosarcoma")
METHODS = {
    *("supervised", "simclr", "simsiam", "byol", "vicreg", "hidisc", "hlss"),  # Table 1
    *("hvc", "hvc_patch", "hvc_patch_slide", "hvc_generic"),  # Tables 3, 4, 5
    *("hvc_random_init", "hvc_frozen", "hlss_random_text", "hlss_permuted_bank"),  # projections, controls
    *("hlss_plus", "hlss_paper", "hlss_released"),  # modes
}

TINY = {  # by cohort: what makes a step of it cheap; what is learnt stays as the file has it
    "phantom": [
        "cohort={name: phantom, patients: 6, slides: 1, side: 2, tile_px: 32, sites: 1, classes: 2}",
        "split={kind: random, test: 0.34}",
    ],
    "embeddings": [],
}
STEP = ["batches.patients=2", "batches.slides=1", "batches.patches=2", "loader.workers=0", "train.steps=1"]
WIDTHS = {"clip": 1024, "lite0": 1280}  # of towers that are not at hand everywhere, before a projection
FOREIGN = {"minilm"}  # text towers likewise: random vectors stand in


def named(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def ways(paths: list[Path]) -> dict[bool, list[Path]]:
    """A file for each way to learn, by whether its tiles or features can be had here: those that share cohort's kind,
    tower, words and objective with an earlier file are left out.
    """
    found: dict[bool, dict[str, Path]] = {True: {}, False: {}}
    for path in paths:
        tree = read_settings(path, Experiment).model_dump(mode="json")
        kind = tree["cohort"]["name"]
        found[kind in TINY].setdefault(str([kind, tree["encoder"], tree["language"], tree["objective"]]), path)
    return {at_hand: list(files.values()) for at_hand, files in found.items()}


WAYS = ways(FILES)


def width(experiment: Experiment) -> int:
    """Length of the tower's features."""
    settings = experiment.encoder.model_dump()
    return settings.get("dim") or settings.get("width") or WIDTHS[settings["name"]]


def random_words(experiment: Experiment) -> str:
    return f"language.text={{name: random, dim: {width(experiment)}}}"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Packs and texts, shared by all runs of a worker."""
    return tmp_path_factory.mktemp("cache")


def test_there_are_some() -> None:
    assert len(FILES) >= 5
    assert len(TABLES) >= 5


@pytest.mark.parametrize("path", FILES, ids=named)
def test_experiment_parses_and_survives_being_written(path: Path, tmp_path: Path) -> None:
    experiment = read_settings(path, Experiment)
    write_settings(experiment, tmp_path / "resolved.yaml")
    again = read_settings(tmp_path / "resolved.yaml", Experiment)
    assert again == experiment
    assert settings_hash(again) == settings_hash(experiment)
    assert experiment.folder == Path("runs") / experiment.name
    assert not experiment.objective.needs_text or experiment.language is not None


@pytest.mark.parametrize("path", WAYS[True], ids=named)
def test_experiment_builds_and_steps_once(path: Path, cache: Path, tmp_path: Path) -> None:
    experiment = read_settings(path, Experiment)
    changes = [*TINY[experiment.cohort.name], *STEP, f"out={tmp_path / 'run'}", f"cache={cache}"]
    if experiment.language is not None and getattr(experiment.language.text, "name", None) in FOREIGN:
        changes.append(random_words(experiment))
    if experiment.cohort.name == "embeddings":
        table(experiment.encoder.width).write(tmp_path / "table")
        changes.append(f"cohort.path=[{tmp_path / 'table'}]")
    run = train_experiment(read_settings(path, Experiment, changes), lambda _: None)
    (row,) = [row for row in read_log(run / "log.jsonl") if "loss/total" in row]
    assert row["step"] == 1
    assert all(math.isfinite(value) for value in row.values())
    assert row["gradient/total"] > 0
    start, end = (load_file(run / f"checkpoints/step-0000000{step}/encoder.safetensors") for step in (0, 1))
    assert any(not torch.equal(end[name], weight) for name, weight in start.items())


@pytest.mark.parametrize("path", WAYS[False], ids=named)
def test_objective_of_an_experiment_without_its_data_takes_features(path: Path, cache: Path) -> None:
    experiment = read_settings(path, Experiment)
    if experiment.language is not None:
        experiment = read_settings(path, Experiment, [f"cache={cache}", random_words(experiment)])
    tower = ImageEncoder(width(experiment), 8, (0.5,), (0.5,))
    objective, texts = build_objective(experiment, tower, classes=2, say=lambda _: None)
    assert (texts is not None) == experiment.objective.needs_text
    z = torch.randn(16, tower.dim, generator=torch.Generator().manual_seed(0)).requires_grad_()
    ids = {level: torch.arange(16) // size for level, size in zip(LEVELS, (2, 4, 8), strict=True)}
    projected = objective.project(z)
    own = {**projected.own, **objective.targets(lambda copy: z.detach())}
    terms = objective.loss(Gathered(projected.shared, own, ids, torch.arange(16) // 8, slice(0, 16)))
    total = torch.stack(list(terms.values())).sum()
    (gradient,) = torch.autograd.grad(total, z)
    assert math.isfinite(float(total.detach()))
    assert float(gradient.norm()) > 0


@pytest.mark.parametrize("path", SWEEPS, ids=named)
def test_every_setting_of_a_sweep_is_an_experiment_of_its_own(path: Path) -> None:
    sweep = read_tree(path)
    read_settings(path.parent / sweep["truth"], Experiment)
    hashes = [
        settings_hash(read_settings(path.parent / sweep["experiment"], Experiment, changes), {"name", "out", "cache"})
        for changes in sweep["settings"].values()
    ]
    assert len(set(hashes)) == len(hashes)


@pytest.mark.parametrize("cohort", COHORTS)
def test_every_row_of_every_table_is_an_experiment_of_every_cohort(cohort: str) -> None:
    """Rows differ in their method only: from the base in name, objective and language, from each other somewhere."""
    folder = ROOT / "experiments" / cohort
    base = read_settings(folder / "base.yaml", Experiment)
    rows = {name: read_settings(folder / f"{name}.yaml", Experiment) for name in METHODS}
    own = {"name", "objective", "language"}
    for name, experiment in rows.items():
        assert experiment.name == name
        assert experiment.model_dump(exclude=own) == base.model_dump(exclude=own)
    assert len({settings_hash(experiment, exclude={"name"}) for experiment in rows.values()}) == len(METHODS)


@pytest.mark.parametrize("path", TABLES, ids=named)
def test_table_plans_its_runs(path: Path) -> None:
    spec, out = read_table([path], {})
    plan = planned(spec, Path("runs"), [])
    rows = {run.experiment.name for run in plan}
    assert len(plan) == len(rows) * len({(run.seed, run.fold) for run in plan})
    assert len({run.folder for run in plan}) == len(plan)
    assert len({run.start for run in plan}) == 1
    assert compared(spec, plan) == ["HiDisc"]
    assert rows <= METHODS
    assert out == Path("runs/tables") / path.parent.name / path.stem
    if spec.paper is not None:
        assert set(PAPER[spec.paper].accuracy) <= rows | METHODS
    if path.parent.name == "phantom":
        assert len({run.seed for run in plan}) >= 3
