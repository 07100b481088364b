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
ALL_LEVELS = "all levels"


class Wording(Part):
    """A characteristic's text and the level it stands at (None: in the list for all levels): what a decision is
    about.
    """

    level: Level | None = None
    name: Text
    descriptions: tuple[Text, ...] = Field(min_length=DESCRIPTIONS, max_length=DESCRIPTIONS)

    @classmethod
    def of(cls, level: Level | None, characteristic: Characteristic) -> Self:
        return cls(level=level, name=characteristic.name, descriptions=characteristic.descriptions)

    @property
    def place(self) -> str:
        """What to call it in a message: `patch / mitoses`."""
        return f"{self.level or ALL_LEVELS} / {self.name}"

    @property
    def mark(self) -> str:
        """Short hash: two texts with one mark are the same."""
        return digest(self.model_dump(mode="json"))


class Entry(Part):
    """A line of the log. level, name: of the characteristic in the bank as drafted, which stay its key for good
    (level None: of the list for all levels).

    before: what the reviewer saw; after: what an edit or a move made of it. comment: of the action `comment`, the text
    that replaces this reviewer's earlier one (empty: none). undoes: of the action `undo`, the id of another entry.
    """

    id: Text = Field(default_factory=lambda: uuid4().hex[:16])
    when: datetime = Field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))
    session: Text
    who: Text
    bank: Text
    level: Level | None = None
    name: Text
    action: Action
    before: Wording
    after: Wording | None = None
    comment: str | None = None
    undoes: Text | None = None

    def without_level(self) -> Self:
        """The same about the list for all levels."""
        none = {"level": None}
        after = None if self.after is None else self.after.model_copy(update=none)
        return self.model_copy(update={**none, "before": self.before.model_copy(update=none), "after": after})

    @property
    def key(self) -> tuple[Level | None, str]:
        """(level, name) in the bank as drafted."""
        return self.level, self.name
