"""What the viewer says of a map is what `hlss map` says of it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_run import noise, towards, write_run

from hlss.explain.swap_test import SwapTest
from hlss.jobs.map_slide import MapSettings
from hlss.jobs.map_slides import map_slides
from hlss.jobs.map_texts import MapTexts
from hlss.jobs.view import Viewed, chosen_view
from hlss.studio.view import answers

GLANDS, SENTENCE = "gland formation", "melanin pigment"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return drawn(tmp_path_factory.mktemp("trust") / "run", 10)


def drawn(folder: Path, side: int) -> Path:
    """A run on slides of so many tiles a side, whose last features know where glands are."""
    settings: dict[str, Any] = {
        "name": "drawn",
        "cohort": {
            "name": "phantom", "patients": 3, "slides": 1, "side": side, "tile_px": 32, "mpp": 2.0, "classes": 1,
            "seed": 1,
        },
        "loader": {"workers": 0, "pack": None},
        "encoder": "tiny",
        "language": {"bank": "phantom"},
        "objective": "hidisc",
    }  # fmt: skip
    return write_run(folder, settings, {"start": noise(128), "last": towards(GLANDS, "slide", "glands")})


@pytest.fixture(scope="module")
def viewed(run: Path) -> Viewed:
    return chosen_view(run, None, None, None)


def key_of(viewed: Viewed, name: str) -> str:
    assert viewed.patches is not None
    assert viewed.patches.words is not None
    return next(key for key, one in viewed.patches.words.known.items() if one.name == name)


def test_figures_verdict_and_truth_are_those_of_hlss_map(run: Path, viewed: Viewed, tmp_path: Path) -> None:
    assert viewed.patches is not None
    assert viewed.patches.words is not None
    assert viewed.trust is not None
    settings = MapSettings(kinds=("csv",))
    slides = [image.slide for image in viewed.images[:2]]
    out = map_slides(run, [GLANDS], [SENTENCE], slides=slides, out=tmp_path / "maps", settings=settings)
    keys = {GLANDS: key_of(viewed, GLANDS), SENTENCE: viewed.patches.words.typed(f"  {SENTENCE} ")}
    maps = json.loads((out / "maps.json").read_text())["maps"]
    assert len(maps) == 4
    for one in maps:
        place, key = slides.index(one["slide"]), keys[one["characteristic"]]
        found = viewed.trust.tested(place, key)
        assert found is not None
        expected = one["faithfulness"]
        assert (found.verdict, found.held_out) == (expected["verdict"], expected["held_out"])
        assert found.auroc == pytest.approx(expected["auroc"], abs=1e-3)
        assert found.interval is not None
        assert (found.interval.low, found.interval.high) == pytest.approx(expected["interval"], abs=1e-2)
        assert found.drop == pytest.approx(expected["drop"], abs=1e-6)
        for null, other in ((found.random_maps, "random_maps"), (found.random_texts, "random_texts")):
            assert null is not None
            assert null.draws == expected[other]["draws"]
            assert null.p == pytest.approx(expected[other]["p"], abs=0.01)
        said = answers.truth(viewed.trust.true_map(place, key))
        assert (said is None) == (one["truth"] is None)
        assert said is None or said["auroc"] == pytest.approx(one["truth"]["auroc"])
    assert max(one["truth"]["auroc"] or 0 for one in maps if one["truth"]) > 0.9  # so that something was compared


def test_the_true_map_goes_from_end_to_end(viewed: Viewed) -> None:
    assert viewed.trust is not None
    key = key_of(viewed, GLANDS)
    true, scores = viewed.trust.true_map(1, key), viewed.trust.true_scores(1, key)
    assert true is not None
    assert scores is not None
    np.testing.assert_allclose(np.sort(scores.values, axis=None), np.sort(true.values * 6 - 3), atol=1e-5)


def test_noise_is_called_weak(run: Path) -> None:
    viewed = chosen_view(run, "start", None, None)
    assert viewed.trust is not None
    said = answers.faithfulness(viewed.trust.tested(1, key_of(viewed, GLANDS)))
    assert said is not None
    assert not said["above_chance"]
    assert said["doubtful"]
    assert "do not bear this map out" in said["verdict"]
    assert said["compared"].startswith("random map 0.")


def test_of_few_tiles_nothing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    viewed = chosen_view(drawn(tmp_path / "run", 6), None, None, None)
    monkeypatch.setattr(MapTexts, "random", lambda self, sentences: pytest.fail("not needed"))
    assert viewed.trust is not None
    said = answers.faithfulness(viewed.trust.tested(0, key_of(viewed, GLANDS)))
    assert said is not None
    assert (said["auroc"], said["figure"], said["above_chance"]) == (None, "–", False)
    assert said["verdict"] == "not known: 36 tiles are too few (of 40)"


def test_a_map_is_tested_once_and_random_text_once_a_slide(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    viewed = chosen_view(run, None, None, None)
    counted = {"tested": 0, "maps_of": 0}

    def counting(name: str, was: Callable[..., Any]) -> Callable[..., Any]:
        def count(*given: Any, **more: Any) -> Any:
            counted[name] += 1
            return was(*given, **more)

        return count

    for name in counted:
        monkeypatch.setattr(SwapTest, name, counting(name, getattr(SwapTest, name)))
    assert viewed.trust is not None
    assert viewed.patches is not None
    assert viewed.patches.words is not None
    first, second = list(viewed.patches.words.known)[:2]
    for key in (first, first, second, first):
        viewed.trust.tested(1, key)
    assert counted == {"tested": 2, "maps_of": 1}
    with pytest.raises(KeyError):
        viewed.trust.tested(1, "patch-999")
