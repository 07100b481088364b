"""`hlss explain`: what an encoder's features say in words, and whether that is so, as tables, pictures and JSON."""

import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from hlss.config import overridden, validate
from hlss.errors import UserError
from hlss.evaluate.fold import classes_of
from hlss.explain.alignment_matrix import Alignment, alignment
from hlss.explain.blocks import units_at
from hlss.explain.pictures import show_matrices, show_profile
from hlss.explain.profile import Profile, profile
from hlss.files import digest, write_json
from hlss.jobs import truth
from hlss.jobs.chosen_table import home_of
from hlss.jobs.explain_found import Explained, distractors_of, to_json
from hlss.jobs.explain_show import show
from hlss.jobs.explain_sources import (
    ExplainSpec,
    Source,
    Words,
    refuse_other_width,
    refuse_trained_markers,
    sources_of,
)
from hlss.jobs.explain_truth import unasked
from hlss.jobs.setup import Say
from hlss.language.encode import Texts
from hlss.language.markers import MarkerSet, read_markers
from hlss.types import LEVELS, Level


def explain_tables(
    paths: Sequence[Path],
    markers: str | None,
    bank: str | None,
    out: Path | None,
    side: str = "test",
    overrides: Sequence[str] = (),
) -> Path:
    """Explain every table of these runs (or these tables); returns the folder written to. Raises UserError.

    markers, bank: shipped names or paths; at least one of them. overrides: of ExplainSpec.
    """
    if markers is None and bank is None:
        fix = "Give --markers (class × marker alignment), --bank (profiles, and truth where it is known), or both."
        raise UserError("nothing to explain with", fix=fix)
    spec = validate(overridden({"side": side}, overrides), ExplainSpec, where="settings of the explanation")
    say = Console(stderr=True, markup=False, highlight=False, soft_wrap=True).print
    marker_set = None if markers is None else read_markers(markers)
    sources = sources_of(paths, spec.side)
    explainer = _Explainer(spec, marker_set, bank, say)
    found = []
    for number, source in enumerate(sources, start=1):
        say(f"{number} of {len(sources)}: {source.name}")
        found.append(explainer.explain(source))
    folder = out or beside(Path(paths[0]))
    result = to_json(found, spec, marker_set, bank)
    show(result, spec.top, Console())
    _draw(found, spec.top, distractors_of(bank), folder)
    write_json(folder / "explanations.json", result)
    return folder


class _Explainer:
    """Explains one source after the other, with what they share: texts, and the truth of drawn patches."""

    def __init__(self, spec: ExplainSpec, markers: MarkerSet | None, bank: str | None, say: Say) -> None:
        self.spec, self.markers, self.bank, self._say = spec, markers, bank, say
        self._words = Words(say)
        self._truths: dict[str, truth.Asked] = {}

    def explain(self, source: Source) -> Explained:
        classes = classes_of([source.table])
        notices = [*source.no_claim, *source.notices]
        without = int((source.table["label"] == "").sum())
        if without:
            notices.append(f"{without} patches have no label and stand in no class")
        matrices = None if self.markers is None else self._alignment(source, classes, self.markers)
        if self.markers is not None and self.markers.status == "unreviewed":
            notices.append(f"markers {self.markers.name!r} are unreviewed: no pathologist has verified them")
        profiles, agreement = None, None
        if self.bank is not None:
            texts = self._words.bank(source, self.bank)
            profiles, agreement, said = self._profile(source, classes), *self._agreement(source, self.bank)
            notices += [*(notice for notice in texts.notices if notice not in notices), *said]
        return Explained(source, classes, matrices, profiles, agreement, tuple(notices))

    def _alignment(self, source: Source, classes: tuple[str, ...], markers: MarkerSet) -> dict[Level, Alignment]:
        refuse_trained_markers(source, markers)
        self._say("  against the markers of each class: resamples, permutations, random text")
        spec = self.spec
        rows, random = self._words.markers(source, markers.of_classes(classes), spec.random_texts, spec.seed)
        refuse_other_width(source, rows[0].shape[1])
        settings = {"resamples": spec.resamples, "permutations": spec.permutations, "seed": spec.seed}
        return {level: alignment(units_at(source.table, classes, level), rows, random, **settings) for level in LEVELS}

    def _profile(self, source: Source, classes: tuple[str, ...]) -> dict[Level, Profile]:
        assert self.bank is not None
        self._say("  what marks each class")
        texts, spec = self._words.bank(source, self.bank), self.spec
        refuse_other_width(source, texts.rows[Level.PATCH].shape[1])
        return profiles_of(source, texts, classes, spec)

    def _agreement(self, source: Source, bank: str) -> tuple[truth.Measured | None, list[str]]:
        """Against the truth of drawn tissue, where both it and what the bank stands for are known."""
        reason = unasked(source, bank)
        if reason is not None:
            return None, [reason] if reason else []
        self._say("  against what was drawn")
        table = source.table
        places = [table[name].tolist() for name in ("slide", "x_px0", "y_px0")]
        key = digest([source.experiment.cohort.model_dump(mode="json"), places])
        if key not in self._truths:
            self._truths[key] = truth.asked_of(table, source.experiment.cohort.open(), "all")
        asked = replace(self._truths[key], features=table.features)
        words = truth.Words.written(self._words.bank(source, bank), bank)
        return truth.measured(asked, words, self.spec.seed), []


def _draw(found: Sequence[Explained], top: int, empty: Collection[str], folder: Path) -> None:
    aligned = [one for one in found if one.alignment is not None]
    if aligned:
        rows = [(one.source.title, one.classes, one.alignment or {}) for one in aligned]
        show_matrices(rows, folder / "alignment.png")
    for one in found:
        if one.profile is not None:
            slug = re.sub(r"\W+", "-", one.source.name).strip("-")
            show_profile(one.source.title, one.classes, one.profile, top, empty, folder / f"profile-{slug}.png")


def profiles_of(source: Source, texts: Texts, classes: tuple[str, ...], spec: ExplainSpec) -> dict[Level, Profile]:
    """What marks each class, by level."""
    settings = {"resamples": spec.resamples, "permutations": spec.permutations, "seed": spec.seed}
    return {
        level: profile(
            units_at(source.table, classes, level),
            texts.rows[level].numpy(),
            texts.bank.names(level),
            len(classes),
            **settings,
        )
        for level in LEVELS
    }


def beside(path: Path) -> Path:
    """Where output goes unless told: RUN/explanations."""
    return home_of(path) / "explanations"
