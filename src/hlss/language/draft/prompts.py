"""Prompts are data (prompts.yaml); what comes from cards and answers is put in as delimited JSON."""

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from hlss.config import Part
from hlss.files import digest
from hlss.types import LEVELS, Level

Message = dict[str, str]


class Prompts(Part):
    """Texts by stage."""

    system: str
    levels: dict[Level, str]
    candidates: str
    prune: str
    describe: str
    check: str
    rewrite: str
    again: str


@cache
def prompts() -> Prompts:
    """The shipped texts."""
    text = (files("hlss.language.draft") / "prompts.yaml").read_text(encoding="utf-8")
    return Prompts.model_validate(yaml.safe_load(text))


def prompts_digest() -> str:
    """Short hash of the shipped texts."""
    return digest(prompts().model_dump(mode="json"))


def messages(stage: str, level: Level, data: Mapping[str, Any], **numbers: int) -> list[Message]:
    """What to send. stage: a field of Prompts; numbers fill it; data is JSON that cannot close its own delimiter."""
    known = prompts()
    task = getattr(known, stage).format(**numbers)
    which = "\n".join(known.levels[each] for each in (LEVELS if stage == "prune" else (level,)))
    text = json.dumps(data, ensure_ascii=False, indent=1).replace("<", "\\u003c").replace(">", "\\u003e")
    return [
        {"role": "system", "content": known.system},
        {"role": "user", "content": f"{task}\n\n{which}\n\n<data>\n{text}\n</data>"},
    ]


def asked_again(asked: list[Message], error: str, answer: str | None) -> list[Message]:
    """The messages after an answer that could not be used. answer: shown to the model; None: it starts afresh.

    Users and assistant take turns, which some servers insist on.
    """
    again = prompts().again.format(error=error[:500])
    if answer and answer.strip():
        return [*asked, {"role": "assistant", "content": answer[:2000]}, {"role": "user", "content": again}]
    return [*asked[:-1], {**asked[-1], "content": f"{asked[-1]['content']}\n\n{again}"}]
