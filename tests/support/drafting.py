"""A small draft: card, server, options."""

from pathlib import Path
from typing import Any

from hlss.jobs.bank_draft import Options, draft
from hlss.language.draft.client import Server

CARD = "title: small\norgan: brain\nmodality: H&E\nmagnification: 20x, 0.5 µm/px\ndiagnoses: [glioma]\n"


def written_card(folder: Path) -> Path:
    """The card as a file."""
    path = folder / "card.yaml"
    path.write_text(CARD, encoding="utf-8")
    return path


def drafted(card: Path, url: str, out: str = "bank.yaml", **options: Any) -> Path:
    """The bank, two characteristics a level unless `options` say otherwise."""
    timeout = options.pop("timeout_s", 5.0)
    server = Server(base_url=url, model="fake", timeout_s=timeout, backoff_s=0.01, attempts=3)
    return draft(card, card.parent / out, server, Options(**{"per_level": 2, "yes": True, **options}))
