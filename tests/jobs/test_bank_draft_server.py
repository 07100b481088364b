"""Where `hlss bank draft` asks, and in what form."""

import importlib.util
import json
from email.utils import formatdate
from pathlib import Path
from time import time
from typing import Any

import pytest
from chat_server import Reply, serving
from drafting import drafted, written_card

from hlss.errors import UserError
from hlss.jobs.bank_draft_server import server_of
from hlss.language.draft.client import Server
from hlss.language.draft.replies import wait_of
from hlss.language.draft.schema import Candidates, Descriptions, Verdicts, json_schema, parse, without_limits

pytestmark = pytest.mark.skipif(importlib.util.find_spec("openai") is None, reason="needs the extra `language`")


@pytest.mark.parametrize(
    "url", ["http://me:secret@host/v1", "http://me@host/v1", "http://host/v1?key=secret", "ftp://host", "http://[::1"]
)
def test_an_address_that_holds_a_secret_or_is_none_is_refused(url: str) -> None:
    with pytest.raises(UserError, match="--base-url") as error:
        _ = Server(base_url=url, model="m").host
    assert "secret" not in str(error.value)


def test_server_and_model_come_from_flags_then_the_environment(monkeypatch: Any) -> None:
    more: dict[str, Any] = {"replay": False, "timeout_s": 1.0, "max_tokens": 5}
    for name in ("OPENAI_BASE_URL", "OPENAI_MODEL"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UserError, match=r"--base-url: is missing\. Give it, or run: export OPENAI_BASE_URL="):
        server_of(None, "m", **more)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://there/v1")
    with pytest.raises(UserError, match="--model: is missing"):
        server_of(None, None, **more)
    monkeypatch.setenv("OPENAI_MODEL", "theirs")
    found = server_of("http://here/v1", None, **more)
    assert found is not None
    assert (found.base_url, found.model) == ("http://here/v1", "theirs")
    assert server_of(None, None, **{**more, "replay": True}) is None


def test_retry_after_is_seconds_or_a_date() -> None:
    assert wait_of({"retry-after": "7"}) == 7
    assert wait_of({"retry-after": formatdate(time() + 30, usegmt=True)}) == pytest.approx(30, abs=2)
    assert wait_of({"retry-after": "soon"}) is None
    assert wait_of({}) is None


def test_newer_names_of_sampling_are_tried_where_the_server_wants_them(tmp_path: Path) -> None:
    def behave(number: int, stage: str, body: dict[str, Any]) -> Reply | None:
        if "max_tokens" in body:
            return {"status": 400, "raw": "Unsupported 'max_tokens': use 'max_completion_tokens'"}
        return {"status": 400, "raw": "temperature is not supported"} if "temperature" in body else None

    with serving(behave) as chat:
        drafted(written_card(tmp_path), chat.url, concurrency=1)
    assert chat.schemas.count(False) == 0


def test_schemas_are_bounded_so_that_no_answer_is_endless() -> None:
    bounded = json_schema(Verdicts, 5)
    verdicts = bounded["schema"]["properties"]["verdicts"]
    assert (verdicts["minItems"], verdicts["maxItems"]) == (5, 5)
    assert json_schema(Candidates, 3)["schema"]["properties"]["candidates"]["maxItems"] == 3
    item = json_schema(Descriptions)["schema"]["properties"]["descriptions"]["items"]
    long = ("x" * 20 + " ") * 12
    assert item["maxLength"] == 241
    assert "than 240 letters" in str(parse(json.dumps({"descriptions": [long] * 4}), Descriptions))
    assert "max" not in json.dumps(without_limits(bounded))
