"""Curves over steps, each named at its end, so that no colour need be told from another."""

from collections.abc import Sequence
from dataclasses import dataclass

from hlss.report.facts import Facts, significant
from hlss.report.markup import Html, element, joined
from hlss.report.scale import Scale, scale_of, written
from hlss.report.svg import axis_below, axis_left, chart, dash, label, spread

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 420, 230, 52, 92, 14, 32


@dataclass(frozen=True)
class Line:
    """x, y: of each point; end: the last value, where it is figures and not the name that stand at the end."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    end: Facts | None = None


def line_chart(title: str, lines: Sequence[Line], domain: Sequence[float], x_name: str = "step") -> Html:
    """domain: values that the vertical axis must hold, those of other charts beside it among them."""
    every = [x for line in lines for x in line.x]
    across = Scale(min(every), max(max(every), min(every) + 1), _LEFT, _WIDTH - _RIGHT)
    upward = scale_of(list(domain), _HEIGHT - _BOTTOM, _TOP)
    ends = spread([upward(line.y[-1]) for line in lines], 14, _TOP, _HEIGHT - _BOTTOM)
    names = [
        label(_WIDTH - _RIGHT + 8, end + 4, *_end(line), class_=f"name ink{number % 8}")
        for number, (line, end) in enumerate(zip(lines, ends, strict=True))
    ]
    return chart(
        _WIDTH,
        _HEIGHT,
        title,
        _said(lines, x_name),
        axis_left(upward, _LEFT, _WIDTH - _RIGHT),
        axis_below(across, _HEIGHT - _BOTTOM, _HEIGHT - _BOTTOM, 4),
        [_curve(line, number, across, upward) for number, line in enumerate(lines)],
        names,
        element("g", class_="cursor"),
        class_="chart lines",
        data_x=f"{across.low:g} {across.high:g} {_LEFT} {_WIDTH - _RIGHT}",
        data_y=f"{_TOP} {_HEIGHT - _BOTTOM}",
    )


def _end(line: Line) -> tuple[Html | str, ...]:
    return (line.name,) if line.end is None else (line.end.shown(significant, "tspan"),)


def _curve(line: Line, number: int, across: Scale, upward: Scale) -> Html:
    points = [(across(x), upward(y)) for x, y in zip(line.x, line.y, strict=True)]
    written_points = " ".join(f"{x:g},{y:g}" for x, y in points)
    dots = joined([element("circle", cx=f"{x:g}", cy=f"{y:g}", r="2.5", class_=f"k{number % 8}") for x, y in points])
    values = " ".join(f"{x:g},{y:.4g}" for x, y in zip(line.x, line.y, strict=True))
    curve = element(
        "polyline",
        points=written_points,
        class_=f"line s{number % 8}",
        stroke_dasharray=dash(number),
        data_name=line.name,
        data_values=values,
    )
    return joined(curve, dots if len(points) < 3 else None)


def _said(lines: Sequence[Line], x_name: str) -> str:
    parts = [
        f"{line.name}: from {line.y[0]:.3g} at {x_name} {written(line.x[0])} to {line.y[-1]:.3g} at {x_name} "
        f"{written(line.x[-1])}"
        for line in lines
    ]
    return "; ".join(parts) + "."
