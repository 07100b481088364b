"""Captions say what is there, and nothing of what is held out, unknown or in between."""

import numpy as np
import pytest

from hlss.cohorts.phantom.factors import FACTORS
from hlss.encoders.torchvision_guard import import_guarded
from hlss.jobs.pretrain_tiny.captions import HELD_OUT, MOST, caption, sentences
from hlss.jobs.truth import WHOLE_SLIDE
from hlss.language.bank import read_bank
from hlss.types import LEVELS

NEUTRAL = dict.fromkeys(FACTORS, 0.5)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_only_what_is_clear_is_said() -> None:
    assert caption(NEUTRAL, rng()) == "tissue"
    found = {caption(NEUTRAL | {"elongation": 0.9}, rng(i)) for i in range(60)}
    words = set(" ".join(found).lower().replace(",", " ").split())
    assert len(found) >= 6
    assert {"spindle", "elongated", "slender"} & words
    assert "round" not in words
    assert caption(NEUTRAL | {"elongation": float("nan")}, rng()) == "tissue"


def test_a_missing_structure_is_rarely_worth_a_word() -> None:
    said = [caption(NEUTRAL | {"glands": 0.0}, rng(i)) != "tissue" for i in range(400)]
    assert np.mean(said) == pytest.approx(0.25, abs=0.07)


@pytest.mark.parametrize("factor", [*HELD_OUT, *WHOLE_SLIDE])
def test_what_is_held_out_is_never_said(factor: str) -> None:
    assert all(caption(NEUTRAL | {factor: value}, rng(i)) == "tissue" for i in range(40) for value in (0.0, 1.0))


def test_captions_are_short_enough_and_name_a_few_things() -> None:
    tokenizer = import_guarded("open_clip").tokenizer.SimpleTokenizer()
    full = {name: float(number % 2) for number, name in enumerate(FACTORS)}
    for i in range(50):
        text = caption(full, rng(i))
        assert len(tokenizer.encode(text)) + 2 <= 77
        assert text.count(", ") <= MOST * 3
    assert caption(full, rng(5)) == caption(full, rng(5))


def test_one_sentence_in_four_is_never_read_in_training() -> None:
    every = {text for level in LEVELS for row in read_bank("phantom").texts(level) for text in row}
    for factor in FACTORS:
        for end in ("high", "low"):
            read, back = sentences(factor, end)
            assert len(read) == 3 * len(back) > 0
            assert not set(read) & set(back)
            assert set(read) | set(back) <= every
    full = dict.fromkeys(FACTORS, 1.0)
    back = {text for factor in FACTORS for end in ("high", "low") for text in sentences(factor, end)[1]}
    assert not any(text in caption(full, rng(i)) for i in range(100) for text in back)
