"""Who is let in by the viewer, and to what: asked with raw bytes over a socket."""

import json
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from raw_http import answers, request
from view_server import slides_server
from web_server import WebServer

pytest.importorskip("nicegui", reason="the extra `studio` is not installed")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    one = slides_server(tmp_path_factory.mktemp("slides")).start()
    yield one
    one.stop()


def asked(server: WebServer, path: str, **headers: str | None) -> tuple[int, str]:
    """Status and all of the answer, of somebody with the cookie."""
    here = {"Host": f"127.0.0.1:{server.port}", "Cookie": server.cookie}
    codes, text = answers(server.port, request(path, **{**here, **headers}))
    return codes[0], text


@pytest.fixture(scope="module")
def image(server: WebServer) -> str:
    told = json.loads(asked(server, "/api/cohort")[1].partition("\r\n\r\n")[2])
    return str(told["patients"][0]["images"][0]["id"])


def test_everything_needs_the_token(server: WebServer, image: str) -> None:
    for path in ("/", "/app.js", "/api/cohort", f"/api/images/{image}", f"/tiles/{image}/0/0/0.jpg", "/leaflet.js"):
        assert asked(server, path)[0] == 200
        assert asked(server, path, Cookie=None)[0] == 403
        assert asked(server, path, Cookie=f"hlss-{server.port}=guess")[0] == 403
        assert asked(server, path, Host="evil.example")[0] == 403
        assert asked(server, path, Origin="http://evil.example")[0] == 403
        assert asked(server, path, Sec_Fetch_Site="cross-site")[0] == 403


def test_who_has_an_earlier_token_is_told_how_to_go_on(server: WebServer) -> None:
    _, text = asked(server, "/", Cookie=f"hlss-{server.port}=earlier")
    assert "Open the address that hlss printed" in text
    assert "put what stands behind # in the address of this page" in text
    assert "decision" not in text


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt",
        "/..%2fsecret.txt",
        "/%2e%2e/secret.txt",
        "/%2e%2e%2fmanifest.csv",
        "/..\\secret.txt",
        "//etc/passwd",
        "/%2fetc%2fpasswd",
        "/secret.txt",
        "/manifest.csv",
        "/routes.py",
        "/tiles/../secret.txt/0/0/0.jpg",
        "/tiles/%2e%2e/0/0/0.jpg",
        "/tiles/..%2f..%2fsecret.txt/0/0/0.jpg",
        "/tiles/plain.phantom/0/0/0.jpg",
        "/tiles/%2fetc%2fpasswd/0/0/0.jpg",
        "/tiles/000000000000/0/0/0.jpg",
        "/tiles/{image}%00/0/0/0.jpg",
        "/tiles/{image}/../../../../etc/passwd",
        "/tiles/{image}/0/0/%2e%2e%2f0.jpg",
        "/api/images/../cohort/../../secret.txt",
        "/api/images/%2e%2e%2fsecret.txt",
        "/patches/..%2fsecret.jpg",
        "/patches/0.jpg",
        "/maps/{image}/patch-0/0/0/0.png",
        "/api/search?text=x",
        "/api/texts/patch-0",
        "/api/images/{image}/faithfulness/patch-0",
        "/api/images/{image}/truth/..%2fsecret",
        "http://127.0.0.1/etc/passwd",
    ],
)
def test_nothing_outside_of_the_cohort_can_be_reached(server: WebServer, image: str, path: str) -> None:
    code, text = asked(server, path.format(image=image))
    assert code in (400, 404)
    assert "outside" not in text
    assert "root:" not in text
    assert "path" not in text.partition("\r\n\r\n")[2]


@pytest.mark.parametrize(
    "place", ["9/0/0", "0/1/0", "0/0/1", "4/12/0", "-1/0/0", "0/-1/0", "1.0/0/0", "٣/0/0", "x/0/0", "0/999999999999/0"]
)
def test_tiles_that_do_not_exist(server: WebServer, image: str, place: str) -> None:
    assert asked(server, f"/tiles/{image}/{quote(place)}.jpg")[0] == 404


def test_tiles_are_kept_by_browsers_for_their_user_only(server: WebServer, image: str) -> None:
    code, text = asked(server, f"/tiles/{image}/0/0/0.jpg")
    head = text.partition("\r\n\r\n")[0]
    lines = dict(line.split(": ", 1) for line in head.split("\r\n")[1:])
    assert code == 200
    assert lines["content-type"] == "image/jpeg"
    assert lines["cache-control"].startswith("private")
    assert "default-src 'none'" in lines["content-security-policy"]
    code, text = asked(server, f"/tiles/{image}/0/0/0.jpg", If_None_Match=lines["etag"])
    assert (code, text.partition("\r\n\r\n")[2]) == (304, "")


def test_only_what_is_asked_for_by_get(server: WebServer, image: str) -> None:
    for path in ("/", "/api/cohort", f"/tiles/{image}/0/0/0.jpg"):
        told = request(path, "POST", Host=f"127.0.0.1:{server.port}", Cookie=server.cookie)
        assert answers(server.port, told)[0] == [405]


def test_answers_tell_no_paths(server: WebServer, image: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    _, text = asked(server, "/api/cohort")
    _, more = asked(server, f"/api/images/{image}")
    assert ".phantom" in more  # the file's name, and nothing of its folder
    assert str(tmp_path_factory.getbasetemp()) not in text + more
