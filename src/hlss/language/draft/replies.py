"""What a server's replies mean: an answer, a refusal, how long to wait."""

import datetime
import json
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from hlss.language.draft.transcript import Answer

_ERROR_BYTES = 4096


class Refused(Exception):  # noqa: N818 — a status, of which some are mended by waiting
    """The server said no. wait_s: its Retry-After."""

    def __init__(self, status: int, text: str, wait_s: float | None) -> None:
        super().__init__(f"HTTP {status}: {text}")
        self.status, self.wait_s = status, wait_s


def refusal(error: BaseException) -> Refused | None:
    """The refusal that the package may have wrapped."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, Refused):
        cause = cause.__cause__
    return cause


def raise_for_status(response: Any) -> None:
    """Before the package reads the body of an error, which may be of any size."""
    if response.status_code < 300:
        return
    body = bytearray()
    for piece in response.iter_bytes(1 << 10):
        body += piece
        if len(body) >= _ERROR_BYTES:
            break
    response.close()
    text = " ".join(body[:_ERROR_BYTES].decode("utf-8", "replace").split())
    raise Refused(response.status_code, text, wait_of(response.headers))


def wait_of(headers: Mapping[str, str]) -> float | None:
    """Seconds that Retry-After asks for, which gives them or a date; None where it is missing or neither."""
    said = headers.get("retry-after", "")
    try:
        return float(said)
    except ValueError:
        pass
    try:
        when = parsedate_to_datetime(said)
    except ValueError:
        return None
    when = when if when.tzinfo else when.replace(tzinfo=datetime.UTC)
    return (when - datetime.datetime.now(datetime.UTC)).total_seconds()


def read(raw: str) -> Answer:
    """The answer in a server's body, which may be anything."""
    try:
        tree = json.loads(raw)
        choice, usage = tree["choices"][0], tree.get("usage") or {}
        message = choice["message"]
        text = message.get("content") or ""
        tokens = {
            "prompt_tokens": int(usage.get("prompt_tokens") or 0),
            "answer_tokens": int(usage.get("completion_tokens") or 0),
        }
        problem = None
        if message.get("refusal") or choice.get("finish_reason") == "content_filter":
            problem = "the model refused"
        elif choice.get("finish_reason") == "length":
            problem = "cut off at the limit of tokens; be shorter"
        return Answer(text=str(text), problem=problem, **tokens)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        return Answer(text="", problem="the server's body is no chat completion")
