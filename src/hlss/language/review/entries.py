"""One entry of the log of a review, and the text of a characteristic as the reviewer saw it."""

from datetime import UTC, datetime
from typing import Literal, Self
from uuid import uuid4

from pydantic import Field

from hlss.config import Part
from hlss.files import digest
from hlss.language.bank import DESCRIPTIONS, Characteristic, Text
from hlss.types import Level

Action = Literal["approve", "edit", "reject", "comment", "move", "undo"]


class Wording(Part):
    """A characteristic's text and the level it stands at: what a decision is about."""

    level: Level
    name: Text
    descriptions: tuple[Text, ...] = Field(min_length=DESCRIPTIONS, max_length=DESCRIPTIONS)

    @classmethod
    def of(cls, level: Level, characteristic: Characteristic) -> Self:
        return cls(level=level, name=characteristic.name, descriptions=characteristic.descriptions)

    @property
    def mark(self) -> str:
        """Short hash: two texts with one mark are the same."""
        return digest(self.model_dump(mode="json"))


class Entry(Part):
    """A line of the log. level, name: of the characteristic in the bank as drafted, which stay its key for good.

    before: what the reviewer saw; after: what an edit or a move made of it. comment: of the action `comment`, the text
    that replaces this reviewer's earlier one (empty: none). undoes: of the action `undo`, the id of another entry.
    """

    id: Text = Field(default_factory=lambda: uuid4().hex[:16])
    when: datetime = Field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))
    session: Text
    who: Text
    bank: Text
    level: Level
    name: Text
    action: Action
    before: Wording
    after: Wording | None = None
    comment: str | None = None
    undoes: Text | None = None

    @property
    def key(self) -> tuple[Level, str]:
        """(level, name) in the bank as drafted."""
        return self.level, self.name
