"""`hlss map --truth`: on drawn tissue, whether maps agree with the true maps, by factor, before and after training."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from rich.console import Console

from hlss.cohorts.phantom.factors import INDEX
from hlss.embedding_table import EmbeddingTable
from hlss.errors import UserError
from hlss.evaluate.intervals import FEWEST_PATIENTS
from hlss.explain.agreement import mean_over
from hlss.explain.blocks import drawn, interval_of
from hlss.explain.match import match
from hlss.explain.within import WithinSlides, slide_numbers, variance_within
from hlss.files import write_json
from hlss.jobs import truth
from hlss.jobs.chosen_table import home_of
from hlss.jobs.explain_sources import Source, Words, refuse_other_width, sources_of
from hlss.jobs.map_show import show_truth
from hlss.jobs.provenance import provenance
from hlss.types import LEVELS, Level

TRUTH_FILE = "truth.json"
_RESAMPLES = 1000
_MEASURES = ("auroc", "rank")
_KEPT = ("method", "checkpoint", "config_hash", "data_hash", "code_version")  # of a table's provenance

Series = Float64[ndarray, " r"]  # a figure as measured, then in each resample of the patients


@dataclass(frozen=True, eq=False)
class _Found:
    """Of a table: of each characteristic (name, factor, end) its figures within slides, by measure; and the share of
    the features' variance that lies within slides.
    """

    name: str
    source: Source
    characteristics: list[tuple[str, str, str]]
    figures: dict[str, Float64[ndarray, "k r"]]
    counted: list[tuple[int, int]]
    variance_within: float

    def mean(self, measure: str, factor: str | None = None) -> Series:
        """Over the characteristics (of one factor); NaN where none is known."""
        kept = [factor is None or own == factor for _, own, _ in self.characteristics]
        return mean_over(self.figures[measure][kept])

    @property
    def factors(self) -> list[str]:
        return list(dict.fromkeys(factor for _, factor, _ in self.characteristics))


def map_truth(what: Path, bank: str | None, out: Path | None = None, side: str = "test", seed: int = 0) -> Path:
    """AUROC and rank correlation of maps with the true maps of every factor that a tile can show, for a table or all
    tables of a run (start first), over the slides of a side; returns the folder of `truth.json` (RUN/maps).

    Raises UserError for other tissue than drawn, and for a bank whose truth nobody knows.
    """
    say = Console(stderr=True, markup=False, highlight=False, soft_wrap=True).print
    sources = sorted(sources_of([Path(what)], side), key=_is_last)  # stable: the start stays first
    run = sources[0].experiment
    bank = bank or (None if run.language is None else run.language.bank)
    if bank is None:
        raise UserError("the run was trained without a bank", where="--truth", fix="Name one by --bank.")
    for source in sources:
        if source.table.provenance.get("config_hash") != source.experiment.hash:
            fix = "Embed the run's own cohort."
            raise UserError("the table was embedded with other settings than the run's", where=source.name, fix=fix)
    words = Words(say)
    texts = [truth.Words.written(words.bank(source, bank), bank) for source in sources]
    say("looking up what was drawn")
    tables = {str(number): source.table for number, source in enumerate(sources)}
    asked = truth.asked_of_each(tables, run.cohort.open(), "all")
    found = []
    for number, (source, own) in enumerate(zip(sources, texts, strict=True)):
        refuse_other_width(source, own.rows[Level.PATCH].shape[1])
        found.append(_found(source, asked[str(number)], own, seed))
    result = _to_json(found, bank, side, seed)
    folder = out or _beside(Path(what))
    write_json(folder / TRUTH_FILE, result)
    show_truth(result, Console())
    return folder


def _is_last(source: Source) -> bool:
    return source.name.endswith("· last")


def _beside(what: Path) -> Path:
    return home_of(what) / "maps"


def _found(source: Source, asked: truth.Asked, words: truth.Words, seed: int) -> _Found:
    table: EmbeddingTable = source.table
    slide, names = slide_numbers(table["slide"])
    counts = _counts(table, slide, len(names), seed)
    characteristics: list[tuple[str, str, str]] = []
    counted = []
    figures: dict[str, list[ndarray]] = {measure: [] for measure in _MEASURES}
    for level in LEVELS:
        scores = match(asked.features, words.rows[level])
        for number, name in enumerate(words.names[level]):
            meant = words.truths[level][name]
            if meant.factor is None or meant.end is None or meant.factor in truth.WHOLE_SLIDE:
                continue
            column = asked.truth[:, INDEX[meant.factor]]
            within = WithinSlides.of(scores[:, number], column, meant.end, slide, len(names))
            characteristics.append((name, meant.factor, meant.end))
            counted.append((within.having, within.lacking))
            for measure in _MEASURES:
                figures[measure].append(getattr(within, measure)(counts))
    stacked = {measure: np.stack(values) for measure, values in figures.items()}
    label = f"{source.name}" if source.aligned else f"{source.name} (no claim)"
    share = variance_within(table.features, slide, len(names))
    return _Found(label, source, characteristics, stacked, counted, share)


def _counts(table: EmbeddingTable, slide: ndarray, slides: int, seed: int) -> Float64[ndarray, "r s"]:
    """How often each slide stands: once, then by its patient in each resample (no resamples below 10 patients)."""
    names, patient = np.unique(table["patient"].astype(str), return_inverse=True)
    of_slide = np.zeros(slides, dtype=np.int64)
    of_slide[slide] = patient
    once = np.ones((1, slides))
    if len(names) < FEWEST_PATIENTS:
        return once
    return np.concatenate([once, drawn(len(names), _RESAMPLES, seed)[:, of_slide].astype(np.float64)])


def _figure(values: Series) -> dict[str, Any]:
    interval = interval_of(values[1:])
    value = float(values[0])
    return {
        "value": value if np.isfinite(value) else None,
        "interval": None if interval is None else [interval.low, interval.high],
    }


def _to_json(found: Sequence[_Found], bank: str, side: str, seed: int) -> dict[str, Any]:
    first = found[0]
    factors = first.factors
    return {
        "bank": bank,
        "side": side,
        "seed": seed,
        "resamples": _RESAMPLES,
        "provenance": provenance(),
        "tables": [
            {
                "name": one.name,
                "provenance": {key: one.source.table.provenance.get(key) for key in _KEPT},
                "slides": len(set(one.source.table["slide"].tolist())),
                "tiles": len(one.source.table),
                "variance_within_slides": one.variance_within if np.isfinite(one.variance_within) else None,
                "notices": [*one.source.no_claim, *one.source.notices],
                **{
                    measure: {
                        "mean": _figure(one.mean(measure)),
                        "by_factor": {factor: _figure(one.mean(measure, factor)) for factor in factors},
                    }
                    for measure in _MEASURES
                },
                "characteristics": [
                    {"name": name, "factor": factor, "end": end, "having": having, "lacking": lacking}
                    | {measure: _figure(one.figures[measure][k])["value"] for measure in _MEASURES}
                    for k, ((name, factor, end), (having, lacking)) in enumerate(
                        zip(one.characteristics, one.counted, strict=True)
                    )
                ],
            }
            for one in found
        ],
        "less_first": [_less(one, first) for one in found[1:]],
    }


def _less(one: _Found, first: _Found) -> dict[str, Any] | None:
    """Figures less those of the first table, the same patients resampled; None where the tables hold other slides."""
    if not np.array_equal(one.source.table["slide"], first.source.table["slide"]):
        return None
    return {
        measure: {
            "mean": _figure(one.mean(measure) - first.mean(measure)),
            "by_factor": {
                factor: _figure(one.mean(measure, factor) - first.mean(measure, factor)) for factor in first.factors
            },
        }
        for measure in _MEASURES
    }
