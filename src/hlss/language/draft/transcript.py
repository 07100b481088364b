"""The transcript of a draft: a line a request with its answer, on disk before it is used."""

import fcntl
import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hlss.config import Part
from hlss.errors import UserError
from hlss.files import append_line, digest, whole_lines


class Answer(Part):
    """What came back. problem: why the text is none (`refused`, `too long`, `cut off`); tokens as the server counts."""

    text: str
    problem: str | None = None
    prompt_tokens: int = 0
    answer_tokens: int = 0


class Transcript:
    """Answers by the digest of their request. Opened by one process at a time; a half line at its end is dropped."""

    def __init__(self, path: Path, start: Mapping[str, Any], *, replay: bool = False) -> None:
        """start: facts of the draft; all but `date` must agree with a transcript that is there.

        Raises UserError where it belongs to another draft, is in use, damaged, or (in replay) missing.
        """
        self.path, self._lock = path, threading.Lock()
        self.answers: dict[str, Answer] = {}
        self.stages: dict[str, str] = {}
        if replay and not path.exists():
            raise UserError("no transcript to replay", where=path, fix="Draft without --replay first.")
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("rb" if replay else "a+b")
        try:
            if not replay:
                self._claim()
            self.start = self._read(start, replay)
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        """Let another process have it."""
        self._file.close()

    def add(self, key: str, stage: str, request: Mapping[str, Any], answer: Answer) -> None:
        """Record an answer."""
        line = {"kind": "answer", "key": key, "stage": stage, "request": request, "answer": answer.model_dump()}
        with self._lock:
            self._append(line)
            self.answers[key], self.stages[key] = answer, stage

    def failed(self, key: str, reason: str) -> None:
        """Record an attempt that brought no answer."""
        with self._lock:
            self._append({"kind": "failure", "key": key, "reason": reason})

    def digest(self) -> str:
        """Of requests and answers, in whatever order they came."""
        return digest(sorted((key, answer.model_dump()) for key, answer in self.answers.items()))

    def tokens(self) -> dict[str, int]:
        """Tokens used, by stage."""
        found: dict[str, int] = {}
        for key, answer in list(self.answers.items()):
            stage = self.stages[key]
            found[stage] = found.get(stage, 0) + answer.prompt_tokens + answer.answer_tokens
        return found

    def _claim(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UserError(
                "another process drafts into this transcript", where=self.path, fix="Wait for it."
            ) from error

    def _append(self, line: Mapping[str, Any]) -> None:
        append_line(self._file, json.dumps(line, ensure_ascii=False))

    def _read(self, start: Mapping[str, Any], replay: bool) -> dict[str, Any]:
        self._file.seek(0)
        raw = self._file.read()
        whole = whole_lines(raw)
        if len(whole) < len(raw) and not replay:
            self._file.truncate(len(whole))
        lines = [self._line(number, line) for number, line in enumerate(whole.splitlines(), 1)]
        if not lines:
            if replay:
                raise UserError("the transcript is empty", where=self.path, fix="Draft without --replay first.")
            self._append({"kind": "start", **start})
            return dict(start)
        known = {name: value for name, value in lines[0].items() if name != "kind"}
        differ = [name for name, value in start.items() if name != "date" and known.get(name) != value]
        if differ:
            fix = "Give the same card and options, or another --out."
            raise UserError(f"belongs to another draft ({', '.join(differ)} differs)", where=self.path, fix=fix)
        for line in lines[1:]:
            if line.get("kind") == "answer":
                self.answers[line["key"]] = Answer.model_validate(line["answer"])
                self.stages[line["key"]] = line["stage"]
        return known

    def _line(self, number: int, line: bytes) -> dict[str, Any]:
        try:
            found = json.loads(line)
        except ValueError as error:
            raise UserError(f"line {number} is damaged", where=self.path, fix="Remove that line.") from error
        return found if isinstance(found, dict) else {}
