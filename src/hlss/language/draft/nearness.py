"""Near duplicates by a text tower: what is close to something taken before."""

import torch
import torch.nn.functional as F  # noqa: N812 — torch's own name for it
from jaxtyping import Float
from torch import Tensor

from hlss.encoders.base import TextEncoder

# Cosines above which two characteristics count as one. Of `name: description` of the 384 characteristics of each
# shipped bank, `minilm` puts one or two nearer to another one than this, and these nearly say the same; between two
# wordings of one characteristic its median is 0.69. `tiny` tells texts apart much less: 1 to 3 % are nearer than this.
NEARER_THAN = {"minilm": 0.85, "tiny": 0.995}


class Nearness:
    """What was taken so far, as embeddings. Texts are embedded one by one: no result hangs on what else is asked."""

    def __init__(self, encoder: TextEncoder, nearer_than: float) -> None:
        """nearer_than: cosine."""
        self._encoder, self._nearer_than = encoder, nearer_than
        self._taken: list[Float[Tensor, " d"]] = []

    @property
    def facts(self) -> list[str | float]:
        """Tower and threshold, for the transcript."""
        return [self._encoder.fingerprint, self._nearer_than]

    def takes(self, text: str) -> bool:
        """Whether `text` is new, and from now on taken; it is not where it is longer than the tower reads."""
        if self._encoder.token_counts([text])[0] > self._encoder.context:
            return False
        with torch.no_grad():
            unit = F.normalize(self._encoder.encode([text])[0].float(), dim=0).cpu()
        if any(float(unit @ other) > self._nearer_than for other in self._taken):
            return False
        self._taken.append(unit)
        return True
