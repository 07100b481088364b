"""Who may talk to a web app: a browser on this machine that was given the token, from no foreign page."""

import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs

from hlss.studio.notices import OPENING, closed

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Pairs = list[tuple[bytes, bytes]]

# Scripts of the page are its own; inline and eval are how NiceGUI sends them. Nothing is fetched from, sent to, or
# framed by another place.
_POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self'; connect-src 'self' {sockets}; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Guard:
    """ASGI around an app: refuses foreign Host and Origin headers, and requests of any kind without the token.

    The token comes once, in the address of the first page, and is then a cookie that scripts cannot read. kept: what
    the page says of what was done, that is shown to who does not have it.
    """

    def __init__(self, app: App, port: int, token: str, kept: str = "") -> None:
        self._closed = closed(kept)
        self._app, self._token, self._cookie = app, token, f"hlss-{port}"  # browsers share cookies between ports
        self._hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost")}
        sockets = " ".join(f"ws://{host}" for host in sorted(self._hosts))
        self._headers: Pairs = [
            (b"content-security-policy", _POLICY.format(sockets=sockets).encode()),
            (b"cross-origin-opener-policy", b"same-origin"),
            (b"cross-origin-resource-policy", b"same-origin"),
            (b"referrer-policy", b"no-referrer"),
            (b"x-content-type-options", b"nosniff"),
            (b"x-frame-options", b"DENY"),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        given = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]]
        if not self._to_and_from_here(given):
            return await self._refuse(scope, send, "Refused: foreign Host or Origin.\n", b"text/plain")
        query = parse_qs(scope["query_string"].decode("latin-1"))
        if scope["type"] == "http" and any(map(self._is_token, query.get("token", []))):
            return await self._welcome(send)
        if _from_another_page(given) or not any(map(self._is_token, self._cookies(given))):
            return await self._refuse(scope, send, self._closed, b"text/html")
        return await self._app(scope, receive, self._with_headers(send))

    def _to_and_from_here(self, given: list[tuple[str, str]]) -> bool:
        hosts = [value for name, value in given if name == "host"]
        origins = [value for name, value in given if name == "origin"]
        ours = {f"http://{host}" for host in self._hosts}
        return len(hosts) == 1 and hosts[0] in self._hosts and all(origin in ours for origin in origins)

    def _is_token(self, given: str) -> bool:
        return secrets.compare_digest(given.encode(), self._token.encode())

    def _cookies(self, given: list[tuple[str, str]]) -> list[str]:
        """Values of this app's cookie. By hand: another app's cookie that is none would end Python's parser."""
        every = [part.strip().partition("=") for name, value in given if name == "cookie" for part in value.split(";")]
        return [value for name, _, value in every if name == self._cookie]

    async def _welcome(self, send: Send) -> None:
        """Give the cookie, and a page that goes on: a redirect would still count as coming from where the address
        was clicked, and the browser would keep a strict cookie back.
        """
        cookie = f"{self._cookie}={self._token}; HttpOnly; SameSite=Strict; Path=/"
        await self._answer(send, 200, OPENING, b"text/html", [(b"set-cookie", cookie.encode())])

    async def _refuse(self, scope: Scope, send: Send, why: str, kind: bytes) -> None:
        if scope["type"] == "websocket":  # before it was accepted: the browser sees 403
            await send({"type": "websocket.close", "code": 1008})
        else:
            await self._answer(send, 403, why, kind, [])

    async def _answer(self, send: Send, status: int, body: str, kind: bytes, more: Pairs) -> None:
        every = [(b"content-type", kind + b"; charset=utf-8"), (b"cache-control", b"no-store"), *self._headers, *more]
        await send({"type": "http.response.start", "status": status, "headers": every})
        await send({"type": "http.response.body", "body": body.encode()})

    def _with_headers(self, send: Send) -> Send:
        async def sent(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", []), *self._headers]}
            await send(message)

        return sent


def _from_another_page(given: list[tuple[str, str]]) -> bool:
    """Whether the browser says that another site made it ask; another port of this machine is `same-site`."""
    return any(name == "sec-fetch-site" and value not in ("same-origin", "none") for name, value in given)
