"""What was typed and not saved. The browser keeps it (`page.js`), so that it outlives tab and server."""

import json
from datetime import datetime
from typing import Any, Literal

from nicegui import ui
from pydantic import BaseModel, ConfigDict, ValidationError

from hlss.files import digest
from hlss.language.review.review import Review
from hlss.language.review.state import Key
from hlss.types import Level

Kind = Literal["edit", "comment"]
_ANSWER_S = 15.0


class Draft(BaseModel):
    """about: mark of the text it was typed over; when: ms since 1970; fields: as typed, from top to bottom."""

    model_config = ConfigDict(extra="forbid", strict=True)
    kind: Kind
    level: Level | Literal[""]  # none: of the list for all levels
    name: str
    about: str
    when: int
    fields: list[str]

    @property
    def key(self) -> Key:
        """Of the characteristic it is about."""
        return self.level or None, self.name

    @property
    def time(self) -> str:
        """Of the day, as this machine counts it."""
        return f"{datetime.fromtimestamp(self.when / 1000):%H:%M}"


class Drafts:
    """One reviewer's of one bank. A draft is no decision: it is only ever put back into the fields it was typed in."""

    def __init__(self, review: Review) -> None:
        self._whose = f"hlss-draft-{digest([review.bank.fingerprint, review.who])}-"

    def watch(self, form: ui.element, kind: Kind, key: Key, about: str) -> None:
        """Keep what is typed into the fields of `form` from now on."""
        given = {"draft": self._at(kind, key), "kind": kind, "level": key[0] or "", "name": key[1], "about": about}
        form.props.update({f"data-{name}": value for name, value in given.items()})

    async def of(self, kind: Kind, key: Key, fields: int) -> Draft | None:
        """What was typed there; None where nothing is kept, or of other fields."""
        found = [one for one in await self.every() if (one.kind, one.key) == (kind, key)]
        return found[0] if found and len(found[0].fields) == fields else None

    async def every(self) -> list[Draft]:
        """All, the newest first. Raises TimeoutError where the browser does not answer."""
        told = await ui.run_javascript(f"return hlssDrafts({json.dumps(self._whose)})", timeout=_ANSWER_S)
        drafts = [_read(text) for text in told or ()]
        return sorted((one for one in drafts if one), key=lambda one: -one.when)

    def drop(self, kind: Kind, key: Key) -> None:
        """Forget what was typed there."""
        ui.run_javascript(f"localStorage.removeItem({json.dumps(self._at(kind, key))})")

    def _at(self, kind: Kind, key: Key) -> str:
        return self._whose + digest([kind, *key])


def _read(text: Any) -> Draft | None:
    try:
        return Draft.model_validate_json(text)
    except ValidationError:  # of another version, or written by another page at this address
        return None
