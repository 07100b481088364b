"""One request to an OpenAI-compatible server: bounded in time, size and attempts. The key is in no message it makes."""

import json
import random
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from hlss.config import Part
from hlss.errors import UserError
from hlss.language.draft.prompts import Message
from hlss.language.draft.transcript import Answer

MAX_BYTES = 1 << 20
_ERROR_BYTES = 4096
_LONGEST_WAIT_S = 60.0


class Server(Part):
    """Where and how to ask. backoff_s: first wait after a failure, doubled each time."""

    base_url: str
    model: str
    timeout_s: float = 120.0
    attempts: int = 6
    backoff_s: float = 1.0
    temperature: float = 0.7
    max_tokens: int = 4096

    @property
    def host(self) -> str:
        """Without credentials, path or query."""
        parts = urlsplit(self.base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UserError("is no http(s) address", where="--base-url", fix="As in http://localhost:8000/v1.")
        return parts.hostname


class Refused(Exception):  # noqa: N818 — a status, of which some are mended by waiting
    """The server said no. wait_s: its Retry-After."""

    def __init__(self, status: int, text: str, wait_s: float | None) -> None:
        super().__init__(f"HTTP {status}: {text}")
        self.status, self.wait_s = status, wait_s


class Client:
    """Asks one server; several threads may share it."""

    def __init__(self, server: Server, key: str | None, sleep: Callable[[float], None] = time.sleep) -> None:
        """Raises UserError where the package `openai` is missing."""
        try:
            import openai
        except ImportError as error:
            fix = "Run: pip install 'hlss[language]'"
            raise UserError("the package openai is not installed", where="hlss bank draft", fix=fix) from error
        self.server, self._key, self._sleep = server, key, sleep
        self._schema_ok, self._jitter, self._lock = True, random.Random(), threading.Lock()
        http = openai.DefaultHttpxClient(follow_redirects=False, event_hooks={"response": [_raise_for_status]})
        self._openai = openai.OpenAI(
            base_url=server.base_url, api_key=key or "none", max_retries=0, timeout=server.timeout_s, http_client=http
        )

    def close(self) -> None:
        """Close its connections."""
        self._openai.close()

    def ask(self, messages: list[Message], schema: Mapping[str, Any], failed: Callable[[str], None]) -> Answer:
        """The answer, which may be none (`problem`). failed: told of each attempt that brought nothing.

        Raises UserError where the server cannot be used, or is not to be had after all attempts.
        """
        for attempt in range(self.server.attempts):
            with_schema = self._schema_ok
            try:
                return self._answer(messages, schema if with_schema else None)
            except Exception as error:
                refused = _refused(error)
                reason = self._scrubbed(f"{type(error).__name__}: {error}" if refused is None else str(refused))
                failed(reason)
                if refused is not None and refused.status in (400, 415, 422) and with_schema:
                    self._schema_ok = False  # remembered: this server takes no schema
                    continue
                if not self._worth_waiting(error, refused):
                    fix = "Check --base-url, --model and --key-env; what was answered is kept."
                    raise UserError(f"the server refuses: {reason}", where=self.server.host, fix=fix) from None
                if attempt + 1 < self.server.attempts:
                    self._sleep(self._wait(attempt, refused))
        fix = "Run the same command again to go on; what was answered is kept."
        raise UserError(
            f"no answer after {self.server.attempts} attempts: {reason}", where=self.server.host, fix=fix
        ) from None

    def _answer(self, messages: list[Message], schema: Mapping[str, Any] | None) -> Answer:
        server = self.server
        more: dict[str, Any] = {}
        if schema is not None:
            more["response_format"] = {"type": "json_schema", "json_schema": schema}
        raw, ends = bytearray(), time.monotonic() + server.timeout_s
        create: Any = self._openai.chat.completions.with_streaming_response.create
        with create(
            model=server.model,
            messages=messages,
            temperature=server.temperature,
            max_tokens=server.max_tokens,
            **more,
        ) as response:
            for piece in response.iter_bytes(1 << 14):
                raw += piece
                if len(raw) > MAX_BYTES:
                    return Answer(text="", problem=f"longer than {MAX_BYTES} bytes")
                if time.monotonic() > ends:  # a server that sends a byte now and then is one that hangs
                    raise TimeoutError(f"not whole after {server.timeout_s:g} s")
        return _read(self._scrubbed(raw.decode("utf-8", "replace")))

    def _worth_waiting(self, error: Exception, refused: Refused | None) -> bool:
        if refused is not None:
            return refused.status in (408, 409, 425, 429) or refused.status >= 500
        import openai

        return isinstance(error, openai.APIConnectionError | TimeoutError | OSError) or _of_http(error)

    def _wait(self, attempt: int, refused: Refused | None) -> float:
        if refused is not None and refused.wait_s is not None:
            return min(_LONGEST_WAIT_S, max(0.0, refused.wait_s))
        with self._lock:
            jitter = self._jitter.uniform(0.5, 1.5)
        return min(_LONGEST_WAIT_S, self.server.backoff_s * 2.0**attempt * jitter)

    def _scrubbed(self, text: str) -> str:
        return text.replace(self._key, "[key]") if self._key else text


def _of_http(error: Exception) -> bool:
    return type(error).__module__.partition(".")[0] in ("httpx", "httpx2", "httpcore", "httpcore2")


def _refused(error: BaseException) -> Refused | None:
    """The refusal that the package may have wrapped."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, Refused):
        cause = cause.__cause__
    return cause


def _raise_for_status(response: Any) -> None:
    """Before the package reads the body of an error, which may be of any size."""
    if response.status_code < 300:
        return
    body = bytearray()
    for piece in response.iter_bytes(1 << 10):
        body += piece
        if len(body) >= _ERROR_BYTES:
            break
    wait = None
    with suppress(TypeError, ValueError):
        wait = float(response.headers.get("retry-after"))
    response.close()
    raise Refused(response.status_code, " ".join(body[:_ERROR_BYTES].decode("utf-8", "replace").split()), wait)


def _read(raw: str) -> Answer:
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
