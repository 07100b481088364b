"""`hlss explain --compare A --compare B`: which characteristics separate two classes or two patients."""

import re
from collections.abc import Sequence
from pathlib import Path

from jaxtyping import Int64
from numpy import ndarray
from rich.console import Console

from hlss.errors import UserError
from hlss.explain.comparison import Comparison, auroc, comparison
from hlss.explain.comparison_picture import show_comparison
from hlss.explain.gauge import Gauge
from hlss.explain.sides import Halves, of_classes, of_patients, rows_named, rows_on_sides, too_few
from hlss.explain.units import Wordings
from hlss.files import write_json
from hlss.jobs.chosen_table import table_of
from hlss.jobs.explain import beside
from hlss.jobs.explain_asked import UnitsSpec
from hlss.jobs.explain_compare_show import show_compared
from hlss.jobs.explain_found import cut, distractors_of
from hlss.jobs.explain_sources import Source, Words, sources_of
from hlss.jobs.explain_truth import UNJUDGED, DrawnTruth, Judged, drawn_truth
from hlss.jobs.explain_units import bank_of, spec_of
from hlss.jobs.explain_units_found import Json, Judge, compared_json, facts, named_by_verdict
from hlss.jobs.explain_words import wordings_of
from hlss.jobs.setup import Say
from hlss.types import LEVELS, Level

OF_PATIENTS = (
    "intervals resample parts of the two patients' slides: how sure the difference is between what was sampled of "
    "these two, were other parts of the same tissue seen. They say nothing of other patients, other sections, or of why"
)


def explain_compare(
    paths: Sequence[Path],
    bank: str | None,
    names: Sequence[str],
    out: Path | None = None,
    side: str = "test",
    overrides: Sequence[str] = (),
) -> Path:
    """Compare two classes or patients in these runs (their last tables) or tables; returns the folder written to.

    overrides: of UnitsSpec. Raises UserError.
    """
    if len(names) != 2:
        raise UserError(f"{len(names)} names to compare", fix="Give two: --compare A --compare B.")
    spec = spec_of(side, overrides)
    say = Console(stderr=True, markup=False, highlight=False, soft_wrap=True).print
    sources = sources_of([table_of(Path(path)) for path in paths], spec.side)
    folder, words, bank = out or beside(Path(paths[0])), Words(say), bank_of(bank, sources)
    pair, tables = (names[0], names[1]), []
    gauges = [Gauge(source.table) for source in sources]
    asked = [rows_named(gauge, pair) for gauge in gauges]  # before anything is computed
    for source, gauge, (halves, classes) in zip(sources, gauges, asked, strict=True):
        say(f"{source.name}: {pair[0]} against {pair[1]}")
        found, table = _compared(source, gauge, bank, halves, classes, spec, words, say)
        tables.append(table)
        slug = re.sub(r"\W+", "-", source.name).strip("-")
        title = f"{source.title}: {pair[0]} (right) against {pair[1]} (left)"
        show_comparison(title, found, spec.top, distractors_of(bank), folder / f"compare-{slug}.png")
    result: Json = cut({**facts(bank, spec, sources), "a": pair[0], "b": pair[1], "tables": tables})
    write_json(folder / "compare.json", result)
    show_compared(result, Console())
    return folder


def _compared(
    source: Source,
    gauge: Gauge,
    bank: str,
    halves: Halves,
    classes: bool,
    spec: UnitsSpec,
    words: Words,
    say: Say,
) -> tuple[dict[Level, Comparison], Json]:
    wordings, texts = wordings_of(words, source, bank, LEVELS, spec.random_texts, spec.seed, say)
    truth, said = drawn_truth(source, bank, gauge, say)
    notices = [*source.no_claim, *texts.notices, *said, *([] if classes else [OF_PATIENTS])]
    found: dict[Level, Comparison] = {}
    levels: Json = {}
    settings = {"resamples": spec.resamples, "permutations": spec.permutations, "seed": spec.seed}
    for level in LEVELS:
        say(f"  {level} bank")
        sides = of_classes(gauge, halves, level) if classes else of_patients(gauge, halves)
        one = comparison(sides, wordings[level], **settings)
        if one is None:
            notices.append(f"{level} level: left out, no {level} has the label of one side alone")
            levels[level] = None
            continue
        few = too_few(sides, "patients" if classes else "parts of slides")
        notices += [few] if few and few not in notices else []
        found[level] = one
        kept = one.order(spec.top)
        judge = _judge(truth, halves, level, one)
        areas = _aurocs(gauge, halves, level if classes else Level.PATCH, wordings[level], kept)
        levels[level] = {
            "units": list(one.units),
            "blocks": list(one.blocks),
            **named_by_verdict([(one.names[k], one.verdict(k)) for k in kept]),
            "matches": [
                compared_json(one, k, level, texts, judge)
                | {"auroc": area, "drawn_sigma": truth and truth.difference(halves, level, one.names[k])}
                for k, area in zip(kept, areas, strict=True)
            ],
        }
    kind = "classes" if classes else "patients"
    return found, {
        "name": source.name,
        "aligned": source.aligned,
        "kind": kind,
        "blocks": "patients" if classes else "parts of slides",
        "notices": list(dict.fromkeys(notices)),
        "levels": levels,
        "run": source.run_facts,
        "provenance": dict(source.table.provenance),
    }


def _judge(truth: DrawnTruth | None, halves: Halves, level: Level, found: Comparison) -> Judge:
    sigma = dict(zip(found.names, found.difference.tolist(), strict=True))

    def judge(name: str) -> Judged:
        return UNJUDGED if truth is None else truth.of_difference(halves, level, name, sigma[name])

    return judge


def _aurocs(gauge: Gauge, halves: Halves, level: Level, words: Wordings, kept: Sequence[int]) -> list[float]:
    """Chance that a unit of A scores above one of B."""
    texts = words.rows[list(kept)].T

    def scores(rows: Int64[ndarray, " r"]) -> ndarray:
        return gauge.scores(rows, texts) if level is Level.PATCH else gauge.means(level)[rows] @ texts

    first, second = (scores(rows) for rows in rows_on_sides(gauge, halves, level))
    return [auroc(first[:, i], second[:, i]) for i in range(len(kept))]
