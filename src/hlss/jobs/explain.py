"""`hlss explain`: what an encoder's features say in words, and whether that is so, as tables, pictures and JSON."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from hlss.cohorts.phantom.spec import PhantomSpec
from hlss.config import overridden, validate
from hlss.errors import UserError
from hlss.evaluate.fold import classes_of
from hlss.evaluate.intervals import Interval
from hlss.explain.alignment_matrix import Alignment, alignment
from hlss.explain.blocks import interval_of, units_at
from hlss.explain.pictures import show_matrices, show_profile
from hlss.explain.profile import Profile, profile
from hlss.files import digest, write_json
from hlss.jobs import truth
from hlss.jobs.explain_show import show
from hlss.jobs.explain_sources import (
    ExplainSpec,
    Source,
    Words,
    refuse_other_width,
    refuse_trained_markers,
    sources_of,
)
from hlss.jobs.provenance import provenance
from hlss.jobs.setup import Say
from hlss.language.bank import DescriptionBank, read_bank
from hlss.language.factors import truth_of
from hlss.language.markers import MarkerSet, read_markers
from hlss.types import LEVELS, Level

NO_CLAIM = "image and text tower were not trained together before this run: no characteristic is claimed to be seen"


@dataclass(frozen=True, eq=False)
class Explained:
    """All that was found of one table; None where it was not asked for, or cannot be."""

    source: Source
    classes: tuple[str, ...]
    alignment: Mapping[Level, Alignment] | None
    profile: Mapping[Level, Profile] | None
    agreement: truth.Measured | None
    notices: tuple[str, ...]


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
    folder = out or _beside(Path(paths[0]))
    result = _json(found, spec, marker_set, bank)
    show(result, spec.top, Console())
    _draw(found, spec.top, folder)
    write_json(folder / "explanations.json", result)
    return folder


class _Explainer:
    """Explains one source after the other, with what they share: texts, and the truth of drawn patches."""

    def __init__(self, spec: ExplainSpec, markers: MarkerSet | None, bank: str | None, say: Say) -> None:
        self.spec, self.markers, self.bank = spec, markers, bank
        self._words = Words(say)
        self._truths: dict[str, truth.Asked] = {}

    def explain(self, source: Source) -> Explained:
        classes = classes_of([source.table])
        notices = [*([] if source.aligned else [NO_CLAIM]), *source.notices]
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
        spec = self.spec
        rows, random = self._words.markers(source, markers.of_classes(classes), spec.random_texts, spec.seed)
        refuse_other_width(source, rows[0].shape[1])
        settings = {"resamples": spec.resamples, "permutations": spec.permutations, "seed": spec.seed}
        return {level: alignment(units_at(source.table, classes, level), rows, random, **settings) for level in LEVELS}

    def _profile(self, source: Source, classes: tuple[str, ...]) -> dict[Level, Profile]:
        assert self.bank is not None
        texts, spec = self._words.bank(source, self.bank), self.spec
        refuse_other_width(source, texts.rows[Level.PATCH].shape[1])
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

    def _agreement(self, source: Source, bank: str) -> tuple[truth.Measured | None, list[str]]:
        """Against the truth of drawn tissue, where both it and what the bank stands for are known."""
        if not isinstance(source.experiment.cohort, PhantomSpec):
            return None, []
        try:
            truth_of(bank)
        except UserError as error:
            return None, [f"truth is not asked: {error}"]
        if source.table.provenance.get("config_hash") != source.experiment.hash:
            return None, ["truth is not asked: the table was embedded with other settings than the run's"]
        table = source.table
        places = [table[name].tolist() for name in ("slide", "x_px0", "y_px0")]
        key = digest([source.experiment.cohort.model_dump(mode="json"), places])
        if key not in self._truths:
            self._truths[key] = truth.asked_of(table, source.experiment.cohort.open(), "all")
        asked = replace(self._truths[key], features=table.features)
        words = truth.Words.written(self._words.bank(source, bank), bank)
        return truth.measured(asked, words, self.spec.seed), []


def _json(found: Sequence[Explained], spec: ExplainSpec, markers: MarkerSet | None, bank: str | None) -> dict[str, Any]:
    first, described = found[0], None if bank is None else read_bank(bank)
    return {
        "settings": spec.model_dump(mode="json"),
        "markers": None if markers is None else _facts(markers.name, markers),
        "bank": None if described is None else _facts(described.title, described),
        "compared_with": first.source.name,
        "tables": [_table_json(one, None if one is first else first) for one in found],
        "provenance": provenance(),
    }


def _facts(name: str, words: MarkerSet | DescriptionBank) -> dict[str, str]:
    return {"name": name, "status": words.status, "fingerprint": words.fingerprint}


def _table_json(one: Explained, first: Explained | None) -> dict[str, Any]:
    return {
        "name": one.source.name,
        "aligned": one.source.aligned,
        "notices": list(one.notices),
        "classes": list(one.classes),
        "alignment": None if one.alignment is None else {level: a.to_json() for level, a in one.alignment.items()},
        "profile": None if one.profile is None else {level: p.to_json(one.classes) for level, p in one.profile.items()},
        "agreement": None if one.agreement is None else one.agreement.to_json(),
        "less_first": None if first is None else _less(one, first),
        "provenance": dict(one.source.table.provenance),
    }


def _less(one: Explained, first: Explained) -> dict[str, Any]:
    """Effect sizes and agreement less those of the first table, paired by patient; None where patients differ."""
    found: dict[str, Any] = {}
    if one.alignment is not None and first.alignment is not None:
        for level in LEVELS:
            ours, theirs = one.alignment[level], first.alignment[level]
            same = ours.patients == theirs.patients
            found[level] = _difference(ours.effect, theirs.effect, ours.resampled, theirs.resampled) if same else None
    if one.agreement is not None and first.agreement is not None and one.agreement.patients == first.agreement.patients:
        enough = one.agreement.interval() is not None
        for measure in truth.MEASURED:
            found[measure] = _difference(
                one.agreement.mean(measure),
                first.agreement.mean(measure),
                one.agreement.mean_resampled(measure) if enough else None,
                first.agreement.mean_resampled(measure) if enough else None,
            )
    return found


def _difference(
    ours: float | None, theirs: float | None, our_draws: np.ndarray | None, their_draws: np.ndarray | None
) -> dict[str, Any] | None:
    if ours is None or theirs is None:
        return None
    interval: Interval | None = None
    if our_draws is not None and their_draws is not None:
        interval = interval_of(our_draws - their_draws)
    return {"mean": ours - theirs, "interval": None if interval is None else [interval.low, interval.high]}


def _draw(found: Sequence[Explained], top: int, folder: Path) -> None:
    aligned = [one for one in found if one.alignment is not None]
    if aligned:
        rows = [(one.source.title, one.classes, one.alignment or {}) for one in aligned]
        show_matrices(rows, folder / "alignment.png")
    for one in found:
        if one.profile is not None:
            slug = re.sub(r"\W+", "-", one.source.name).strip("-")
            show_profile(one.source.title, one.classes, one.profile, top, folder / f"profile-{slug}.png")


def _beside(path: Path) -> Path:
    """Where output goes unless told: RUN/explanations."""
    run = path if (path / "config.yaml").is_file() else path.resolve().parent.parent
    return run / "explanations"
