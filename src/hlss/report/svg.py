"""Pieces that all charts are made of: the frame with its title and description, axes, and marks of several shapes."""

from collections.abc import Callable, Sequence
from itertools import count

from hlss.report.markup import Content, Html, element, joined
from hlss.report.scale import Scale, written

COLOURS, SHAPES = 8, 6  # of which page.css and `symbols` know
_PATHS = (  # around 0, about as large as each other; told apart without colour
    "M-3.4 0A3.4 3.4 0 1 0 3.4 0A3.4 3.4 0 1 0-3.4 0Z",
    "M-3-3H3V3H-3Z",
    "M0-4L3.8 2.8H-3.8Z",
    "M0-4.2L4.2 0L0 4.2L-4.2 0Z",
    "M-1.3-3.9H1.3V-1.3H3.9V1.3H1.3V3.9H-1.3V1.3H-3.9V-1.3H-1.3Z",
    "M0 4L3.8-2.8H-3.8Z",
)
_DASHES = (None, "6 3", "2 3", "8 3 2 3", "1 4", "12 4", "4 2 1 2 1 2", "3 6")
_numbers = count(1)


def restart_ids() -> None:
    """Count the ids of charts from 1 again: a page is the same however many were made before."""
    global _numbers
    _numbers = count(1)


def chart(width: float, height: float, title: str, description: str, *content: Content, **attributes: object) -> Html:
    """An <svg> that says to everybody what it shows."""
    number = next(_numbers)
    names = f"chart-{number}-title", f"chart-{number}-desc"
    return element(
        "svg",
        element("title", title, id=names[0]),
        element("desc", description, id=names[1]),
        *content,
        viewBox=f"0 0 {width:g} {height:g}",
        width=f"{width:g}",
        height=f"{height:g}",
        role="img",
        aria_labelledby=names[0],
        aria_describedby=names[1],
        **{"class_": "chart", **attributes},
    )


def label(x: float, y: float, *content: Content, **attributes: object) -> Html:
    """Text at a place, its baseline at y."""
    return element("text", *content, x=f"{x:g}", y=f"{y:g}", **attributes)


def rule(x1: float, y1: float, x2: float, y2: float, **attributes: object) -> Html:
    """A straight line."""
    return element("line", x1=f"{x1:g}", y1=f"{y1:g}", x2=f"{x2:g}", y2=f"{y2:g}", **attributes)


def axis_below(
    scale: Scale, top: float, bottom: float, most: int = 5, ticks_as: Callable[[float], str] = written
) -> Html:
    """Ticks of a horizontal scale with hairlines up to `top`; ticks_as: how their labels are written."""
    return joined(
        [
            joined(
                rule(scale(tick), top, scale(tick), bottom, class_="hair"),
                label(scale(tick), bottom + 15, ticks_as(tick), class_="tick", text_anchor="middle"),
            )
            for tick in scale.ticks(most)
        ]
    )


def axis_left(scale: Scale, left: float, right: float, most: int = 5) -> Html:
    """Ticks of a vertical scale with hairlines to `right`."""
    return joined(
        [
            joined(
                rule(left, scale(tick), right, scale(tick), class_="hair"),
                label(left - 7, scale(tick) + 4, written(tick), class_="tick", text_anchor="end"),
            )
            for tick in scale.ticks(most)
        ]
    )


def mark(x: float, y: float, number: int, **attributes: object) -> Html:
    """The mark of a series: a shape and a colour."""
    path = _PATHS[number % SHAPES]
    return element("path", d=path, transform=f"translate({x:g} {y:g})", class_=f"k{number % COLOURS}", **attributes)


def symbols(prefix: str) -> Html:
    """Definitions of every shape, to be used many times: #PREFIX0 and so on."""
    return element("defs", [element("path", id=f"{prefix}{number}", d=path) for number, path in enumerate(_PATHS)])


def dash(number: int) -> str | None:
    """How the line of a series is broken."""
    return _DASHES[number % COLOURS]


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places near the wanted ones, at least `gap` apart where there is room between low and high; order is kept."""
    order = sorted(range(len(wanted)), key=lambda number: wanted[number])
    places = [0.0] * len(wanted)
    last = low - gap
    for number in order:
        last = places[number] = max(wanted[number], last + gap)
    limit = high
    for number in reversed(order):
        places[number] = min(places[number], limit)
        limit = places[number] - gap
    return places
