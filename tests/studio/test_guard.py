"""Who is let in, asked with raw bytes over a socket."""

import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from raw_http import answers, request
from review_server import ReviewServer

pytest.importorskip("nicegui", reason="the extra `studio` is not installed")
SOCKETS = "/_nicegui_ws/socket.io/?EIO=4&transport="
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReviewServer]:
    one = ReviewServer(tmp_path_factory.mktemp("guard")).start()
    yield one
    one.stop()


def status(server: ReviewServer, path: str = "/", method: str = "GET", **headers: str | None) -> int:
    headers = {"Host": f"127.0.0.1:{server.port}", **headers}
    return answers(server.port, request(path, method, **headers))[0][0]


def upgraded(server: ReviewServer, **headers: str | None) -> int:
    """Status of a websocket's handshake; the line is left as soon as it is there."""
    given = {"Host": f"127.0.0.1:{server.port}", **UPGRADE, **headers}
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as line:
        line.sendall(request(SOCKETS + "websocket", **given))
        return int(line.recv(4096).split()[1])


def test_a_request_needs_the_token(server: ReviewServer) -> None:
    for path in (
        "/",
        "/?token=guess",
        "/?token=",
        f"/?token=guess{server.token}",
        SOCKETS + "polling",
        "/favicon.ico",
    ):
        assert status(server, path) == 403
    assert status(server, Cookie=f"hlss-{server.port}=guess") == 403
    assert status(server, Cookie=f"hlss-1={server.token}") == 403
    assert status(server, Cookie=server.cookie) == 200


def test_the_address_gives_the_token_as_a_cookie_and_no_more(server: ReviewServer) -> None:
    (code,), text = answers(server.port, request(f"/?token={server.token}", Host=f"localhost:{server.port}"))
    assert code == 200
    assert f"set-cookie: {server.cookie}; HttpOnly; SameSite=Strict; Path=/" in text
    assert "patch 0" not in text


def test_a_refusal_says_what_to_do(server: ReviewServer) -> None:
    _, text = answers(server.port, request("/", Host=f"127.0.0.1:{server.port}"))
    assert "Open the address that hlss printed" in text
    assert server.token not in text


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "0.0.0.0:{port}", "[::1]:{port}", None])
def test_a_foreign_host_is_refused(server: ReviewServer, host: str | None) -> None:
    given = host and host.format(port=server.port)
    code = answers(server.port, request("/", Host=given, Cookie=server.cookie))[0][0]
    assert code in ((400, 403) if host is None else (403,))  # without one it is no HTTP/1.1


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1:{port}", "http://127.0.0.1:1"])
def test_a_foreign_origin_is_refused(server: ReviewServer, origin: str) -> None:
    given = origin.format(port=server.port)
    assert status(server, Cookie=server.cookie, Origin=given) == 403
    assert status(server, f"/?token={server.token}", Origin=given) == 403
    assert status(server, SOCKETS + "polling", "POST", Cookie=server.cookie, Origin=given) == 403
    assert upgraded(server, Cookie=server.cookie, Origin=given) == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_what_another_page_asks_for_is_refused_but_not_its_link_with_the_token(server: ReviewServer, site: str) -> None:
    assert status(server, Cookie=server.cookie, Sec_Fetch_Site=site) == 403
    assert status(server, Cookie=server.cookie, Sec_Fetch_Site="same-origin") == 200
    assert status(server, f"/?token={server.token}", Sec_Fetch_Site=site) == 200


def test_a_websocket_needs_token_and_origin(server: ReviewServer) -> None:
    here = f"http://127.0.0.1:{server.port}"
    assert upgraded(server, Origin=here) == 403
    assert upgraded(server, Origin=here, Cookie=f"hlss-{server.port}=guess") == 403
    assert upgraded(server, Origin=here, Cookie=server.cookie, Host="evil.example") == 403
    assert upgraded(server, Origin=here, Cookie=server.cookie) == 101


def test_two_hosts_or_origins_are_one_too_many(server: ReviewServer) -> None:
    here = f"127.0.0.1:{server.port}"
    twice = request("/", Host=here, host="evil.example", Cookie=server.cookie)
    assert answers(server.port, twice)[0][0] in (400, 403)
    twice = request("/", Host=here, Origin=f"http://{here}", origin="http://evil.example", Cookie=server.cookie)
    assert answers(server.port, twice)[0] == [403]


def test_the_token_of_one_request_does_not_let_in_the_next_on_its_line(server: ReviewServer) -> None:
    here = f"127.0.0.1:{server.port}"
    first = request("/favicon.ico", close=False, Host=here, Cookie=server.cookie)
    assert answers(server.port, first + request("/", Host=here))[0] == [200, 403]


def test_cookies_of_other_apps_on_this_machine_do_not_hide_ours(server: ReviewServer) -> None:
    assert status(server, Cookie=f'other={{"a": [1, "b"]}}; {server.cookie}; last="') == 200


def test_pages_may_not_be_framed_and_load_from_here_only(server: ReviewServer) -> None:
    _, text = answers(server.port, request("/", Host=f"127.0.0.1:{server.port}", Cookie=server.cookie))
    head = text.partition("\r\n\r\n")[0].lower()
    (policy,) = re.findall(r"content-security-policy: (.*)", head)
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "http:" not in policy
    assert "x-content-type-options: nosniff" in head


def test_it_listens_on_this_machine_only(server: ReviewServer) -> None:
    """By the kernel's own table: number, local address (hexadecimal, last byte first), remote one, state."""
    # state 0A: listens
    tables = [Path("/proc/net/tcp"), Path("/proc/net/tcp6")]
    if not tables[0].exists():
        pytest.skip("no Linux")
    rows = [line.split() for table in tables if table.exists() for line in table.read_text().splitlines()]
    port = f"{server.port:04X}"
    assert [row[1] for row in rows if row[1].endswith(f":{port}") and row[3] == "0A"] == [f"0100007F:{port}"]


def test_a_port_in_use_is_one_line_with_the_fix(server: ReviewServer) -> None:
    process = server.command(server.port)
    said, error = process.communicate(timeout=30)
    assert process.returncode == 1
    assert said == ""
    assert error.splitlines() == [
        f"hlss: --port: port {server.port} is in use. Another hlss may be running there: stop it, or say "
        f"--port {server.port % 65535 + 1}."
    ]


def test_ctrl_c_ends_quietly_and_says_where_the_log_is(tmp_path_factory: pytest.TempPathFactory) -> None:
    one = ReviewServer(tmp_path_factory.mktemp("ended")).start()
    assert status(one, Cookie=one.cookie) == 200
    said, error = one.stop(signal.SIGINT)
    assert (one.process.returncode, said, error) == (0, f"Stopped. Decisions: {one.log}\n", "")
