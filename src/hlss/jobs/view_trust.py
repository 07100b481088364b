"""Whether the maps of a viewer can be believed: what `hlss map` says of them, of one image and text at a time."""

from threading import Lock

import numpy as np
from jaxtyping import Bool, Float64
from numpy import ndarray

from hlss.explain.faithfulness import Faithfulness
from hlss.explain.score_map import SHOWN_SIGMA, ScoreMap
from hlss.explain.swap_test import SwapTest
from hlss.jobs.map_drawn import Drawn, TrueMap
from hlss.jobs.map_ground import Ground
from hlss.jobs.view_kept import Kept
from hlss.jobs.view_patches import Patches
from hlss.jobs.view_words import Words

_FIGURES, _SLIDES, _TRUE = 10_000, 4, 16  # kept: figures of maps; of slides what random text points to; true maps
Pointed = list[Bool[ndarray, " n"]]


class Trust:
    """One map is tested at a time, so that a test takes the memory of one slide's features, three times at most;
    threads wait for each other.
    """

    def __init__(self, patches: Patches, words: Words, drawn: Drawn) -> None:
        self._patches, self._words, self._drawn, self._lock = patches, words, drawn, Lock()
        self._tested = Kept[Faithfulness](_FIGURES)
        self._random = Kept[Pointed](_SLIDES)
        self._truth = Kept[tuple[Float64[ndarray, "n f"] | None]](_SLIDES)
        self._true = Kept[tuple[TrueMap | None]](_TRUE)

    def tested(self, image: int, key: str) -> Faithfulness | None:
        """Of a text's map of an image; None where it has no patch. Raises KeyError, UserError."""
        ground, asked = self._patches.ground(image), self._words.get(key)
        if ground is None:
            return None
        with self._lock:
            return self._tested.made(
                (image, key), lambda: self._test(ground, image, asked.row, len(asked.descriptions))
            )

    def true_map(self, image: int, key: str) -> TrueMap | None:
        """What was drawn there of what a text says; None where that is not known. Raises KeyError, UserError."""
        ground, asked = self._patches.ground(image), self._words.get(key)
        if ground is None:
            return None

        def look() -> tuple[TrueMap | None]:
            (truth,) = self._truth.made(image, lambda: (self._drawn.of(ground),))
            return (self._drawn.beside(asked, self._patches.sigma(key)[ground.rows], truth),)

        with self._lock:
            return self._true.made((image, key), look)[0]

    def true_scores(self, image: int, key: str) -> ScoreMap | None:
        """The true map as one of σ: 0 to 1 as colours go from end to end. Raises as `true_map`."""
        ground, true = self._patches.ground(image), self.true_map(image, key)
        if ground is None or true is None:
            return None
        values = ((true.values * 2 - 1) * SHOWN_SIGMA).astype(np.float32)
        return self._patches.map_of(ground, ("drawn", image, key), values)

    def _test(self, ground: Ground, image: int, text: ndarray, sentences: int) -> Faithfulness:
        test = SwapTest(ground.lattice, self._patches.features.table.features[ground.rows])
        if test.why_not is not None:
            return test.tested(text)
        random = self._random.made((image, sentences), lambda: test.maps_of(self._words.texts.random(sentences)))
        return test.tested(text, texts=random)
