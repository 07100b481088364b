"""Figures of a report as a reader of its HTML finds them: what is written, and the value and address beside it."""

import json
from html.parser import HTMLParser
from typing import Any, NamedTuple


class Figure(NamedTuple):
    """text: as shown; value: parsed; source and pointer: of its address."""

    text: str
    value: Any
    source: str
    pointer: str


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.figures: list[Figure] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: dict[str, str] = {}
        self._open: list[tuple[str, dict[str, str | None], list[str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append((tag, given))
        self._open.append((tag, given, []))

    def handle_data(self, data: str) -> None:
        for _, _, texts in self._open:
            texts.append(data)

    def handle_endtag(self, tag: str) -> None:
        while self._open:
            name, given, texts = self._open.pop()
            text = "".join(texts)
            if given.get("data-source"):
                source, pointer = (given["data-source"] or "").split("#", 1)
                self.figures.append(Figure(text, json.loads(given["data-value"] or ""), source, pointer))
            if name == "script" and given.get("id"):
                self.scripts[given["id"] or ""] = text
            if name == tag:
                return


def read(html: str) -> _Reader:
    """All figures, tags and scripts with an id."""
    reader = _Reader()
    reader.feed(html)
    return reader


def resolved(tree: Any, pointer: str) -> Any:
    """The value at a JSON pointer."""
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        tree = tree[int(key)] if isinstance(tree, list) else tree[key]
    return tree


def agree(html: str, trees: dict[str, Any]) -> None:
    """Every figure is the value at its address, and a number is written as it is rounded."""
    figures = read(html).figures
    assert {figure.source for figure in figures} == set(trees)
    for figure in figures:
        assert figure.value == resolved(trees[figure.source], figure.pointer)
        text = figure.text.replace("\u202f", "").replace("−", "-")
        if isinstance(figure.value, int | float) and figure.source != "config.yaml":
            error = min(
                abs(float(text) - figure.value * scale) / max(abs(figure.value * scale), 10) for scale in (1, 100)
            )
            assert error <= 0.006
