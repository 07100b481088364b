"""In how many units something would stand out if the words of the bank meant nothing.

Each draw of shuffled words is asked as the bank is: of the same units (of patches: chosen anew, as they are for the
bank), against as many other draws, and patches dealt anew. Units that resemble each other stand or fall together, in
the draws as in the bank, so that the count of a draw is as far from its mean as that of the bank would be.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int64
from numpy import ndarray

from hlss.explain.gauge import Gauge
from hlss.explain.nulls import CHANCE, PERHAPS, dealt_anew_each
from hlss.explain.units import Found, Wordings, sizes_of
from hlss.types import Level

MOST_DRAWS = 200  # of patches dealt anew: enough to tell what is above 5 %


@dataclass(frozen=True)
class ByChance:
    """Of each draw of shuffled words: units in which something stands out, surely, and surely or perhaps."""

    surely: tuple[int, ...]
    at_all: tuple[int, ...]


def by_chance(
    gauge: Gauge, level: Level, numbers: Sequence[Int64[ndarray, " _"]], words: Wordings, *, draws: int, seed: int
) -> ByChance:
    """numbers: for each draw of shuffled words the units asked (of patches: rows), as many for each; of patches fewer
    where several named units had chosen the same.
    """
    if not len(numbers[0]):
        return ByChance((0,) * len(numbers), (0,) * len(numbers))
    sizes = sizes_of(gauge, level, numbers[0])
    nulls = dealt_anew_each(gauge, words.random, sizes, min(draws, MOST_DRAWS), seed + 1)
    surely, at_all = [], []
    for draw, (asked, null) in enumerate(zip(numbers, nulls, strict=True)):
        others = [*words.random[:draw], *words.random[draw + 1 :], words.spare]
        found = Found.of(gauge, level, asked, replace(words, rows=words.random[draw], random=others), null)
        there = found.p_images <= CHANCE
        surely.append(int(np.any(there & (found.q_text <= CHANCE), axis=1).sum()))
        at_all.append(int(np.any(there & (found.q_text <= PERHAPS), axis=1).sum()))
    return ByChance(tuple(surely), tuple(at_all))


def p_of(count: int, draws: Sequence[int]) -> float:
    """(1 + draws that count as many) / (1 + draws)."""
    return (1 + sum(of_draw >= count for of_draw in draws)) / (1 + len(draws))
