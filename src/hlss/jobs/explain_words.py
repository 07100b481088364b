"""The words that units are explained in: each level's characteristics, and the same with their words dealt anew."""

from collections.abc import Mapping, Sequence

from jaxtyping import Float32
from numpy import ndarray

from hlss.evaluate.clock import Clock
from hlss.explain.units import Wordings
from hlss.jobs.explain_sources import Source, Words, refuse_other_width
from hlss.jobs.setup import Say
from hlss.language.encode import Texts, encode
from hlss.language.markers import shuffled
from hlss.types import Level

Random = Float32[ndarray, "k d"]


def wordings_of(
    words: Words, source: Source, bank: str, levels: Sequence[Level], draws: int, seed: int, say: Say
) -> tuple[dict[Level, Wordings], Texts]:
    """Of each level asked for, with `draws` draws of shuffled words and a spare one; and the texts of the bank.

    Raises UserError where the bank is unknown, or its texts are not as wide as the features.
    """
    texts = words.bank(source, bank)
    refuse_other_width(source, texts.rows[Level.PATCH].shape[1])
    groups = {level: texts.bank.texts(level) for level in levels}
    found = {}
    for level in levels:
        *random, spare = _random(words, source, groups[level], draws + 1, seed, say)
        found[level] = Wordings(texts.bank.names(level), texts.rows[level].numpy(), random, spare)
    return found, texts


def _random(words: Words, source: Source, texts: list[list[str]], draws: int, seed: int, say: Say) -> list[Random]:
    """Each draw: all words of a level's descriptions dealt anew over them, as of markers; kept with the texts."""
    clock = Clock(draws, say, "shuffled words of the bank", "draws")
    found = []
    for draw in range(draws):
        dealt: Mapping[str, list[list[str]]] = shuffled({"": texts}, seed, draw)
        rows = encode({Level.PATCH: dealt[""]}, words.tower(source), source.experiment.cache / "texts")
        found.append(rows[Level.PATCH].numpy())
        clock.passed()
    return found
