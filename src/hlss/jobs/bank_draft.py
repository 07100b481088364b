"""`hlss bank draft`: from a domain card to an unreviewed bank, by a language model."""

import datetime
import os
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from hlss.errors import UserError
from hlss.files import digest
from hlss.jobs.setup import now_and_then
from hlss.language.bank import DescriptionBank
from hlss.language.bank_files import write_bank
from hlss.language.draft.asker import Asker, Say
from hlss.language.draft.budget import agree, estimate
from hlss.language.draft.card import Card, read_card
from hlss.language.draft.client import Client, Server
from hlss.language.draft.prompts import prompts_digest
from hlss.language.draft.stages import Drafting
from hlss.language.draft.transcript import Transcript
from hlss.types import LEVELS


def draft(
    card_path: Path,
    out: Path,
    server: Server,
    *,
    key_env: str | None = None,
    per_level: int = 128,
    concurrency: int = 4,
    budget: int | None = None,
    yes: bool = False,
    replay: bool = False,
) -> Path:
    """Write the bank and, beside it, its transcript; what the transcript has is not asked again.

    Raises UserError for a bad card, a missing key, cost nobody agreed to, a server that cannot be used, a level that
    got nothing.
    """
    card, say = read_card(card_path), _timed()
    host, key = server.host, None if replay else _key(key_env)
    expected = estimate(per_level)
    if not replay:
        say(f"estimate: {expected}")
        agree(expected, budget, yes)
    start: dict[str, Any] = {
        "format": 1,
        "model": server.model,
        "host": host,
        "card": digest(card.model_dump(mode="json")),
        "prompts": prompts_digest(),
        "per_level": per_level,
        "sampling": [server.temperature, server.max_tokens],
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }
    transcript = Transcript(out.with_suffix(".transcript.jsonl"), start, replay=replay)
    client: Client | None = None
    try:
        client = None if replay else Client(server, key)
        told = partial(now_and_then, say, units="requests")
        asker = Asker(transcript, client, server.model, budget, say)
        drafting = Drafting(card.model_dump(mode="json"), per_level, asker, concurrency, say, told)
        drafting.run()
        write_bank(out, _bank(card, drafting, transcript))
    finally:
        transcript.close()
        if client is not None:
            client.close()
    for level in LEVELS:
        if len(drafting.kept[level]) < per_level:
            why = "nothing new came, or the rest did not pass pruning and checks"
            say(f"{level}: {len(drafting.kept[level])} of {per_level}: {why}; {asker.given_up} requests were given up")
    used = transcript.tokens()
    say(f"tokens: {sum(used.values())} ({', '.join(f'{stage} {count}' for stage, count in sorted(used.items()))})")
    return out


def _bank(card: Card, drafting: Drafting, transcript: Transcript) -> DescriptionBank:
    empty = [str(level) for level in LEVELS if not drafting.kept[level]]
    if empty:
        fix = "Try another model; the transcript shows what it said."
        raise UserError(f"no characteristic came through at: {', '.join(empty)}", where=transcript.path, fix=fix)
    start = transcript.start
    provenance = (
        f"Drafted by the language model {start['model']} at {start['host']} on {start['date']} with hlss bank draft; "
        f"card {start['card']}, transcript {transcript.digest()}. "
        "Unreviewed: no pathologist has verified these descriptions."
    )
    levels = {str(level): tuple(drafting.kept[level]) for level in LEVELS}
    return DescriptionBank(title=card.title, domain=card.domain, provenance=provenance, **levels)


def _key(name: str | None) -> str | None:
    if name is None:
        return None
    if not os.environ.get(name):
        raise UserError(f"the environment has no {name}", where="--key-env", fix=f"Run: export {name}=...")
    return os.environ[name]


def _timed() -> Say:
    began = time.monotonic()
    return lambda line: print(f"[{time.monotonic() - began:.0f} s] {line}", file=sys.stderr)
