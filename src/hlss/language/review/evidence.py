"""What images say of a characteristic: those that match its words best and worst, shown beside it in a review."""

from collections.abc import Callable
from typing import NamedTuple

from hlss.language.review.entries import Wording


class Picture(NamedTuple):
    """An image as a PNG file's bytes, and what is said under it."""

    png: bytes
    caption: str


class Evidence(NamedTuple):
    """Of one characteristic: the images it matches best, best first, and worst, worst first."""

    best: tuple[Picture, ...]
    worst: tuple[Picture, ...]


# Of a characteristic as it is worded now; None where no image was matched with it. Raises UserError: to be shown.
FindEvidence = Callable[[Wording], Evidence | None]
