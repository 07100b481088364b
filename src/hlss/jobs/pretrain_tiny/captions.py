"""Captions of drawn tiles, composed from what is truly there."""

from collections.abc import Collection, Mapping
from functools import cache

import numpy as np

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

_PHRASES: dict[tuple[str, End], tuple[str, ...]] = {
    ("density", "high"): ("crowded nuclei", "high cellularity", "dense cells"),
    ("density", "low"): ("sparse nuclei", "low cellularity", "few cells"),
    ("nuclear_size", "high"): ("large nuclei", "enlarged nuclei", "big nuclei"),
    ("nuclear_size", "low"): ("small nuclei", "tiny nuclei", "little nuclei"),
    ("size_variation", "high"): ("pleomorphic nuclei", "nuclei of unequal size", "anisonucleosis"),
    ("size_variation", "low"): ("monotonous nuclei", "nuclei of equal size", "uniform nuclei"),
    ("elongation", "high"): ("spindle nuclei", "elongated nuclei", "slender long nuclei"),
    ("elongation", "low"): ("round nuclei", "circular nuclei", "globular nuclei"),
    ("chromatin", "high"): ("dark chromatin", "hyperchromatic nuclei", "coarse chromatin"),
    ("chromatin", "low"): ("pale open chromatin", "vesicular nuclei", "light nuclei"),
    ("mitoses", "high"): ("frequent mitoses", "many mitotic figures", "dividing cells"),
    ("mitoses", "low"): ("resting nuclei", "rare mitoses", "quiet nuclei"),
    ("cytoplasm", "high"): ("abundant pink cytoplasm", "eosinophilic cells", "deep pink cytoplasm"),
    ("cytoplasm", "low"): ("pale cytoplasm", "clear cells", "scant cytoplasm"),
    ("stroma", "high"): ("fibrous stroma", "collagen bundles", "desmoplastic stroma"),
    ("stroma", "low"): ("little stroma", "cells back to back", "scarce stroma"),
    ("lymphocytes", "high"): ("lymphocytic infiltrate", "many lymphocytes", "inflammation"),
    ("lymphocytes", "low"): ("few lymphocytes", "rare inflammatory cells", "quiet tissue"),
    ("necrosis", "high"): ("necrosis", "dead tissue", "ghost cells"),
    ("necrosis", "low"): ("viable tissue", "living cells", "well preserved tissue"),
    ("vessels", "high"): ("prominent vessels", "blood filled channels", "rich vessels"),
    ("vessels", "low"): ("scarce vessels", "few vessels", "avascular tissue"),
    ("glands", "high"): ("glands with lumens", "gland formation", "open follicles"),
    ("glands", "low"): ("solid growth", "rare lumens", "compact growth"),
    ("rosettes", "high"): ("rosettes", "wreaths of nuclei", "fibrillar cores ringed by nuclei"),
    ("rosettes", "low"): ("patternless cells", "rare wreaths", "cells at random"),
    ("nesting", "high"): ("nests parted by septa", "nested growth", "organoid nests"),
    ("nesting", "low"): ("sheets of cells", "diffuse sheets", "continuous growth"),
}


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
    """A short phrase, or one of the bank's sentences."""
    short, (long, _) = _PHRASES[factor, end], sentences(factor, end)
    if rng.random() < 0.4:
        return short[int(rng.integers(len(short)))]
    return long[int(rng.integers(len(long)))]
