"""`hlss bank draft`: from a domain card to an unreviewed bank, by a language model."""

import datetime
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from hlss.config import Part
from hlss.errors import UserError
from hlss.files import digest
from hlss.jobs.bank import text_tower
from hlss.jobs.bank_draft_server import confirmed, key_of
from hlss.jobs.setup import now_and_then
from hlss.language.bank import UNREVIEWED, DescriptionBank
from hlss.language.bank_files import write_bank
from hlss.language.draft.asker import Asker, Limits, Say
from hlss.language.draft.budget import MOST, agree, estimate
from hlss.language.draft.card import Card, read_card
from hlss.language.draft.client import Client, Server
from hlss.language.draft.nearness import NEARER_THAN, Nearness
from hlss.language.draft.prompts import prompts_digest
from hlss.language.draft.proposals import Proposals
from hlss.language.draft.stages import Drafting
from hlss.language.draft.transcript import Transcript
from hlss.language.draft.workers import Workers
from hlss.types import LEVELS


class Options(Part):
    """How much, and with what. text, nearer_than: tower and cosine by which near duplicates are dropped (default: by
    words only; the tower's own cosine). key_env: variable that holds the API key. budget: tokens. yes: agreed to.
    """

    per_level: int = 128
    concurrency: int = 4
    budget: int | None = None
    yes: bool = False
    replay: bool = False
    key_env: str | None = None
    text: str | None = None
    nearer_than: float | None = None


def draft(card_path: Path, out: Path, server: Server | None, options: Options) -> Path:
    """Write the bank and, beside it, its transcript; what the transcript has is not asked again. server: None in a
    replay only, where the transcript names it.

    Raises UserError for a bad card, a missing key, cost nobody agreed to, a server that cannot be used, a model whose
    answers cannot be, a level that got nothing.
    """
    card, say = read_card(card_path), _timed()
    nearness = _nearness(options)
    start = _start(card, server, options, nearness)
    key, expected = None if options.replay else key_of(options.key_env), estimate(options.per_level)
    if not options.replay:
        say(f"estimate: {expected}")
        agree(expected, options.budget, options.yes, confirmed)
    transcript = Transcript(out.with_suffix(".transcript.jsonl"), start, replay=options.replay)
    client: Client | None = None
    try:
        client = None if options.replay or server is None else Client(server, key)
        limits = Limits(requests=MOST * expected.requests, tokens=options.budget)
        asker = Asker(transcript, client, transcript.start["model"], limits, say)
        workers = Workers(options.concurrency, partial(now_and_then, say, units="requests"))
        facts = card.model_dump(mode="json")
        drafting = Drafting(facts, options.per_level, asker, workers, Proposals(nearness), say)
        drafting.run()
        write_bank(out, _bank(card, drafting, transcript))
    finally:
        transcript.close()
        if client is not None:
            client.close()
    _tell(drafting, asker, options.per_level, say)
    return out


def _start(card: Card, server: Server | None, options: Options, nearness: Nearness | None) -> dict[str, Any]:
    """Facts of the draft, which a transcript must share."""
    where: dict[str, Any] = {}
    if server is not None:
        sampling = [server.temperature, server.max_tokens]
        where = {"model": server.model, "host": server.host, "sampling": sampling}
    elif not options.replay:
        raise UserError("no server is named", where="hlss bank draft", fix="Give --base-url and --model.")
    return {
        "format": 1,
        **where,
        "card": digest(card.model_dump(mode="json")),
        "prompts": prompts_digest(),
        "per_level": options.per_level,
        "text": None if nearness is None else nearness.facts,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


def _nearness(options: Options) -> Nearness | None:
    if options.text is None:
        return None
    nearer_than = options.nearer_than if options.nearer_than is not None else NEARER_THAN.get(options.text)
    if nearer_than is None:
        fix = "Give a cosine; `hlss bank lint --text` shows some."
        raise UserError(f"no default for the text tower {options.text}", where="--nearer-than", fix=fix)
    return Nearness(text_tower(options.text), nearer_than)


def _tell(drafting: Drafting, asker: Asker, per_level: int, say: Say) -> None:
    for level in LEVELS:
        if len(drafting.kept[level]) < per_level:
            why = "nothing new came, or the rest did not pass pruning and checks"
            say(f"{level}: {len(drafting.kept[level])} of {per_level}: {why}; {asker.given_up} requests were given up")
    used, requests = asker.transcript.tokens(), len(asker.transcript.answers)
    stages = ", ".join(f"{stage} {count}" for stage, count in sorted(used.items()))
    say(f"requests: {requests}; tokens: {sum(used.values())} ({stages})")


def _bank(card: Card, drafting: Drafting, transcript: Transcript) -> DescriptionBank:
    empty = [str(level) for level in LEVELS if not drafting.kept[level]]
    if empty:
        fix = "Try another model; the transcript shows what it said."
        raise UserError(f"no characteristic came through at: {', '.join(empty)}", where=transcript.path, fix=fix)
    start = transcript.start
    provenance = (
        f"Drafted by the language model {start['model']} at {start['host']} on {start['date']} with hlss bank draft; "
        f"card {start['card']}, transcript {transcript.digest()}. {UNREVIEWED}"
    )
    levels = {str(level): tuple(drafting.kept[level]) for level in LEVELS}
    return DescriptionBank(title=card.title, domain=card.domain, provenance=provenance, **levels)


def _timed() -> Say:
    began = time.monotonic()
    return lambda line: print(f"[{time.monotonic() - began:.0f} s] {line}", file=sys.stderr)
