"""Asks for an answer of a given form: out of the transcript where it has it, of the server else."""

from collections.abc import Callable
from typing import Any, TypeVar

from hlss.config import Part
from hlss.errors import UserError
from hlss.files import digest
from hlss.language.draft.client import Client
from hlss.language.draft.prompts import Message, asked_again
from hlss.language.draft.schema import json_schema, parse
from hlss.language.draft.transcript import Answer, Transcript

TRIES = 3

AnswerT = TypeVar("AnswerT", bound=Part)
Say = Callable[[str], None]


class GivenUp(Exception):  # noqa: N818 — what became of a request, which the draft survives
    """No answer could be used."""


class Limits(Part):
    """requests: answers that may be asked for in all; tokens: likewise (None: no limit)."""

    requests: int
    tokens: int | None = None


class Asker:
    """client: None in a replay."""

    def __init__(self, transcript: Transcript, client: Client | None, model: str, limits: Limits, say: Say) -> None:
        self.transcript, self._client, self._model, self._limits, self._say = transcript, client, model, limits, say
        self.given_up = 0

    def ask(
        self, stage: str, messages: list[Message], model: type[AnswerT], count: int | None = None, turn: int = 0
    ) -> AnswerT:
        """The answer, checked. count: things asked for; turn: of questions in the same words, which one.

        Raises GivenUp where none of three answers fits, of which one line tells.
        """
        asked, wrong = messages, ""
        for number in range(TRIES):
            answer = self._answer([stage, turn] if turn else [stage], asked, json_schema(model, count))
            found = answer.problem or parse(answer.text, model)
            if not isinstance(found, str):
                return found
            wrong = " ".join(found.split())[:200]
            shown = answer.text if number == 0 else None  # a small model repeats what it sees
            asked = asked_again(messages, found, shown)
        self.given_up += 1
        self._say(f"{stage}: a request is given up after {TRIES} answers; the last: {wrong}")
        raise GivenUp(wrong)

    def _answer(self, which: list[str | int], messages: list[Message], schema: dict[str, Any]) -> Answer:
        stage = str(which[0])
        key = digest([*which, self._model, messages, schema], 32)
        known = self.transcript.answers.get(key)
        if known is not None:
            return known
        if self._client is None:
            fix = "Draft without --replay to go on."
            raise UserError(f"an answer is not in the transcript ({stage})", where=self.transcript.path, fix=fix)
        self._spend()
        answer = self._client.ask(messages, schema, lambda reason: self.transcript.failed(key, reason))
        self.transcript.add(key, stage, {"model": self._model, "messages": messages}, answer)
        return answer

    def _spend(self) -> None:
        used, most = sum(self.transcript.tokens().values()), self._limits.tokens
        if most is not None and used >= most:
            fix = "Raise it and run the same command again; what was answered is kept."
            raise UserError(f"{used} tokens are used", where=f"--budget-tokens {most}", fix=fix)
        if len(self.transcript.answers) >= self._limits.requests:
            what = f"{self._limits.requests} answers, several times what was estimated, have not made the bank"
            fix = "Try another model, or a smaller --per-level; the transcript shows what it said."
            raise UserError(what, where=self.transcript.path, fix=fix)
