"""Charts of figures: values with their intervals, bars, and confusion matrices."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hlss.report.facts import Facts, Form, percent
from hlss.report.markup import Html, element, joined
from hlss.report.scale import Scale, scale_of, written
from hlss.report.svg import axis_below, chart, label, mark, rule

_WIDTH, _ROW, _GROUP, _CELL, _BAR = 760.0, 23, 27, 27, 20
_LETTER = 7.0  # px that a letter of a name takes at most on average


@dataclass(frozen=True)
class Valued:
    """A row of a chart: a value, the ends of its interval where there is one, its mark, and what it stands under."""

    name: str
    value: Facts
    interval: Facts | None = None
    kind: int = 0
    group: str = ""

    @property
    def limits(self) -> tuple[Facts, Facts] | None:
        """Of an interval as {low, high} or as [low, high]."""
        span = self.interval
        if span is None:
            return None
        return (span["low"], span["high"]) if isinstance(span.value, dict) else (span[0], span[1])


def interval_chart(title: str, rows: Sequence[Valued], form: Form, unit: str, reference: float | None = None) -> Html:
    """A mark for each value on one axis, its interval a line through it; value and interval written to the right.
    reference: where a dashed line stands.
    """
    left = min(18 + _LETTER * max(len(row.name) for row in rows), 290.0)
    spans = any(row.interval is not None for row in rows)
    ends_at = _WIDTH - (118 if spans else 8)  # of the values
    right = ends_at - 54
    places, bottom = _places(rows)
    every = [one.value for row in rows for one in (row.value, *(row.limits or ()))]
    across = scale_of([*every, *([] if reference is None else [reference])], left, right)
    groups = [
        label(0, y - _GROUP + 7, row.group, class_="group")
        for before, row, y in zip([None, *rows], rows, places, strict=False)
        if row.group and (before is None or before.group != row.group)
    ]
    return chart(
        _WIDTH,
        bottom + 36,
        title,
        "; ".join(_said(row, form) for row in rows) + f" ({unit}).",
        axis_below(across, 2, bottom, ticks_as=_ticks(form)),
        None if reference is None else rule(across(reference), 2, across(reference), bottom, class_="reference"),
        groups,
        [_row(row, y, across, left, ends_at, form) for row, y in zip(rows, places, strict=True)],
        label((left + right) / 2, bottom + 32, unit, class_="tick", text_anchor="middle"),
        class_="chart intervals",
    )


def _places(rows: Sequence[Valued]) -> tuple[list[float], float]:
    """The height of every row, room for the names of groups left between; and where all end."""
    places, y, before = [], 4.0, ""
    for row in rows:
        if row.group and row.group != before:
            y, before = y + _GROUP, row.group
        places.append(y + _ROW / 2)
        y += _ROW
    return places, y + 4


def _ticks(form: Form) -> Callable[[float], str]:
    return (lambda value: written(round(100 * value, 9))) if form is percent else written


def _row(row: Valued, y: float, across: Scale, left: float, ends_at: float, form: Form) -> Html:
    limits = row.limits
    span, said = None, None
    if limits is not None:
        low, high = (across(end.value) for end in limits)
        span = rule(low, y, high, y, class_=f"span s{row.kind % 8}")
        ends = [element("tspan", form(end.value), **end.marks) for end in limits]
        said = label(_WIDTH, y + 4, "[", ends[0], ", ", ends[1], "]", class_="tick", text_anchor="end")
    value = label(ends_at, y + 4, form(row.value.value), **_figure(row.value))
    return joined(
        label(left - 10, y + 4, row.name, class_="name", text_anchor="end"),
        span,
        mark(across(row.value.value), y, row.kind),
        value,
        said,
    )


def _figure(value: Facts) -> dict[str, str]:
    return {"class_": "figure", "text_anchor": "end", **value.marks}


def _said(row: Valued, form: Form) -> str:
    limits = row.limits
    span = "" if limits is None else f" [{form(limits[0].value)}, {form(limits[1].value)}]"
    return f"{row.group} {row.name} {form(row.value.value)}{span}".strip()


def bar_chart(title: str, rows: Sequence[Valued], form: Form, unit: str) -> Html:
    """A bar for each value, from 0, the value written at its end."""
    width, top = 420.0, 2
    left = min(14 + _LETTER * max(len(row.name) for row in rows), 230.0)
    across = scale_of([row.value.value for row in rows], left, width - 44, zero=True)
    bars = []
    for number, row in enumerate(rows):
        y, end = top + _BAR * number, across(row.value.value)
        bars.append(
            joined(
                label(left - 8, y + 14, row.name, class_="name", text_anchor="end"),
                element("rect", x=f"{left:g}", y=y + 4, width=f"{max(end - left, 0.5):g}", height=12, class_="bar"),
                label(end + 6, y + 14, form(row.value.value), class_="figure", **row.value.marks),
            )
        )
    said = "; ".join(f"{row.name} {form(row.value.value)}" for row in rows) + f" ({unit})."
    return chart(width, top + _BAR * len(rows) + 6, title, said, bars, class_="chart bars")


def confusion_matrix(title: str, classes: Sequence[str], matrix: Facts) -> Html:
    """Rows: true classes; columns: predicted ones. A cell's ground is its share of its row, the text its count."""
    left, top, n = min(34 + 6.4 * max(len(name) for name in classes), 190.0), 20, len(classes)
    cells, total, right = [], 0, 0
    for row, of_class in enumerate(matrix):
        size = sum(of_class.value) or 1
        for column, cell in enumerate(of_class):
            total, right = total + cell.value, right + (cell.value if row == column else 0)
            cells.append(_cell(left + _CELL * column, top + _CELL * row, cell, cell.value / size, row == column))
    heads = []
    for k, name in enumerate(classes):
        middle = top + _CELL * (k + 0.5) + 4
        heads += [
            label(left - 22, middle, name, class_="name", text_anchor="end"),
            label(left - 7, middle, str(k + 1), class_="tick", text_anchor="end"),
            label(left + _CELL * (k + 0.5), top - 6, str(k + 1), class_="tick", text_anchor="middle"),
        ]
    said = f"{right} of {total} on the diagonal. Rows are true classes, columns predicted ones: {', '.join(classes)}."
    return chart(left + _CELL * n, top + _CELL * n + 2, title, said, cells, heads, class_="chart confusion")


def _mix(share: float) -> float:
    """Percent of full colour: text stands on the light half in dark ink and on the full half in light ink."""
    return 70 * share if share <= 0.5 else 85 + 30 * (share - 0.5)


def _cell(x: float, y: float, cell: Facts, share: float, diagonal: bool) -> Html:
    side = {"width": _CELL - 2, "height": _CELL - 2, "rx": 3}
    kind, mix = "right" if diagonal else "wrong", f"--mix:{_mix(share):.0f}%"
    ground = element("rect", x=f"{x + 1:g}", y=f"{y + 1:g}", **side, class_=kind, style=mix)
    if not cell.value:
        return ground
    ink = "figure dark" if share > 0.5 else "figure"
    return joined(
        ground,
        label(x + _CELL / 2, y + _CELL / 2 + 4, str(cell.value), class_=ink, text_anchor="middle", **cell.marks),
    )
