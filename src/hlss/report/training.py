"""How training went: every term of the loss and all else that the log holds, over steps."""

from collections.abc import Mapping

from hlss.report.contents import Report, RunPart
from hlss.report.facts import Facts, significant
from hlss.report.lines import Line, line_chart
from hlss.report.markup import Html, element, joined
from hlss.report.parts import folded, grid, missing, plain, section, table, titled

Point = tuple[float, Facts]  # a step, and a figure of the log
Series = dict[str, dict[str, list[Point]]]  # by chart and line
_NAMES = {
    "loss/total": "Loss, sum of all terms",
    "loss": "Terms of the loss",
    "lr": "Learning rate",
    "gradient/total": "Length of the gradient",
    "gradient_at_z": "Gradient at the features",
    "bank_use": "Bank use: characteristics in use, by perplexity",
    "val": "Validation patients",
    "views_per_second": "Views per second",
}
_TERMS = {"hvc": "contrast of views (hvc)", "ha": "alignment with text (ha)"}
_LEAD = (
    "Every figure of the run's log over training steps. The terms add up to the loss; a term that does not move is not "
    "being learnt. Bank use says how many characteristics the alignment term spreads its choices over: near 1, one "
    "sentence answers for everything."
)


def training_section(report: Report) -> Html:
    """Runs one after the other, their charts alike and on the same axes."""
    found = {run.name: _series(run) for run in report.runs}
    if not any(found.values()):
        return section("training", "Training", _LEAD, missing(report.lacking.get("training", "No run has a log.")))
    domains = _domains(found)
    parts = []
    for run in report.runs:
        several = len(report.runs) > 1
        body = _charts(found[run.name], domains) if found[run.name] else missing("This run has no log.")
        parts.append(joined(element("h3", run.name) if several else None, body, _ends(run, found[run.name])))
    return section("training", "Training", _LEAD, parts)


def _series(run: RunPart) -> Series:
    """Rows of the log, sorted into charts: terms of one kind on one."""
    found: Series = {}
    for row in run.log or ():
        for name, value in row.items():
            if name == "step" or not isinstance(value.value, int | float):
                continue
            chart, line = (name, name) if name in _NAMES or "/" not in name else name.rsplit("/", 1)
            found.setdefault(chart, {}).setdefault(line, []).append((row["step"].value, value))
    order = [name for name in found if name == "loss/total"] + sorted(
        (name for name in found if name != "loss/total"), key=_rank
    )
    return {name: found[name] for name in order}


def _rank(name: str) -> tuple[int, str]:
    kinds = ("loss", "lr", "val", "bank_use", "gradient", "gradient_at_z")
    kind = name.split("/")[0]
    return (kinds.index(kind) if kind in kinds else len(kinds), name)


def _domains(found: Mapping[str, Series]) -> dict[str, list[float]]:
    """By chart, the smallest and the largest value in any run."""
    domains: dict[str, list[float]] = {}
    for series in found.values():
        for chart, lines in series.items():
            values = [value.value for line in lines.values() for _, value in line]
            domains[chart] = [min([*domains.get(chart, []), *values]), max([*domains.get(chart, []), *values])]
    return domains


def _charts(series: Series, domains: Mapping[str, list[float]]) -> Html:
    shown = []
    for chart, lines in series.items():
        curves = [_line(chart, name, points) for name, points in lines.items()]
        shown.append(titled(_title(chart), line_chart(_title(chart), curves, domains[chart])))
    return grid(shown)


def _line(chart: str, name: str, points: list[Point]) -> Line:
    alone = name == chart
    steps, values = [step for step, _ in points], [value.value for _, value in points]
    return Line(plain(name), steps, values, points[-1][1] if alone else None)


def _title(chart: str) -> str:
    if chart in _NAMES:
        return _NAMES[chart]
    kind, _, rest = chart.partition("/")
    return f"{_NAMES.get(kind, plain(kind))}: {_TERMS.get(rest, plain(rest))}" if rest else plain(kind)


def _ends(run: RunPart, series: Series) -> Html | None:
    """First, lowest and last value of every curve, in figures."""
    rows = []
    for chart, lines in series.items():
        for name, points in lines.items():
            values = [value for _, value in points]
            ends = (values[0], min(values, key=_number), max(values, key=_number), values[-1])
            rows.append([chart if name == chart else f"{chart}/{name}", *(one.shown(significant) for one in ends)])
    if not rows:
        return None
    heads = ["in the log", "first", "lowest", "highest", "last"]
    return folded("The curves in figures", table(heads, rows, f"Curves of {run.name} in figures"))


def _number(value: Facts) -> float:
    return float(value.value)
