"""A local server that speaks the OpenAI chat API and misbehaves on request."""

import json
import os
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = dict[str, Any]  # status, headers, text (content of the message), finish, raw (whole body), refusal
Behave = Callable[[int, str, dict[str, Any]], Reply | None]  # number of the request, stage, its body


class Chat:
    """asked: how often each body was answered; answers says whether a request gets any."""

    def __init__(self, behave: Behave | None) -> None:
        self.behave, self.asked, self.number, self.lock = behave, Counter[str](), 0, threading.Lock()
        self.answers: Callable[[int], bool] = lambda number: True
        self.schemas: list[bool] = []
        self.tokens, self.url = 0, ""

    @property
    def answered_once(self) -> bool:
        return set(self.asked.values()) == {1}


def good(stage: str, data: dict[str, Any], count: int) -> str:
    """What a well-behaved model says: made-up words, each its own."""
    seed = json.dumps(data, sort_keys=True)
    word = lambda i: "".join(chr(97 + (hash_of(f"{seed}{i}") >> (5 * k)) % 26) for k in range(8))  # noqa: E731
    if stage == "candidates":
        items = [
            {"name": f"{word(i)} cells", "gist": f"{word(-i - 1)} {word(i)} shapes fill {word(i + 99)}"}
            for i in range(count)
        ]
        return json.dumps({"candidates": items})
    if stage == "prune":
        level = re.search(r"\w+", data["level"])
        return json.dumps(
            {
                "verdicts": [
                    {"number": c["number"], "visible": True, "level": level.group() if level else "", "same_as": None}
                    for c in data["listed"]
                ]
            }
        )
    if stage == "describe":
        return json.dumps(
            {"descriptions": [f"{word(4 * i)} {word(4 * i + 1)} beside {word(4 * i + 2)}" for i in range(4)]}
        )
    return json.dumps({"visible": True, "level_right": True, "faithful": True, "different": True, "reason": "good"})


def data_of(body: dict[str, Any]) -> dict[str, Any]:
    """What a request gives the model to work on."""
    data: dict[str, Any] = json.loads(body["messages"][1]["content"].partition("<data>")[2].partition("</data>")[0])
    return data


def hash_of(text: str) -> int:
    """Of a text, the same in every process."""
    import hashlib

    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def stage_of(task: str) -> str:
    """By the form the prompt asks for."""
    for stage, sign in (("candidates", "Propose"), ("prune", "numbered"), ("check", "Judge the")):
        if sign in task:
            return stage
    return "describe"


@contextmanager
def serving(behave: Behave | None = None, *, counts: bool = False) -> Iterator[Chat]:
    """Serve until the block ends. counts: report tokens by the length of texts, not always 15."""
    chat = Chat(behave)

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            body = json.loads(raw)
            with chat.lock:
                chat.number += 1
                number = chat.number
                chat.schemas.append("response_format" in body)
            task = body["messages"][1]["content"]
            stage = stage_of(task)
            if not chat.answers(number):
                return
            reply = chat.behave(number, stage, body) if chat.behave else None
            if reply is None:
                data = data_of(body)
                counted = re.search(r"Propose (\d+)", task)
                known = data.get("known", [])
                if stage == "prune":
                    data["level"] = chat_level(data["listed"], chat)
                text = good(stage, {**data, "known": known}, int(counted.group(1)) if counted else 0)
                reply = {"text": text}
            if stage == "candidates":
                level = "patch" if "PATCH:" in task else "slide" if "SLIDE:" in task else "patient"
                with suppress(ValueError, LookupError, TypeError):
                    levels.update({c["name"]: level for c in json.loads(reply["text"])["candidates"]})
            auth = self.headers.get("Authorization", "")
            self.answer(raw, reply, auth)

        def answer(self, raw: bytes, reply: Reply, auth: str) -> None:
            time.sleep(reply.get("hang", 0))
            message = {"role": "assistant", "content": reply.get("text"), "refusal": reply.get("refusal")}
            prompt, said = (len(raw) // 4, len(str(reply.get("text"))) // 4) if counts else (10, 5)
            whole = {
                "id": "1",
                "object": "chat.completion",
                "created": 1,
                "model": "fake",
                "choices": [{"index": 0, "message": message, "finish_reason": reply.get("finish", "stop")}],
                "usage": {"prompt_tokens": prompt, "completion_tokens": said, "total_tokens": prompt + said},
            }
            content = reply.get("raw", json.dumps(whole)).replace("{auth}", auth).encode()
            try:
                self.send_response(reply.get("status", 200))
                for name, value in reply.get("headers", {}).items():
                    self.send_header(name, value)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content) + reply.get("lacking", 0)))
                self.end_headers()
                self.wfile.write(content)
                with chat.lock:
                    chat.tokens += prompt + said
                    if reply.get("status", 200) == 200:
                        chat.asked[raw.decode()] += 1
            except (BrokenPipeError, ConnectionResetError):
                pass

    levels: dict[str, str] = {}

    def chat_level(listed: list[dict[str, Any]], _: Chat) -> str:
        return levels.get(listed[0]["name"], "patch")

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    chat.url = f"http://127.0.0.1:{server.server_port}/v1"
    os.environ.setdefault("NO_PROXY", "127.0.0.1")
    try:
        yield chat
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
