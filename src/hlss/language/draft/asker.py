"""Asks for an answer of a given form: out of the transcript where it has it, of the server else."""

from collections.abc import Callable
from typing import TypeVar

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


class Asker:
    """client: None in a replay. budget: tokens that may be used in all; None: no limit."""

    def __init__(self, transcript: Transcript, client: Client | None, model: str, budget: int | None, say: Say) -> None:
        self.transcript, self._client, self._model, self._budget, self._say = transcript, client, model, budget, say
        self.given_up = 0

    def ask(self, stage: str, messages: list[Message], model: type[AnswerT]) -> AnswerT | None:
        """The answer, checked; None where none fits after three tries, of which one line tells."""
        asked, wrong = messages, ""
        for _ in range(TRIES):
            answer = self._answer(stage, asked, model)
            found = answer.problem or parse(answer.text, model)
            if not isinstance(found, str):
                return found
            wrong = found
            asked = messages + asked_again(found, answer.text)
        self.given_up += 1
        self._say(f"{stage}: a request is given up after {TRIES} answers; the last: {wrong[:200]}")
        return None

    def _answer(self, stage: str, messages: list[Message], model: type[Part]) -> Answer:
        schema = json_schema(model)
        key = digest([stage, self._model, messages, schema], 32)
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
        used = sum(self.transcript.tokens().values())
        if self._budget is not None and used >= self._budget:
            fix = "Raise it and run the same command again; what was answered is kept."
            raise UserError(f"{used} tokens are used", where=f"--budget-tokens {self._budget}", fix=fix)
