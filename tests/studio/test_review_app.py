"""The review in a real browser."""

import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytest.importorskip("nicegui", reason="the extra `studio` is not installed")
CHROMIUM = shutil.which("chromium")
pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")]
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]
SCRIPT = "<script>window.harmed = 1</script><img src=x onerror='window.harmed = 1'>"


class Server:
    """`hlss bank review` in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.bank, self.out, self.port = folder / "bank.yaml", folder / "out", _free_port()
        tree: dict[str, Any] = {"title": "small", "domain": "drawn", "provenance": "a test"}
        for level in ("patch", "slide", "patient"):
            tree[level] = [
                {"name": f"{level} {n}", "descriptions": [f"{level} {n} seen {way}" for way in "abcd"]}
                for n in range(3)
            ]
        tree["patch"][2]["descriptions"][0] = SCRIPT
        self.bank.write_text(yaml.safe_dump(tree))
        self.start()

    def start(self) -> None:
        code = "from hlss.cli import main; main()"
        told = ["bank", "review", str(self.bank), "--reviewer", "Ann", "--port", str(self.port), "--out", str(self.out)]
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "NICEGUI"))}
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, *told], stdout=subprocess.PIPE, text=True, env=clean
        )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        assert self.url.startswith("http"), self.url
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except OSError:
                time.sleep(0.1)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    one = Server(tmp_path_factory.mktemp("review"))
    yield one
    one.kill()


@pytest.fixture(scope="module")
def context() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser.new_context()
        browser.close()


def status_of(server: Server, host: str, path: str = "/", **headers: str) -> int:
    one = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    one.request("GET", path, headers={"Host": host, **headers})
    status = one.getresponse().status
    one.close()
    return status


def test_only_who_has_the_token_and_comes_from_here_is_let_in(server: Server) -> None:
    here = f"127.0.0.1:{server.port}"
    path = server.url.removeprefix(f"http://{here}")
    assert status_of(server, here) == 403
    assert status_of(server, here, "/?token=guess") == 403
    assert status_of(server, here, "/_nicegui_ws/socket.io/?EIO=4&transport=polling") == 403
    assert status_of(server, "evil.example", path) == 403
    assert status_of(server, here, path, Origin="http://evil.example") == 403
    assert status_of(server, here, path) == 303


def test_a_decision_is_shown_and_text_of_a_bank_is_text(server: Server, context: Any) -> None:
    page, expect = context.new_page(), playwright.expect
    page.goto(server.url, wait_until="domcontentloaded")
    expect(page.get_by_text("patch 0 seen a", exact=True)).to_be_visible(timeout=30_000)
    page.keyboard.press("a")
    expect(page.get_by_text("Ann: 1 of 9 decided")).to_be_visible()
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(page.get_by_text(SCRIPT, exact=True)).to_be_visible()
    assert page.evaluate("window.harmed") is None
    page.close()


@pytest.mark.slow
def test_a_review_by_keyboard_in_two_tabs_through_a_kill(server: Server, context: Any) -> None:
    page, other = context.new_page(), context.new_page()
    expect = playwright.expect
    page.goto(server.url, wait_until="domcontentloaded")
    other.goto(server.url, wait_until="domcontentloaded")
    status = page.get_by_role("status").first
    expect(page.get_by_text("patch 0 seen a", exact=True)).to_be_visible(timeout=30_000)
    page.keyboard.press("a")
    expect(page.get_by_text("Ann: 1 of 9 decided")).to_be_visible()
    expect(other.get_by_text("Ann: 1 of 9 decided")).to_be_visible()
    page.keyboard.press("r")
    expect(status).to_have_text("rejected")
    page.keyboard.press("u")
    expect(status).to_have_text("approved")
    other.keyboard.press("e")
    page.keyboard.press("e")
    page.get_by_label("Description 1").fill("of this tab")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("of this tab", exact=True)).to_be_visible()
    other.get_by_label("Description 1").fill("of the other tab")
    other.get_by_role("button", name="Save").click()
    expect(other.get_by_role("alert").filter(has_text="of this tab")).to_be_visible()
    expect(other.get_by_label("Description 1")).to_have_value("of the other tab")
    server.kill()
    server.start()
    page.goto(server.url, wait_until="domcontentloaded")
    expect(page.get_by_text("of this tab", exact=True)).to_be_visible(timeout=30_000)
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(page.get_by_text(SCRIPT, exact=True)).to_be_visible()
    assert page.evaluate("window.harmed") is None
