"""Every shipped experiment parses, and names only what is registered."""

from pathlib import Path

import pytest

from hlss.config import read_settings, settings_hash, write_settings
from hlss.experiment import Experiment

ROOT = Path(__file__).parents[2]
FILES = sorted([*ROOT.glob("experiments/*/*.yaml"), *ROOT.glob("src/hlss/jobs/*.yaml")])


def test_there_are_some() -> None:
    assert len(FILES) >= 5


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_experiment_parses_and_survives_being_written(path: Path, tmp_path: Path) -> None:
    experiment = read_settings(path, Experiment)
    write_settings(experiment, tmp_path / "resolved.yaml")
    again = read_settings(tmp_path / "resolved.yaml", Experiment)
    assert again == experiment
    assert settings_hash(again) == settings_hash(experiment)
    assert experiment.folder == Path("runs") / experiment.name
    assert not experiment.objective.needs_text or experiment.language is not None
