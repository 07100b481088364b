"""What stands beside a characteristic under review."""

from typing import NamedTuple

from hlss.language.review.evidence import FindEvidence
from hlss.language.review.neighbours import Neighbours


class Beside(NamedTuple):
    """evidence: images that match it; None where there are none. notices: what must be said of them."""

    neighbours: Neighbours
    evidence: FindEvidence | None = None
    notices: tuple[str, ...] = ()
