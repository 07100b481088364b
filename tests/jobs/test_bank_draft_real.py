"""`hlss bank draft` with a real language model: a small one, on this machine."""

import importlib.util
import json
import time
from pathlib import Path
from typing import Any

import pytest
from drafting import written_card
from local_model import INSTALL, MODEL, local_model

from hlss.errors import UserError
from hlss.jobs.bank_draft import Options, draft
from hlss.language.bank import read_bank
from hlss.language.draft.budget import MOST, estimate
from hlss.language.draft.client import Server
from hlss.language.lint.lint import lint_bank

NO_USE = (
    "no characteristic came through|requests in a row got no usable answer|have not made the bank|none of the first"
)


@pytest.mark.slow
@pytest.mark.llm
@pytest.mark.skipif(importlib.util.find_spec("openai") is None, reason="needs the extra `language`")
@pytest.mark.skipif(importlib.util.find_spec("xllamacpp") is None, reason=INSTALL)
def test_a_small_real_model_makes_a_bank_or_fails_in_one_line(tmp_path: Path, capsys: Any) -> None:
    card, out, began = written_card(tmp_path), tmp_path / "bank.yaml", time.monotonic()
    with local_model(seed=1) as url:
        server = Server(base_url=url, model=MODEL, max_tokens=1200)
        try:
            draft(card, out, server, Options(per_level=1, concurrency=1, yes=True))
            how = out.read_text(encoding="utf-8")
        except UserError as error:
            how = str(error)
    lines = [json.loads(line) for line in (tmp_path / "bank.transcript.jsonl").read_text(encoding="utf-8").splitlines()]
    answers = [line["answer"] for line in lines if line["kind"] == "answer"]
    read, said = (sum(answer[kind] for answer in answers) for kind in ("prompt_tokens", "answer_tokens"))
    with capsys.disabled():
        print(f"\n{time.monotonic() - began:.0f} s, {len(answers)} answers, {read} + {said} tokens: {how}")
    assert 0 < len(answers) <= MOST * estimate(1).requests
    assert said > 0
    assert not any("cut off" in (answer["problem"] or "") for answer in answers), "the schema bounds answers"
    if out.exists():
        bank = read_bank(out)
        assert (bank.status, lint_bank(bank).errors) == ("unreviewed", 0)
    else:
        assert "\n" not in how
        assert any(told in how for told in NO_USE.split("|"))
