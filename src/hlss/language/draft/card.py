"""The domain card: what a bank is to be about."""

from pathlib import Path

from pydantic import Field

from hlss.config import Part, read_yaml, validate
from hlss.language.bank import Text


class Card(Part):
    """One kind of image. modality: stain or imaging; magnification: as read by an expert, as in `20x, 0.5 µm/px`."""

    title: Text
    organ: Text
    modality: Text
    magnification: Text
    diagnoses: tuple[Text, ...] = Field(min_length=1)
    notes: Text | None = None

    @property
    def domain(self) -> str:
        """One line for the bank."""
        return f"{self.organ}, {self.modality}, {self.magnification}; {', '.join(self.diagnoses)}"


def read_card(path: Path) -> Card:
    """Raises UserError, naming file and field, where the card is missing, no YAML or does not fit."""
    return validate(read_yaml(path, "the card"), Card, where=path)
