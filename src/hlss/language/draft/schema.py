"""What answers must look like. Everything else is asked again; nothing is taken from outside the JSON object."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import AfterValidator, Field, StringConstraints, ValidationError

from hlss.config import Part
from hlss.language.bank import DESCRIPTIONS
from hlss.language.lint.form import FEWEST_WORDS, MOST_IN_NAME
from hlss.language.wording import Sentence
from hlss.types import Level

WORDS = 20
_PLAIN = re.compile(r"[\w ,.;:'’()%°×+\-–]+")  # a sentence: no markup, no path, no address

# What servers are asked to keep to, one word more than is taken, by which a sentence cut short is known.
_WORD = "[A-Za-z'-]{1,20}"
_NAME_PATTERN = f"^{_WORD}( {_WORD}){{0,{MOST_IN_NAME}}}$"
_SENTENCE_PATTERN = f"^[A-Z][a-z-]{{0,19}}( {_WORD}[,;]?){{{FEWEST_WORDS - 1},{WORDS}}}[.]?$"

LETTERS = 240  # of a sentence

Name = Annotated[str, StringConstraints(strip_whitespace=True), Field(json_schema_extra={"pattern": _NAME_PATTERN})]
Said = Annotated[
    str,
    StringConstraints(strip_whitespace=True),
    Field(json_schema_extra={"pattern": _SENTENCE_PATTERN, "maxLength": LETTERS}),
]
Reason = Annotated[str, AfterValidator(lambda text: text.strip()[:300]), Field(json_schema_extra={"maxLength": 300})]


def plain(text: str) -> str | None:
    """What keeps a text from being one short plain sentence; None where nothing does."""
    if not text or not _PLAIN.fullmatch(text) or ".." in text:
        return "must be plain words without markup, slashes or line breaks"
    if len(text) > LETTERS:
        return f"is longer than {LETTERS} letters"
    if not re.search(r"[^\W\d_]{3}", text):
        return "must hold words"
    return f"has more than {WORDS} words" if len(text.split()) > WORDS else None


def sentence(text: str) -> str | None:
    """Likewise, and what keeps it from being a sentence."""
    few = f"has fewer than {FEWEST_WORDS} words" if len(text.split()) < FEWEST_WORDS else None
    return plain(text) or few


def _different(texts: list[str]) -> list[str]:
    for text in texts:
        if wrong := sentence(text):
            raise ValueError(f"a description {wrong}")
    known = [Sentence.of(text) for text in texts]
    for i, one in enumerate(known):
        for j in range(i):
            if one.copies(known[j]):
                raise ValueError(f"descriptions {j + 1} and {i + 1} use nearly the same words")
    return texts


class Candidate(Part):
    """A proposed characteristic."""

    name: Name
    gist: Said


class Candidates(Part):
    """Proposals of one round; unusable ones are dropped singly."""

    candidates: list[Candidate] = Field(min_length=1, max_length=200)


class Verdict(Part):
    """Of a numbered candidate."""

    number: int
    visible: bool
    level: Level
    same_as: Name | None


class Verdicts(Part):
    """Of a batch, one for each number."""

    whole: ClassVar[bool] = True

    verdicts: list[Verdict] = Field(min_length=1, max_length=200)


class Descriptions(Part):
    """Four plain sentences, in different words."""

    descriptions: Annotated[
        list[Said], Field(min_length=DESCRIPTIONS, max_length=DESCRIPTIONS), AfterValidator(_different)
    ]


class Check(Part):
    """The model's judgement of a characteristic with its descriptions."""

    visible: bool
    level_right: bool
    faithful: bool
    different: bool
    reason: Reason

    @property
    def wrong(self) -> str | None:
        """Why the descriptions must be rewritten; None where they are good."""
        wrong = [text for good, text in ((self.faithful, "not faithful"), (self.different, "too alike")) if not good]
        return f"{' and '.join(wrong)}: {self.reason}" if wrong else None


AnswerT = TypeVar("AnswerT", bound=Part)


def parse(text: str, model: type[AnswerT]) -> AnswerT | str:
    """The answer, or in one line why it is none."""
    text = text.strip()
    fenced = re.fullmatch(r"```(?:json)?\s*(.*?)\s*```", text, re.DOTALL)
    try:
        return model.model_validate_json(fenced.group(1) if fenced else text)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the answer"
        return f"{field}: {first['msg']}"


def json_schema(model: type[Part], count: int | None = None) -> dict[str, Any]:
    """As servers take it in `response_format`. count: things asked for, beyond which no list and no number goes.

    Where a server keeps to it no answer is endless. A text may be one letter longer than `parse` takes, so that one
    which the server cut there is known by its length.
    """
    tree = json.loads(json.dumps(model.model_json_schema()))
    for node in _nodes(tree):
        for key in ("title", "description"):
            if isinstance(node.get(key), str):
                del node[key]
        if node.get("type") == "string" and "maxLength" in node:
            node["maxLength"] += 1
        if node.get("type") == "array" and count is not None:
            node["maxItems"] = count
            node["minItems"] = count if getattr(model, "whole", False) else node.get("minItems", 0)
        if node.get("type") == "integer" and count is not None:
            node["minimum"], node["maximum"] = 1, count
    return {"name": model.__name__, "strict": True, "schema": tree}


def without_limits(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The same for servers that refuse limits of length and number (pydantic checks them)."""
    tree: dict[str, Any] = json.loads(json.dumps(schema))
    for node in _nodes(tree["schema"]):
        for key in ("pattern", "maxLength", "maxItems", "minItems", "minimum", "maximum"):
            if isinstance(node.get(key), int | str):
                del node[key]
    return tree


def _nodes(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
    for child in list(node.values()) if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _nodes(child)
