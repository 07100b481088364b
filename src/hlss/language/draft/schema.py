"""What answers must look like. Everything else is asked again; nothing is taken from outside the JSON object."""

import json
import re
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, Field, StringConstraints, ValidationError

from hlss.config import Part
from hlss.language.bank import DESCRIPTIONS, normalised
from hlss.language.wording import content_words, overlap
from hlss.types import Level

WORDS = 20
_PLAIN = re.compile(r"[\w ,.;:'’()%°×+\-–]+")  # a sentence: no markup, no path, no address

Said = Annotated[str, StringConstraints(strip_whitespace=True, max_length=300)]


def plain(text: str) -> str | None:
    """What keeps a text from being one short plain sentence; None where nothing does."""
    if not text or not _PLAIN.fullmatch(text) or ".." in text:
        return "must be plain words without markup, slashes or line breaks"
    if not re.search(r"[^\W\d_]{3}", text):
        return "must hold words"
    return f"has more than {WORDS} words" if len(text.split()) > WORDS else None


def _different(texts: list[str]) -> list[str]:
    for text in texts:
        if wrong := plain(text):
            raise ValueError(f"a description {wrong}")
    words = [content_words(text) for text in texts]
    for i, text in enumerate(texts):
        for j in range(i):
            if normalised(text) == normalised(texts[j]) or overlap(words[i], words[j]).near_copy:
                raise ValueError(f"descriptions {j + 1} and {i + 1} use nearly the same words")
    return texts


class Candidate(Part):
    """A proposed characteristic."""

    name: Said
    gist: Said


class Candidates(Part):
    """Proposals of one round; unusable ones are dropped singly."""

    candidates: list[Candidate] = Field(min_length=1, max_length=200)


class Verdict(Part):
    """Of a numbered candidate."""

    number: int
    visible: bool
    level: Level
    same_as: Said | None


class Verdicts(Part):
    """Of a batch."""

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
    reason: Said

    @property
    def good(self) -> bool:
        return self.visible and self.level_right and self.faithful and self.different


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


def json_schema(model: type[Part]) -> dict[str, Any]:
    """As servers take it in `response_format`: without limits of length, which some refuse (pydantic checks them)."""
    tree = json.loads(json.dumps(model.model_json_schema()))
    _strip(tree)
    return {"name": model.__name__, "strict": True, "schema": tree}


def _strip(node: Any) -> None:
    if isinstance(node, list):
        for child in node:
            _strip(child)
    elif isinstance(node, dict):
        for key in ("maxLength", "minLength", "title", "description", "maxItems"):
            if not isinstance(node.get(key, {}), dict):
                del node[key]
        for child in node.values():
            _strip(child)
