"""What every tower's settings have, beside their fields: how to build it, and what the program must say of it."""

from hlss.config import Part
from hlss.encoders.base import ImageEncoder, TextEncoder


class TextSpec(Part):
    """Settings of a text tower."""

    @property
    def family(self) -> str | None:
        """Names the weights, as an image tower's `family` does; None: it was trained with no image tower."""
        return None

    @property
    def notices(self) -> tuple[str, ...]:
        """What the program must say when it uses this tower."""
        return ()

    def build(self) -> TextEncoder:
        raise NotImplementedError


class EncoderSpec(Part):
    """Settings of an image tower."""

    @property
    def notices(self) -> tuple[str, ...]:
        """What the program must say when it uses this tower."""
        return ()

    def text(self) -> TextSpec | None:
        """The text tower that goes with it; None: it has none of its own."""
        return None

    def build(self) -> ImageEncoder:
        raise NotImplementedError
