"""Explanations of a run for its report: what marks each class, and how the bank is used."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from hlss.errors import UserError
from hlss.evaluate.fold import classes_of
from hlss.explain.match import match, standing
from hlss.jobs.explain import profiles_of
from hlss.jobs.explain_sources import ExplainSpec, Source, Words, refuse_other_width, sources_of
from hlss.jobs.report_runs import RunFolder
from hlss.jobs.setup import Say
from hlss.language.encode import Texts
from hlss.types import LEVELS

KEPT = 12  # characteristics in the list of use
TOP = 3  # characteristics of each class
DRAWS = 500  # resamples and permutations: a report is not to be waited for


@dataclass(frozen=True, eq=False)
class Worded:
    """A run's main table (source: of its test side, where it has one) and the texts that it is explained in."""

    source: Source
    words: Words
    texts: Texts
    bank: str

    @classmethod
    def of(cls, run: RunFolder, bank: str | None, say: Say) -> "Worded":
        """bank: another than the run's. Raises UserError where the run has no text tower or bank, or texts and
        features do not fit.
        """
        assert run.main is not None
        language = run.experiment.language
        name = bank or (None if language is None else language.bank)
        if name is None:
            raise UserError("the run has no bank", where=run.name, fix="Give one with --bank.")
        (source,) = sources_of([run.main], "test" if np.any(run.main_table["side"] == "test") else "all")
        words = Words(say)
        texts = words.bank(source, name)
        refuse_other_width(source, texts.rows[LEVELS[0]].shape[1])
        return cls(source, words, texts, name)

    @property
    def notices(self) -> tuple[str, ...]:
        said = [*self.source.no_claim, *self.source.notices, *self.texts.notices]
        return tuple(dict.fromkeys(said))


def words_of(worded: Worded) -> dict[str, Any]:
    """profile (None without two classes) and use."""
    source, texts = worded.source, worded.texts
    labelled = len(set(source.table["label"].tolist()) - {""}) > 1
    return {"profile": _profile(source, texts) if labelled else None, "use": _use(source, texts)}


def _profile(source: Source, texts: Texts) -> dict[str, Any]:
    classes = classes_of([source.table])
    found = profiles_of(source, texts, classes, ExplainSpec(resamples=DRAWS, permutations=DRAWS))
    return {level: one.to_json(classes, TOP) for level, one in found.items()}


def _use(source: Source, texts: Texts) -> dict[str, Any]:
    """By level, the share of patches that each characteristic is the best match of, in standard deviations."""
    found: dict[str, Any] = {}
    for level in LEVELS:
        names = texts.bank.names(level)
        best = standing(match(source.table.features, texts.rows[level].numpy())).argmax(axis=1)
        shares = np.bincount(best, minlength=len(names)) / len(best)
        order = np.argsort(-shares, kind="stable")
        found[level] = {
            "of": len(names),
            "never": int((shares == 0).sum()),
            "most": [
                {"characteristic": names[k], "share": float(shares[k])} for k in order[:KEPT].tolist() if shares[k] > 0
            ],
        }
    return found
