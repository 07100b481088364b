"""The domain card: what a bank is to be about."""

from pathlib import Path

import yaml
from pydantic import Field

from hlss.config import Part, validate
from hlss.errors import UserError
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
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read the card: {error}", where=path, fix="Check the path.") from error
    except yaml.YAMLError as error:
        raise UserError(f"not valid YAML: {error}", where=path) from error
    return validate(tree, Card, where=path)
