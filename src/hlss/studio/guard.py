"""Who may talk to a web app: a browser on this machine that was given the token, from no foreign page."""

import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_HEADERS = [
    (
        b"content-security-policy",
        b"default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; frame-ancestors 'none'",
    ),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
]


class Guard:
    """ASGI around an app: refuses foreign Host and Origin headers, and requests of any kind without the token.

    The token comes once, in the address of the first page, and is then a cookie that scripts cannot read.
    """

    def __init__(self, app: App, port: int, token: str) -> None:
        self._app, self._token, self._cookie = app, token, f"hlss-{port}"
        self._hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost")}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        if not self._from_here(headers):
            return await _refuse(scope, send, "foreign Host or Origin")
        if scope["type"] == "http" and self._is_token(parse_qs(scope["query_string"].decode("latin-1")).get("token")):
            return await self._welcome(send)
        if not self._is_token([self._given(headers)]):
            return await _refuse(scope, send, "open the address that hlss printed")
        return await self._app(scope, receive, _with_headers(send))

    def _from_here(self, headers: dict[str, str]) -> bool:
        origins = {f"http://{host}" for host in self._hosts}
        return headers.get("host") in self._hosts and headers.get("origin") in (None, *origins)

    def _is_token(self, given: list[str] | None) -> bool:
        return given is not None and secrets.compare_digest(given[0].encode(), self._token.encode())

    def _given(self, headers: dict[str, str]) -> str:
        try:
            found = SimpleCookie(headers.get("cookie", "")).get(self._cookie)
        except CookieError:
            return ""
        return found.value if found else ""

    async def _welcome(self, send: Send) -> None:
        cookie = f"{self._cookie}={self._token}; HttpOnly; SameSite=Strict; Path=/"
        await _answer(send, 303, b"", [(b"location", b"/"), (b"set-cookie", cookie.encode())])


async def _refuse(scope: Scope, send: Send, why: str) -> None:
    if scope["type"] == "websocket":  # before it was accepted: the browser sees 403
        await send({"type": "websocket.close", "code": 1008})
    else:
        await _answer(send, 403, f"Refused: {why}.\n".encode(), [])


async def _answer(send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    every = [(b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store"), *_HEADERS, *headers]
    await send({"type": "http.response.start", "status": status, "headers": every})
    await send({"type": "http.response.body", "body": body})


def _with_headers(send: Send) -> Send:
    async def sent(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", []), *_HEADERS]}
        await send(message)

    return sent
