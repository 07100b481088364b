"""`hlss explain --units`: what each patch, slide, patient or class shows, with evidence and chance beside it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int64
from numpy import ndarray
from rich.console import Console

from hlss.config import overridden, validate
from hlss.errors import UserError
from hlss.evaluate.clock import Clock
from hlss.explain.comparison import comparison
from hlss.explain.evidence import best_rows
from hlss.explain.gauge import Gauge
from hlss.explain.sides import of_classes, too_few
from hlss.explain.units import Explained, Wordings, explained
from hlss.files import write_json
from hlss.jobs.chosen_table import table_of
from hlss.jobs.explain import NO_CLAIM, beside
from hlss.jobs.explain_asked import CLASS, UnitsSpec, numbers_asked, refuse_unknown
from hlss.jobs.explain_evidence import EvidenceTiles
from hlss.jobs.explain_found import cut, distractors_of
from hlss.jobs.explain_sources import Source, Words, sources_of
from hlss.jobs.explain_units_found import Json, class_json, facts, unit_json, write_csv
from hlss.jobs.explain_units_show import show_units
from hlss.jobs.explain_words import wordings_of
from hlss.jobs.setup import Say
from hlss.language.encode import Texts
from hlss.types import LEVELS, Level

_AT_A_TIME = 64  # units


def explain_units(
    paths: Sequence[Path],
    bank: str | None,
    units: Sequence[str],
    only: Sequence[str] = (),
    out: Path | None = None,
    side: str = "test",
    overrides: Sequence[str] = (),
) -> Path:
    """Explain units of these runs (their last tables) or tables; returns the folder written to. Raises UserError.

    units: kinds of them (levels, or class); only: names, of all kinds; overrides: of UnitsSpec.
    """
    spec = spec_of(bank, side, overrides)
    say = Console(stderr=True, markup=False, highlight=False, soft_wrap=True).print
    kinds = list(dict.fromkeys(units))
    sources = sources_of([table_of(Path(path)) for path in paths], spec.side)
    folder, words = out or beside(Path(paths[0])), Words(say)
    tables = []
    for number, source in enumerate(sources, start=1):
        say(f"{number} of {len(sources)}: {source.name}")
        tables.append(_Explainer(source, str(bank), spec, words, folder, say).table(kinds, only))
    result: Json = cut({**facts(str(bank), spec, sources), "units": kinds, "only": list(only), "tables": tables})
    write_json(folder / "units.json", result)
    write_csv(result, folder / "units.csv")
    show_units(result, Console())
    return folder


def spec_of(bank: str | None, side: str, overrides: Sequence[str]) -> UnitsSpec:
    """Settings of explanations of units and of comparisons. Raises UserError where no bank is named."""
    if bank is None:
        raise UserError("no bank to explain with", fix="Name one with --bank: phantom, he_general, or a .yaml file.")
    return validate(overridden({"side": side}, overrides), UnitsSpec, where="settings of the explanation")


class _Explainer:
    """One source: its gauge, words and evidence."""

    def __init__(self, source: Source, bank: str, spec: UnitsSpec, words: Words, folder: Path, say: Say) -> None:
        self._source, self._spec, self._say = source, spec, say
        self._words, self._bank, self._empty = words, bank, distractors_of(bank)
        self._gauge, self._evidence = Gauge(source.table), EvidenceTiles(source, folder)

    def table(self, kinds: Sequence[str], only: Sequence[str]) -> Json:
        """All that is found of this source, its notices last."""
        refuse_unknown(self._gauge, kinds, only, self._spec.side)
        levels = LEVELS if CLASS in kinds else [level for level in LEVELS if level in kinds]
        spec = self._spec
        words, texts = wordings_of(
            self._words, self._source, self._bank, levels, spec.random_texts, spec.seed, self._say
        )
        found = {
            level: self._of_level(
                level, numbers_asked(self._gauge, level, only, words[level], spec.patches), words, texts
            )
            for level in levels
            if level in kinds
        }
        classes, said = self._classes(words, texts, only) if CLASS in kinds else ([], [])
        notices = [*([] if self._source.aligned else [NO_CLAIM]), *texts.notices, *said, *self._few(found)]
        return {
            "name": self._source.name,
            "aligned": self._source.aligned,
            "notices": list(dict.fromkeys([*notices, *self._evidence.notices])),
            "levels": {level: self._count(level, units) for level, units in found.items()},
            "units": [unit for units in found.values() for unit in units],
            "classes": classes,
            "run": self._source.run_facts,
            "provenance": dict(self._source.table.provenance),
        }

    def _of_level(
        self, level: Level, numbers: Int64[ndarray, " u"], words: dict[Level, Wordings], texts: Texts
    ) -> list[Json]:
        self._say(f"  {level} level: {len(numbers)} to explain")
        spec, clock = self._spec, Clock(len(numbers), self._say, "explaining", f"{level} units")
        settings = {"top": spec.top, "draws": spec.permutations, "seed": spec.seed}
        result = []
        for one in explained(self._gauge, level, numbers, words[level], **settings):
            result.append(unit_json(one, self._gauge, texts, self._empty, self._shown(one, words[level])))
            clock.passed()
        return result

    def _shown(self, one: Explained, words: Wordings) -> dict[int, list[Json]]:
        """Evidence of what stands out, at most `top` characteristics; of a patch it is the patch."""
        gauge, count = self._gauge, self._spec.tiles
        rows = np.array([one.number]) if one.level is Level.PATCH else gauge.rows(one.level, one.number)
        return {
            match.k: self._evidence.tiles(best_rows(gauge, rows, gauge.slide[rows], words.rows[match.k], count))
            for match in one.standing_out[: self._spec.top]
            if count
        }

    def _classes(self, words: dict[Level, Wordings], texts: Texts, only: Sequence[str]) -> tuple[list[Json], list[str]]:
        """Every class against all others, in all banks."""
        gauge, spec, notices = self._gauge, self._spec, []
        labels = gauge.table["label"]
        found = []
        for name in [one for one in sorted({*labels.tolist()} - {""}) if not only or one in only]:
            self._say(f"  class {name}")
            halves = (np.asarray(labels == name), np.asarray((labels != name) & (labels != "")))
            levels = {}
            for level in LEVELS:
                sides = of_classes(gauge, halves, level)
                settings = {"resamples": spec.resamples, "permutations": spec.permutations, "seed": spec.seed}
                levels[level] = comparison(sides, words[level], **settings)
                if levels[level] is not None and (few := too_few(sides, "patients")):
                    notices.append(f"class {name}: {few}")
            rows = np.flatnonzero(halves[0])
            owners = gauge.slide_patient[gauge.slide[rows]]

            def tiles(level: Level, k: int, rows: ndarray = rows, owners: ndarray = owners) -> list[Json]:
                return self._evidence.tiles(best_rows(gauge, rows, owners, words[level].rows[k], spec.tiles))

            found.append(class_json(name, levels, texts, self._empty, spec.top, tiles))
        return found, notices

    def _count(self, level: Level, units: Sequence[Json]) -> Json:
        every = len(self._gauge) if level is Level.PATCH else len(self._gauge.names(level))
        out, perhaps = (sum(bool(unit[name]) for unit in units) for name in ("stands_out", "perhaps"))
        return {"there_are": every, "explained": len(units), "with_stands_out": out, "with_perhaps": perhaps}

    def _few(self, found: dict[Level, list[Json]]) -> list[str]:
        """What the number of units does not allow."""
        said = []
        for level in found:
            every = 0 if level is Level.PATCH else len(self._gauge.names(level))
            if every == 1:
                said.append(f"one {level} only: nothing to stand out from, and none does")
            elif 0 < every < _FEW:
                said.append(f"{every} {level}s: σ among so few says little; p does not rest on it")
        return said


_FEW = 10
