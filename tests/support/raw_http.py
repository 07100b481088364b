"""Requests as raw bytes over a socket, as no browser would send them."""

import re
import socket


def request(path: str, method: str = "GET", close: bool = True, **headers: str | None) -> bytes:
    """A request's bytes. Header names: `_` for `-`; None leaves one out."""
    given = {name.replace("_", "-"): value for name, value in headers.items() if value is not None}
    if close:
        given.setdefault("Connection", "close")
    return "\r\n".join([f"{method} {path} HTTP/1.1", *(f"{k}: {v}" for k, v in given.items()), "", ""]).encode()


def answers(port: int, sent: bytes) -> tuple[list[int], str]:
    """Status codes of the answers, and all that came back."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as line:
        line.sendall(sent)
        got = b""
        try:
            while chunk := line.recv(65536):
                got += chunk
        except TimeoutError:  # a websocket that was let in stays open
            pass
    text = got.decode("utf-8", "replace")
    return [int(code) for code in re.findall(r"HTTP/1\.1 (\d{3}) ", text)], text
