"""One table's units in words: each with its evidence, and all of a kind beside what chance would do."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hlss.evaluate.clock import Clock
from hlss.explain.by_chance import by_chance
from hlss.explain.evidence import best_rows
from hlss.explain.gauge import Gauge
from hlss.explain.units import Explained, Wordings, explained
from hlss.jobs.explain_asked import CLASS, UnitsSpec, refuse_unknown, units_asked
from hlss.jobs.explain_classes import classes_found
from hlss.jobs.explain_evidence import EvidenceTiles
from hlss.jobs.explain_sources import Source, Words
from hlss.jobs.explain_truth import UNJUDGED, DrawnTruth, Judged, drawn_truth
from hlss.jobs.explain_units_count import class_count, unit_count
from hlss.jobs.explain_units_found import Json, unit_json
from hlss.jobs.explain_words import wordings_of
from hlss.jobs.setup import Say
from hlss.language.encode import Texts
from hlss.types import LEVELS, Level

_FEW = 10


class Explainer:
    """One source and the words it is explained in."""

    def __init__(self, source: Source, bank: str, spec: UnitsSpec, words: Words, say: Say) -> None:
        self.source, self._spec, self._say = source, spec, say
        self._words, self._bank, self._gauge = words, bank, Gauge(source.table)

    def refuse_unknown(self, kinds: Sequence[str], only: Sequence[str]) -> None:
        """Raise UserError where nothing here is called so."""
        refuse_unknown(self._gauge, kinds, only, self._spec.side, self.source.name)

    def table(self, kinds: Sequence[str], only: Sequence[str], folder: Path) -> Json:
        """All that is found of this source; evidence goes to the folder."""
        source, spec, gauge = self.source, self._spec, self._gauge
        levels = LEVELS if CLASS in kinds else [level for level in LEVELS if level in kinds]
        words, texts = wordings_of(self._words, source, self._bank, levels, spec.random_texts, spec.seed, self._say)
        truth, said = drawn_truth(source, self._bank, gauge, self._say)
        evidence = EvidenceTiles(source, folder)
        notices = [*source.no_claim, *texts.notices, *said]
        units: list[Json] = []
        counts: dict[str, Json] = {}
        for level in [level for level in levels if level in kinds]:
            found, counts[level] = self._of_level(level, only, words[level], texts, truth, evidence)
            units += found
            notices += self._few(level)
        classes: list[Json] = []
        if CLASS in kinds:
            classes, said = classes_found(gauge, words, texts, only, spec, truth, evidence, self._say)
            counts[CLASS] = class_count(classes, truth)
            notices += said
        return {
            "name": source.name,
            "aligned": source.aligned,
            "notices": list(dict.fromkeys([*notices, *evidence.notices])),
            "levels": counts,
            "units": units,
            "classes": classes,
            "run": source.run_facts,
            "provenance": dict(source.table.provenance),
        }

    def _of_level(
        self,
        level: Level,
        only: Sequence[str],
        words: Wordings,
        texts: Texts,
        truth: DrawnTruth | None,
        evidence: EvidenceTiles,
    ) -> tuple[list[Json], Json]:
        gauge, spec = self._gauge, self._spec
        asked = units_asked(gauge, level, only, words, spec.patches)
        self._say(f"  {level} level: {len(asked.numbers)} to explain")
        draws = {"draws": spec.permutations, "seed": spec.seed}
        found = explained(gauge, level, asked.numbers, words, top=spec.top, among=asked.among, **draws)
        chance = by_chance(gauge, level, asked.in_draws, words, **draws)
        clock, units = Clock(len(found), self._say, "explaining", f"{level} units"), []
        for one in found:

            def judge(name: str, number: int = one.number) -> Judged:
                return UNJUDGED if truth is None else truth.of_unit(level, number, name)

            units.append(unit_json(one, gauge, texts, judge, self._shown(one, words, evidence)))
            clock.passed()
        there_are = len(gauge) if level is Level.PATCH else len(gauge.names(level))
        blindly = None if truth is None else truth.every(level, asked.numbers.tolist())
        return units, unit_count(units, there_are, asked.among, chance, blindly)

    def _shown(self, one: Explained, words: Wordings, evidence: EvidenceTiles) -> dict[int, list[Json]]:
        """Evidence of what stands out, at most `top` characteristics; of a patch it is the patch."""
        gauge, count = self._gauge, self._spec.tiles
        rows = np.array([one.number]) if one.level is Level.PATCH else gauge.rows(one.level, one.number)
        return {
            match.k: evidence.tiles(best_rows(gauge, rows, gauge.slide[rows], words.rows[match.k], count))
            for match in one.standing_out[: self._spec.top]
            if count
        }

    def _few(self, level: Level) -> list[str]:
        """What the number of units does not allow."""
        every = 0 if level is Level.PATCH else len(self._gauge.names(level))
        if every == 1:
            return [f"one {level} only: nothing to stand out from, and none does"]
        if 0 < every < _FEW:
            return [f"{every} {level}s: σ among so few says little; p does not rest on it"]
        return []
