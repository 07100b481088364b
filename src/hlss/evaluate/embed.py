"""From patches to features: frozen tower, deterministic views, one row a patch."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64
from numpy import ndarray
from torch import Tensor

from hlss.cohorts.base import Cohort
from hlss.cohorts.write.frame import Frame, known_frame
from hlss.embedding_table import EmbeddingTable
from hlss.encoders.base import ImageEncoder
from hlss.errors import Unreadable, UserError
from hlss.evaluate.clock import Clock

Rows = Int64[ndarray, " n"]
Stream = Callable[[Cohort, Rows], Iterator[tuple[Rows, Tensor]]]


def embed(
    encoder: ImageEncoder,
    sides: Mapping[str, Cohort],
    stream: Stream,
    provenance: Mapping[str, Any],
    *,
    device: torch.device,
    max_patches_per_slide: int | None = None,
    seed: int = 0,
    bf16: bool = False,
    progress: Callable[[str], None] | None = None,
) -> EmbeddingTable:
    """Features of the patches of every side, in float32; leaves the tower in eval mode.

    stream: gives (rows, uint8 b c h w) of the rows it is asked for; rows it leaves out are left out of the table, and
        counted in its provenance.
    max_patches_per_slide: so many patches of each slide, drawn by (seed, slide id); all where it is None.
    bf16: run the tower in bf16, faster and less exact.
    Raises UserError where no patch could be read.
    """
    chosen = {side: chosen_rows(cohort, max_patches_per_slide, seed) for side, cohort in sides.items()}
    total = sum(len(rows) for rows in chosen.values())
    clock = Clock(total, progress, "embedding", "patches")
    features: list[ndarray] = []
    columns: list[dict[str, ndarray]] = []
    encoder.eval()
    with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        for side, cohort in sides.items():
            identities = Identities(cohort, side)
            for rows, pixels in stream(cohort, chosen[side]):
                z = encoder(encoder.normalised(pixels.to(device)))
                features.append(z.float().cpu().numpy())
                columns.append(identities.of(rows))
                clock.passed(len(rows))
    if not features:
        raise UserError("no patch could be embedded", fix="Check the images of the cohort.")
    joined = {name: np.concatenate([part[name] for part in columns]) for name in columns[0]}
    facts = embedded_facts(max_patches_per_slide, seed, clock.done, total, bf16)
    return EmbeddingTable(np.concatenate(features), joined, {**provenance, **facts})


def embedded_facts(most: int | None, seed: int, patches: int, chosen: int, bf16: bool = False) -> dict[str, Any]:
    """What a table's provenance says of how it was embedded: `patches` of `chosen`; most, seed: as of `chosen_rows`."""
    return {
        "max_patches_per_slide": most,
        "patch_seed": seed,
        "bf16": bf16,
        "patches": patches,
        "unreadable_patches": chosen - patches,
    }


def chosen_rows(cohort: Cohort, most: int | None, seed: int) -> Rows:
    """Rows to embed, ascending: all, or at most so many a slide, whatever else the cohort holds."""
    if most is None:
        return np.arange(cohort.n_tiles)
    picked = [np.empty(0, dtype=np.int64)]
    for slide, name in enumerate(cohort.slides):
        rows = cohort.slide_tiles(slide)
        if len(rows) > most:
            key = int.from_bytes(hashlib.sha256(f"{seed}\0{name}".encode()).digest()[:8])
            rows = np.random.Generator(np.random.Philox(key)).choice(rows, most, replace=False)
        picked.append(rows)
    return np.sort(np.concatenate(picked))


class Identities:
    """Columns of a table for rows of a cohort, all on one side of the split."""

    def __init__(self, cohort: Cohort, side: str) -> None:
        self._cohort, self._side = cohort, side
        self._frames: dict[int, Frame | None] = {}

    def of(self, rows: Rows) -> dict[str, ndarray]:
        """By column, in the order of `rows`. mpp0: µm/px of level 0 as text, "" where nothing says it."""
        cohort = self._cohort
        images, corners = cohort.tile_image(rows), cohort.tile_xy_px0(rows)
        names = {image: cohort.source.image_name(int(cohort.image_number[image])) for image in set(images.tolist())}
        return {
            "patient": _named(cohort.tile_patient(rows), cohort.patients),
            "slide": _named(cohort.tile_slide(rows), cohort.slides),
            "site": _named(cohort.tile_site(rows), cohort.sites),
            "image": np.array([names[image] for image in images.tolist()], dtype=object),
            "label": _named(cohort.tile_label(rows), cohort.classes),
            "side": np.full(len(rows), self._side, dtype=object),
            "x_px0": corners[:, 0].astype(np.int64),
            "y_px0": corners[:, 1].astype(np.int64),
            "mpp0": np.array([self._mpp0(image) for image in images.tolist()], dtype=object),
        }

    def frame(self, image: int) -> Frame | None:
        """Level 0 of an image of the cohort; None where it is not known."""
        if image not in self._frames:
            try:
                self._frames[image] = None if self._cohort.holds_features else known_frame(self._cohort, image)
            except Unreadable:
                self._frames[image] = None
        return self._frames[image]

    def _mpp0(self, image: int) -> str:
        frame = self.frame(image)
        return "" if frame is None or frame.mpp0 is None else repr(frame.mpp0)


def _named(numbers: ndarray, names: tuple[str, ...]) -> ndarray:
    return np.array([names[number] if number >= 0 else "" for number in numbers.tolist()], dtype=object)
