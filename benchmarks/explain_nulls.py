"""What `hlss explain --units` finds where there is nothing to find: directions without meaning, features turned round.

    python benchmarks/explain_nulls.py [--table RUN/embeddings/NAME] [--bank phantom] [--quick]

Directions: random ones (equal in all dimensions, and with a few strong ones) take the place of a slide's distance from
the mean; counted is in how many something of the slide bank has q ≤ 0.05 and ≤ 0.25, with texts as they are and with
what each says and the others do not (`own_directions`, which is what is done). With `--table`, features of a run are
turned round at random, so that slides keep all likeness among them and words lose their meaning: counted are slides by
q alone, and in how many turns the draws of shuffled words, each asked as the bank is, call the count more than chance
(p ≤ 0.05: 1 in 21 is promised).
"""

import argparse
from pathlib import Path

import numpy as np

from hlss.embedding_table import EmbeddingTable
from hlss.encoders.tiny import TinyText
from hlss.explain.by_chance import p_of
from hlss.explain.gauge import Gauge
from hlss.explain.nulls import CHANCE, PERHAPS, false_discoveries, share, shuffled_words
from hlss.explain.units import Wordings
from hlss.jobs.provenance import code_version, hardware
from hlss.language.bank import read_bank
from hlss.language.encode import encode
from hlss.language.markers import shuffled
from hlss.types import Level

TURNS, DRAWS, DIRECTIONS = 40, 20, 2000
LIMITS = (CHANCE, PERHAPS)


def wordings(bank: str, draws: int) -> Wordings:
    """The slide bank and its words dealt anew, through the text tower `tiny`."""
    described, tower = read_bank(bank), TinyText().build()
    texts = described.texts(Level.SLIDE)
    dealt = [texts, *(shuffled({"": texts}, 0, draw)[""] for draw in range(draws + 1))]
    rows, *random = (encode({Level.SLIDE: one}, tower, None)[Level.SLIDE].numpy() for one in dealt)
    return Wordings(described.names(Level.SLIDE), rows, random[:-1], random[-1])


def directions(words: Wordings, count: int) -> None:
    width, rng = words.rows.shape[1], np.random.default_rng(0)
    print(f"{count} directions without meaning in {width} dimensions, bank of {len(words.rows)}, {DRAWS} random texts")
    for kind, scale in (("all dimensions alike", np.ones(width)), ("a few strong ones", 0.9 ** np.arange(width))):
        turned = np.linalg.qr(rng.standard_normal((width, width)))[0]
        away = (rng.standard_normal((count, width)) * scale) @ turned
        plain = np.stack([as_they_are(one, words.rows, words.random) for one in away])
        own = shuffled_words(away, words.rows, words.random)
        for name, q in (("texts as they are", false_discoveries(plain)), ("their own directions", own.q)):
            print(f"  {kind:20s}  {name:20s}  {rates(q)}")


def as_they_are(away: np.ndarray, rows: np.ndarray, random: list[np.ndarray]) -> np.ndarray:
    """As `shuffled_words`, of texts as they are."""
    return share(np.concatenate(random) @ away, rows @ away)


def rates(q: np.ndarray) -> str:
    """Shares of rows in which any has a q as small."""
    return ", ".join(f"q ≤ {limit}: {100 * (q.min(axis=1) <= limit).mean():5.1f} %" for limit in LIMITS)


def turned_round(table: EmbeddingTable, words: Wordings, turns: int) -> None:
    test = table.where(np.asarray(table["side"] == "test"))
    gauge = Gauge(test)
    away = gauge.means(Level.SLIDE) - gauge.mean
    print(f"{len(test)} patches of {len(away)} slides, turned round {turns} times; slides in which something has")
    found, chances = [], []
    for turn in range(turns):
        rotation = np.linalg.qr(np.random.default_rng(turn).standard_normal((gauge.mean.size, gauge.mean.size)))[0]
        own, *draws = counts(away @ rotation, words)
        found.append(own)
        chances.append([p_of(count, of_draws) for count, of_draws in zip(own, np.transpose(draws), strict=True)])
    for limit, of_turns, p in zip(LIMITS, np.transpose(found), np.transpose(chances), strict=True):
        print(
            f"  q ≤ {limit}: mean {of_turns.mean():.1f} ({100 * of_turns.mean() / len(away):.1f} %), {of_turns.min()}"
            f" to {of_turns.max()}; called more than chance in {int((p <= CHANCE).sum())} turns"
        )


def counts(away: np.ndarray, words: Wordings) -> list[list[int]]:
    """Slides by each limit of q: of the bank, then of each draw of shuffled words, asked as the bank is."""
    every = [(words.rows, words.random)]
    for draw, rows in enumerate(words.random):
        every.append((rows, [*words.random[:draw], *words.random[draw + 1 :], words.spare]))
    least = [shuffled_words(away, rows, random).q.min(axis=1) for rows, random in every]
    return [[int((q <= limit).sum()) for limit in LIMITS] for q in least]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, action="append", default=[])
    parser.add_argument("--bank", default="phantom")
    parser.add_argument("--quick", action="store_true", help="a tenth of the directions, 3 turns")
    given = parser.parse_args()
    words = wordings(given.bank, DRAWS)
    directions(words, DIRECTIONS // 10 if given.quick else DIRECTIONS)
    for folder in given.table:
        table = EmbeddingTable.read(folder)
        facts = table.provenance
        print(f"{facts.get('method')}, config hash {facts.get('config_hash')}")
        turned_round(table, words, 3 if given.quick else TURNS)
    named = "".join(f" --table {folder}" for folder in given.table)
    print(f"command: python benchmarks/explain_nulls.py --bank {given.bank}{named}{' --quick' * given.quick}")
    print(f"code: {code_version()}")
    print(f"machine: {hardware()}")


if __name__ == "__main__":
    main()
