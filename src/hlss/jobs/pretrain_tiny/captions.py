"""Captions of drawn tiles, composed from what is truly there."""

from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path

import numpy as np
import yaml

from hlss.cohorts.phantom.factors import FACTORS
from hlss.explain.agreement import HIGH, LOW
from hlss.jobs.truth import WHOLE_SLIDE
from hlss.language.bank import read_bank
from hlss.language.factors import End, truth_of
from hlss.types import LEVELS

HELD_OUT = ("membrane", "haemorrhage", "inclusions")  # never in a caption, so that not all truth is circular
HELD_BACK = 3  # number of the description that training never reads, by which unseen sentences are judged
MOST = 5  # factors in one caption
# Structures are mentioned when they are there; that they are not is rarely worth a word
_WHEN_THERE = (
    "mitoses",
    "stroma",
    "lymphocytes",
    "necrosis",
    "vessels",
    "haemorrhage",
    "glands",
    "rosettes",
    "nesting",
)
_RARELY = 0.25
_SHORT = 0.5  # chance of a short phrase instead of a sentence
_LOST = 0.15  # chance of each word of a sentence


@cache
def _phrases() -> dict[str, dict[str, list[str]]]:
    """Short ways to say that a factor is high or low."""
    known: dict[str, dict[str, list[str]]] = yaml.safe_load((Path(__file__).parent / "phrases.yaml").read_text())
    return known


@cache
def sentences(factor: str, end: End) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The bank's descriptions of one end of a factor: those that training reads, and those it never does."""
    bank, truths = read_bank("phantom"), truth_of("phantom")
    read: list[str] = []
    back: list[str] = []
    for level in LEVELS:
        for characteristic in bank.level(level):
            truth = truths[level][characteristic.name]
            if (truth.factor, truth.end) == (factor, end):
                read += characteristic.descriptions[:HELD_BACK] + characteristic.descriptions[HELD_BACK + 1 :]
                back.append(characteristic.descriptions[HELD_BACK])
    return tuple(read), tuple(back)


def caption(truth: Mapping[str, float], rng: np.random.Generator, held_out: Collection[str] = HELD_OUT) -> str:
    """A caption of up to MOST factors that are clearly high or clearly low (NaN: unknown, never mentioned)."""
    ends = [(factor, end) for factor in FACTORS if (end := _end(factor, truth[factor], rng, held_out)) is not None]
    chosen = [ends[i] for i in rng.permutation(len(ends))[:MOST]]
    parts = [_phrase(factor, end, rng) for factor, end in chosen]
    return ", ".join(parts) or "tissue"


def _end(factor: str, value: float, rng: np.random.Generator, held_out: Collection[str]) -> End | None:
    if factor in held_out or factor in WHOLE_SLIDE:
        return None
    if value >= HIGH:
        return "high"
    if value <= LOW and (factor not in _WHEN_THERE or rng.random() < _RARELY):
        return "low"
    return None


def _phrase(factor: str, end: End, rng: np.random.Generator) -> str:
    """A short phrase, or one of the bank's sentences with some words lost, so that none is learnt by heart."""
    if rng.random() < _SHORT:
        short = _phrases()[factor][end]
        return short[int(rng.integers(len(short)))]
    long, _ = sentences(factor, end)
    words = long[int(rng.integers(len(long)))].split()
    kept = [word for word, chance in zip(words, rng.random(len(words)), strict=True) if chance >= _LOST]
    return " ".join(kept or words)
