"""One request to an OpenAI-compatible server: bounded in time, size and attempts. The key is in no message it makes."""

import random
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from hlss.config import Part
from hlss.errors import UserError
from hlss.language.draft.forms import Form
from hlss.language.draft.prompts import Message
from hlss.language.draft.replies import Refused, raise_for_status, read, refusal
from hlss.language.draft.transcript import Answer

MAX_BYTES = 1 << 20
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
        """Without port, path or query. Raises UserError for no http(s) address, and for one that holds a secret."""
        scheme, host, secret = "", None, False
        with suppress(ValueError):
            parts = urlsplit(self.base_url)
            scheme, host, secret = parts.scheme, parts.hostname, "@" in parts.netloc or bool(parts.query)
        if secret:
            fix = "Leave it out; a key is given by --key-env."
            raise UserError("the address holds a user, a password or a query", where="--base-url", fix=fix)
        if scheme not in ("http", "https") or not host:
            raise UserError("is no http(s) address", where="--base-url", fix="As in http://localhost:8000/v1.")
        return host


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
        self._jitter, self._lock = random.Random(), threading.Lock()
        self._form = Form(0, {"temperature": server.temperature, "max_tokens": server.max_tokens})
        http = openai.DefaultHttpxClient(follow_redirects=False, event_hooks={"response": [raise_for_status]})
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
        form, attempt = self._form, 0
        while attempt < self.server.attempts:
            try:
                answer = self._answer(messages, form.options(schema))
                self._form = form
                return answer
            except Exception as error:
                refused = refusal(error)
                reason = self._scrubbed(f"{type(error).__name__}: {error}" if refused is None else str(refused))
                failed(reason)
                other = form.after(reason) if refused is not None and refused.status in (400, 415, 422) else None
                if other is not None:
                    form = other
                    continue
                if not self._worth_waiting(error, refused):
                    fix = "Check --base-url, --model, --key-env and --max-tokens; what was answered is kept."
                    raise UserError(f"the server refuses: {reason}", where=self.server.host, fix=fix) from None
                attempt += 1
                if attempt < self.server.attempts:
                    self._sleep(self._wait(attempt - 1, refused))
        fix = "Run the same command again to go on; what was answered is kept."
        raise UserError(
            f"no answer after {self.server.attempts} attempts: {reason}", where=self.server.host, fix=fix
        ) from None

    def _answer(self, messages: list[Message], options: Mapping[str, Any]) -> Answer:
        raw, ends = bytearray(), time.monotonic() + self.server.timeout_s
        create: Any = self._openai.chat.completions.with_streaming_response.create
        with create(model=self.server.model, messages=messages, **options) as response:
            for piece in response.iter_bytes(1 << 14):
                raw += piece
                if len(raw) > MAX_BYTES:
                    return Answer(text="", problem=f"longer than {MAX_BYTES} bytes")
                if time.monotonic() > ends:  # a server that sends a byte now and then is one that hangs
                    raise TimeoutError(f"not whole after {self.server.timeout_s:g} s")
        return read(self._scrubbed(raw.decode("utf-8", "replace")))

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
