"""Every shipped experiment parses, and names only what is registered; every table's rows are shipped experiments."""

from pathlib import Path

import pytest

from hlss.config import read_settings, read_tree, settings_hash, write_settings
from hlss.evaluate.paper import PAPER
from hlss.experiment import Experiment
from hlss.jobs.table_spec import compared, planned, read_table

ROOT = Path(__file__).parents[2]
SHARED = {"methods", "starts", "tables"}  # folders of parts that experiments and tables are made of
PARTS = [path for path in sorted(ROOT.glob("experiments/*/*.yaml")) if path.parent.name not in SHARED]
TABLES = [path for path in PARTS if path.read_text().startswith("base: [../tables/")]
SWEEPS = [path for path in PARTS if path.name in ("sweep.yaml", "replicates.yaml")]
FILES = [path for path in PARTS if path not in (*TABLES, *SWEEPS) and path.name != "tables.yaml"]
FILES += sorted(ROOT.glob("src/hlss/jobs/*.yaml"))

COHORTS = ("opensrh", "tcga", "phantom", "phantom_features", "tcga_organs", "osteosarcoma")
METHODS = {
    *("supervised", "simclr", "simsiam", "byol", "vicreg", "hidisc", "hlss"),  # Table 1
    *("hvc", "hvc_patch", "hvc_patch_slide", "hvc_generic"),  # Tables 3, 4, 5
    *("hvc_random_init", "hvc_frozen", "hlss_random_text", "hlss_permuted_bank"),  # projections, controls
    *("hlss_paper", "hlss_released"),  # modes
}


def named(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


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
