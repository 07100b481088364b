"""The small CLIP of our own: shipped weights, what they know, and what they do not."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from hlss.cohorts.phantom.factors import FACTORS
from hlss.cohorts.phantom.spec import PhantomSpec
from hlss.cohorts.phantom.truth import tile_truths
from hlss.encoders.base import aligned
from hlss.encoders.clip_towers import ClipImageEncoder
from hlss.encoders.tiny import SHIPPED, Tiny
from hlss.explain.agreement import auroc
from hlss.files import file_digest

RESULTS = Path(__file__).parents[2] / "docs" / "results" / "tiny.json"


def test_it_is_small_and_its_towers_belong_together():
    spec = Tiny()
    encoder, text = spec.build(), spec.text().build()
    assert isinstance(encoder, ClipImageEncoder)
    assert SHIPPED.stat().st_size <= 12e6
    assert (encoder.input_px, encoder.dim, text.dim) == (96, 128, 128)
    assert aligned(encoder.family, text.family)
    assert any("drawn tissue only" in notice for notice in spec.notices)
    assert spec.text().notices == spec.notices


def test_random_weights_say_so_and_are_aligned_with_nothing():
    spec = Tiny(random=True)
    assert any("random weights" in notice for notice in spec.notices)
    assert not aligned(spec.build().family, spec.text().build().family)
    with pytest.raises(ValidationError, match="not both"):
        Tiny(random=True, weights=SHIPPED)


def test_published_figures_are_of_the_shipped_weights_and_good_enough():
    published = json.loads(RESULTS.read_text())
    assert published["weights"] == file_digest(SHIPPED)
    tiny, random = published["judged"]["tiny"], published["judged"]["random weights"]
    assert tiny["mean_every_factor"] >= 0.85
    assert abs(random["mean"] - 0.5) < 0.05


@pytest.fixture(scope="module")
def seen() -> tuple[torch.Tensor, np.ndarray]:
    """Features and truth of tiles, enough that every factor asked for is there and lacking (see FEWEST)."""
    cohort = PhantomSpec(patients=56, slides=1, side=3, tile_px=96, mpp=1.0, seed=77).open()
    rows = list(range(cohort.n_tiles))
    encoder = Tiny().build()
    pixels = torch.stack([torch.from_numpy(cohort.read_tile(row)).permute(2, 0, 1) for row in rows])
    with torch.no_grad():
        z = torch.nn.functional.normalize(encoder(encoder.normalised(pixels)), dim=1)
    return z, tile_truths(cohort, rows)


@pytest.mark.parametrize(
    ("factor", "high", "low"),
    [
        ("elongation", "Nuclei are long and slender, drawn out like spindles", "Circular nuclei with even contours"),
        ("necrosis", "Even pink dead areas with ghosts of nuclei", "Viable cells fill the whole section"),
        ("glands", "Well formed glands with open round lumina", "Growth is solid, and round lumens are rare"),
    ],
)
def test_words_find_what_was_drawn(seen: tuple[torch.Tensor, np.ndarray], factor: str, high: str, low: str):
    z, truths = seen
    truth = truths[:, FACTORS.index(factor)]
    words = torch.nn.functional.normalize(Tiny().text().build().encode([high, low]), dim=1)
    scores = (z @ (words[0] - words[1])).double().numpy()
    found = auroc(scores, truth >= 0.6, truth <= 0.4)
    assert found is not None
    assert found > 0.8


def test_stages_hold_every_module_once_in_order():
    encoder = Tiny(random=True).build()
    found = [id(p) for stage in encoder.stages() for module in stage for p in module.parameters()]
    assert found == [id(p) for module in encoder.visual.children() for p in module.parameters()]
    assert len(encoder.stages()) == 6
