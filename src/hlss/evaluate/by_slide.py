"""From patches to features, a file a slide: one that is there and fits is not embedded again, and memory stays flat."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32
from numpy import ndarray

from hlss.cohorts.base import Cohort
from hlss.cohorts.paths import file_names
from hlss.cohorts.write.features import Geometry, write_slide_features
from hlss.encoders.base import ImageEncoder
from hlss.evaluate.clock import Clock
from hlss.evaluate.embed import Identities, Rows, Stream, chosen_rows
from hlss.evaluate.slide_files import read_slide, stored_key
from hlss.files import digest, replacing

Part = tuple[Float32[ndarray, "n d"], Mapping[str, ndarray]]


@dataclass(frozen=True, eq=False)
class SlideWork:
    """A slide to embed: rows of its side's cohort, ascending, the file they go to, and the key by which one fits."""

    identities: Identities
    cohort: Cohort
    rows: Rows
    path: Path
    key: str


def embed_slides(
    encoder: ImageEncoder,
    works: Sequence[SlideWork],
    stream: Stream,
    *,
    device: torch.device,
    progress: Callable[[str], None] | None = None,
) -> int:
    """Write the file of every slide that has none that fits; returns how many had one. Leaves the tower in eval mode.

    Each appears whole, as soon as its slide is done; a slide of which nothing can be read gets none. Raises UserError.
    """
    pending = [work for work in works if stored_key(work.path) != work.key]
    clock = Clock(sum(len(work.rows) for work in pending), progress, "embedding", "patches")
    encoder.eval()
    with torch.no_grad():
        for cohort, group in _by_cohort(pending):
            for work, rows, features in _slide_by_slide(encoder, cohort, group, stream, device, clock):
                if len(rows):
                    _write(work, rows, features)
    return len(works) - len(pending)


def parts_of(works: Sequence[SlideWork]) -> Iterator[Part]:
    """Features and identities from the slides' files, a slide at a time. Raises UserError where a file is broken."""
    for work in works:
        features, kept = read_slide(work.path)
        yield features, work.identities.of(work.rows[kept])


def plan(
    sides: Mapping[str, Cohort], folder: Path, tower: str, facts: Any, most: int | None = None, seed: int = 0
) -> list[SlideWork]:
    """The slides of all sides. tower: hash of the weights; facts: of the view, where it is not the tile as it is; most,
    seed: so many patches of a slide, drawn as `chosen_rows` does.
    """
    found: list[tuple[str, Identities, Cohort, Rows]] = []
    for side, cohort in sides.items():
        identities, rows = Identities(cohort, side), chosen_rows(cohort, most, seed)
        of = cohort.tile_slide(rows)
        starts = np.flatnonzero(np.diff(of, prepend=-1))
        for group in np.split(rows, starts[1:]):
            slide = cohort.slides[int(cohort.tile_slide(group[:1])[0])]
            found.append((slide, identities, cohort, group))
    names = file_names([slide for slide, *_ in found])
    return [
        SlideWork(who, cohort, rows, Path(folder) / f"{name}.h5", _key(cohort, rows, slide, tower, facts))
        for name, (slide, who, cohort, rows) in zip(names, found, strict=True)
    ]


def tower_hash(encoder: ImageEncoder) -> str:
    """Of its weights and of how it wants its input, on whatever device it is."""
    hasher = hashlib.sha256(repr((encoder.input_px, encoder.dim)).encode())
    for name, tensor in {**dict(encoder.named_buffers()), **encoder.state_dict()}.items():
        hasher.update(name.encode())
        hasher.update(tensor.detach().cpu().contiguous().view(-1).numpy().tobytes())
    return hasher.hexdigest()[:16]


def _key(cohort: Cohort, rows: Rows, slide: str, tower: str, facts: Any) -> str:
    """Of the tower and the tiles: where they are, how they are cut, how long the file is they come from (what it holds
    is not read), or the features that stand in their place.
    """
    of = cohort.tile_image(rows)
    images = np.unique(of)
    numbers = None if facts is None else cohort.image_number[images].tolist()  # which views are drawn by
    sizes = [_size(cohort.source.image_name(int(cohort.image_number[image]))) for image in images.tolist()]
    tiles = hashlib.sha256(np.ascontiguousarray(cohort.tile_xy_px0(rows)).tobytes())
    tiles.update((of - images[0]).tobytes())
    if cohort.holds_features:
        tiles.update(cohort.features(rows).tobytes())
    return digest([tower, facts, numbers, slide, cohort.tile_px, cohort.mpp, sizes, tiles.hexdigest()], 24)


def _size(name: str) -> int | None:
    try:
        return Path(name).stat().st_size
    except OSError:
        return None


def _by_cohort(works: Sequence[SlideWork]) -> Iterator[tuple[Cohort, list[SlideWork]]]:
    groups: dict[int, list[SlideWork]] = {}
    for work in works:
        groups.setdefault(id(work.cohort), []).append(work)
    for group in groups.values():
        yield group[0].cohort, group


def _slide_by_slide(
    encoder: ImageEncoder, cohort: Cohort, works: list[SlideWork], stream: Stream, device: torch.device, clock: Clock
) -> Iterator[tuple[SlideWork, Rows, Float32[ndarray, "n d"]]]:
    """Rows that could be read and their features, a slide at a time, from one stream over all of them."""
    waiting = iter(works)
    work, rows_of, parts = next(waiting), list[ndarray](), list[ndarray]()
    for rows, pixels in stream(cohort, np.concatenate([work.rows for work in works])):
        features = encoder(encoder.normalised(pixels.to(device))).float().cpu().numpy()
        clock.passed(len(rows))
        while len(rows):
            here = int(np.searchsorted(rows, work.rows[-1], side="right"))
            rows_of.append(rows[:here])
            parts.append(features[:here])
            rows, features = rows[here:], features[here:]
            if len(rows):
                yield work, np.concatenate(rows_of), np.concatenate(parts)
                work, rows_of, parts = next(waiting), [], []
    yield (
        work,
        np.concatenate([*rows_of, work.rows[:0]]),
        np.concatenate(parts) if parts else np.empty((0, 0), np.float32),
    )


def _write(work: SlideWork, rows: Rows, features: Float32[ndarray, "n d"]) -> None:
    image = int(work.cohort.tile_image(rows[:1])[0])
    frame = work.identities.frame(image)
    geometry = Geometry()
    if not work.cohort.holds_features:
        size = None if frame is None else (frame.width_px0, frame.height_px0)
        geometry = Geometry(work.cohort.tile_px, work.cohort.mpp, None if frame is None else frame.mpp0, size)
    with replacing(work.path) as temporary:
        write_slide_features(
            temporary,
            features,
            work.cohort.tile_xy_px0(rows).astype(np.int64),
            geometry,
            str(work.path.parent),
            facts={"name": work.path.stem, "hlss_key": work.key},
            more={"tile": np.searchsorted(work.rows, rows)},
        )
