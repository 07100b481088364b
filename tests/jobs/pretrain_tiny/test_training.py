"""Tiles, batches, loss and resume of tiny's training, on a few tiles; and how it is judged."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from hlss.cohorts.phantom.factors import FACTORS
from hlss.cohorts.phantom.truth import tile_truths
from hlss.encoders.tiny import Tiny
from hlss.errors import UserError
from hlss.jobs.pretrain_tiny.__main__ import judge, main
from hlss.jobs.pretrain_tiny.data import CROP_PX, STORED_PX, Drawn, batches, drawn, judging_cohort, training_cohort
from hlss.jobs.pretrain_tiny.judge import judged
from hlss.jobs.pretrain_tiny.train import Trainer, augmented, clip_loss


@pytest.fixture(scope="module")
def few() -> Drawn:
    cohort = training_cohort(2).open()
    rows = np.arange(cohort.n_tiles)
    tiles = np.stack([cohort.read_tile(int(row)) for row in rows])
    return Drawn(tiles, tile_truths(cohort, rows).astype(np.float32), cohort.tile_patient(rows))


def test_tiles_are_drawn_once_and_go_on_where_they_were(tmp_path) -> None:
    spec = judging_cohort(2)
    said: list[int] = []
    first = drawn(spec, tmp_path / "t", 1, lambda done, total: said.append(done))
    assert first.tiles.shape == (36, CROP_PX, CROP_PX, 3)
    np.testing.assert_array_equal(first.tiles[5], spec.open().read_tile(5))
    again = drawn(spec, tmp_path / "t", 1, lambda done, total: said.append(-1))
    np.testing.assert_array_equal(again.truth, first.truth)
    assert said == [36]
    with pytest.raises(UserError, match="begun with other settings"):
        drawn(judging_cohort(3), tmp_path / "t", 1, lambda done, total: None)


def test_training_and_judging_share_no_patient_or_laboratory() -> None:
    assert training_cohort(9).seed != judging_cohort(9).seed


def test_batches_meet_every_row_once_an_epoch_and_hang_on_the_step_alone() -> None:
    steps = list(batches(10, 3, 0, 0, 6))
    first = np.concatenate([rows for _, rows in steps[:3]])
    assert len(set(first.tolist())) == 9
    assert [step for step, _ in steps] == list(range(6))
    for step, rows in batches(10, 3, 0, 4, 6):
        np.testing.assert_array_equal(rows, steps[step][1])
    with pytest.raises(UserError, match="10 tiles are less than one batch of 11"):
        next(batches(10, 11, 0, 0, 1))


def test_loss_is_the_symmetric_cross_entropy() -> None:
    generator = torch.Generator().manual_seed(0)
    images, texts = (torch.randn(5, 8, generator=generator, dtype=torch.float64) for _ in range(2))
    unit = [[v / math.sqrt(sum(x * x for x in row)) for v in row] for row in images.tolist()]
    words = [[v / math.sqrt(sum(x * x for x in row)) for v in row] for row in texts.tolist()]
    logits = [[4.0 * sum(a * b for a, b in zip(u, w, strict=True)) for w in words] for u in unit]
    total = 0.0
    for i in range(5):
        total -= logits[i][i] - math.log(sum(math.exp(value) for value in logits[i]))
        total -= logits[i][i] - math.log(sum(math.exp(logits[j][i]) for j in range(5)))
    assert float(clip_loss(images, texts, torch.tensor(4.0))) == pytest.approx(total / 10, rel=1e-6)


def test_views_are_crops_of_the_tile(few: Drawn) -> None:
    views = augmented(few.tiles[:6], np.random.default_rng(0))
    assert views.shape == (6, 3, CROP_PX, CROP_PX)
    white = np.full((1, STORED_PX, STORED_PX, 3), 255, dtype=np.uint8)
    assert augmented(white, np.random.default_rng(1)).min() == 255
    assert torch.equal(views, augmented(few.tiles[:6], np.random.default_rng(0)))


def test_killed_and_started_again_it_ends_with_the_same_bits(few: Drawn, tmp_path) -> None:
    whole = Trainer(few, tmp_path / "whole", 4, batch=6)
    whole.run(lambda text: None)
    Trainer(few, tmp_path / "cut", 4, batch=6).run(lambda text: None, until=2)
    again = Trainer(few, tmp_path / "cut", 4, batch=6)
    assert again.step == 2
    again.run(lambda text: None)
    for name, weight in whole.model.state_dict().items():
        assert torch.equal(weight, again.model.state_dict()[name]), name
    with pytest.raises(UserError, match="begun with other settings"):
        Trainer(few, tmp_path / "cut", 5, batch=6)


def test_random_weights_are_judged_at_chance(few: Drawn) -> None:
    found = judged(Tiny(random=True), few)
    assert set(found["factors"]) < set(FACTORS)
    known = [one["auroc"] for one in found["factors"].values() if one["auroc"] is not None]
    assert all(0 <= value <= 1 for value in known)
    assert found["retrieval"]["r1"] <= found["retrieval"]["r5"] < 0.5


def test_factors_that_too_few_tiles_have_are_said_to_be_unknown(few: Drawn, tmp_path) -> None:
    two = Drawn(few.tiles[:2], few.truth[:2], few.patients[:2])
    weights = tmp_path / "w.safetensors"
    save_file({name: w.contiguous() for name, w in Tiny(random=True).model().state_dict().items()}, weights)
    said: list[str] = []
    judge(weights, two, tmp_path / "judge.json", said.append)
    found = json.loads((tmp_path / "judge.json").read_text())["judged"]["tiny"]
    assert found["mean"] is found["interval"] is found["distractors"] is None
    assert found["factors"]["density"]["high"] + found["factors"]["density"]["low"] <= 2
    assert said[0].startswith("tiny: mean AUROC unknown")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--steps", "0"], 2, "argument --steps"),
        (["--judged", "many"], 2, "argument --judged"),
        (["--quick", "--judge", "/no/such/file"], "hlss: /no/such/file: cannot read weights", ""),
        (["--quick", "--batch", "99"], "hlss: 36 tiles are less than one batch of 99", ""),
    ],
)
def test_mistakes_end_in_one_line(
    arguments: list[str],
    code: int | str,
    said: str,
    few: Drawn,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("hlss.jobs.pretrain_tiny.__main__.drawn", lambda *_: few)
    with pytest.raises(SystemExit) as ended:
        main(["--out", str(tmp_path), *arguments])
    assert ended.value.code == code if isinstance(code, int) else str(ended.value.code).startswith(code)
    assert said in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_leaves_weights_that_tiny_reads(tmp_path) -> None:
    arguments = ["--steps", "2", "--patients", "3", "--judged", "14", "--batch", "16", "--workers", "1"]
    main(["--out", str(tmp_path), *arguments])
    assert Tiny(weights=tmp_path / "tiny.safetensors").build().dim == 128
    assert (tmp_path / "judge.json").exists()
    assert "step 2/2" in (tmp_path / "log.txt").read_text()
