"""What is opened to train or embed holds each slide once."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hlss.config import read_settings
from hlss.errors import UserError
from hlss.experiment import Experiment
from hlss.jobs.embed import embed_run
from hlss.jobs.setup import open_data
from hlss.jobs.train import train_run


@pytest.fixture
def cohort(tmp_path: Path) -> str:
    """The override that sets it: patients p0..p7 of a slide each, 2×2 tiles; p6 and p1 have the same one."""
    lines = ["patient_id,path,label"]
    for number in range(8):
        pixels = np.random.default_rng(1 if number == 6 else number).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        lines.append(f"p{number},{number}.png,{'ab'[number % 2]}")
    (tmp_path / "twice.csv").write_text("\n".join(lines) + "\n")
    return f"cohort={{name: manifest, path: {tmp_path / 'twice.csv'}, tile_px: 32}}"


SAYS = r"1\.png and .*6\.png hold the same, of patients 'p1' and 'p6'\. Keep one of them"


def test_a_slide_of_two_patients_is_refused_before_anything_is_packed_or_trained(
    experiment: Path, cohort: str, tmp_path: Path
) -> None:
    said: list[str] = []
    with pytest.raises(UserError, match=SAYS):
        open_data(read_settings(experiment, Experiment, [cohort]), said.append)
    with pytest.raises(UserError, match=SAYS):
        train_run(experiment, [cohort])
    assert not (tmp_path / "cache").exists()
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_it_is_not_embedded_either(experiment: Path, cohort: str, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text(experiment.read_text())
    with pytest.raises(UserError, match=SAYS):
        embed_run(tmp_path / "run", "last", None, [cohort])


def test_patches_may_be_alike(experiment: Path, cohort: str) -> None:
    whole = cohort.replace("tile_px: 32", "tile_px: 64")
    data = open_data(read_settings(experiment, Experiment, [whole]), lambda _: None)
    assert (data.cohort.n_images, data.cohort.n_tiles) == (8, 8)
