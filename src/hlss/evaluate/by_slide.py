"""From patches to features, a slide at a time and a file a slide: one that is there and fits is not embedded again."""

import hashlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from hlss.batches.loader import SeenTiles
from hlss.cohorts.base import Cohort
from hlss.cohorts.paths import file_names
from hlss.cohorts.write.features import Geometry, write_slide_features
from hlss.encoders.base import ImageEncoder
from hlss.evaluate.embed import Identities, Rows, chosen_rows
from hlss.evaluate.lanes import Lanes
from hlss.evaluate.slide_files import read_slide
from hlss.files import digest, replacing

Part = tuple[Float32[ndarray, "n d"], Mapping[str, ndarray]]
Stream = Callable[[Iterable[Rows]], Iterator[SeenTiles]]


@dataclass(frozen=True, eq=False)
class SlideWork:
    """A slide to embed: rows of its side's cohort, ascending, the file they go to, and the key by which one fits."""

    side: str
    slide: str
    rows: Rows
    path: Path
    key: str


@dataclass(frozen=True, eq=False)
class SlideFeatures:
    """What came of a slide. rows: those that could be read; unreadable: the others, (image at x, y) → reason."""

    work: SlideWork
    rows: Rows
    features: Float32[ndarray, "n d"]
    unreadable: dict[str, str]


def slide_features(
    lanes: Lanes,
    works: Iterable[SlideWork],
    stream: Stream,
    batch: int,
    passed: Callable[[int], None] = lambda _: None,
) -> Generator[SlideFeatures, None, None]:
    """Features of slides of one cohort in turn, in even batches of at most so many tiles of one slide each: they are
    the same whatever else is embedded.

    works: asked for as they are needed, a few ahead; stream: what is seen of the rows it is given, chunk by chunk;
    passed: told of tiles as they come through.
    """
    asked = deque[tuple[SlideWork, bool]]()

    def chunks() -> Iterator[Rows]:
        for work in works:
            parts = np.array_split(work.rows, ceil(len(work.rows) / batch))
            for number, part in enumerate(parts, start=1):
                asked.append((work, number == len(parts)))
                yield part

    rows, parts, unreadable = list[ndarray](), list[ndarray](), dict[str, str]()
    for seen, features in lanes.features(stream(chunks())):
        work, ends = asked.popleft()
        rows.append(seen.rows)
        parts.append(features)
        unreadable |= seen.unreadable
        passed(len(seen.rows) + len(seen.unreadable))
        if ends:
            yield SlideFeatures(work, np.concatenate(rows), np.concatenate(parts), unreadable)
            rows, parts, unreadable = [], [], {}


def write_slide(found: SlideFeatures, cohort: Cohort, identities: Identities) -> None:
    """Write a slide's file, whole or not at all. identities: of its side. Raises UserError."""
    frame = identities.frame(int(cohort.tile_image(found.rows[:1])[0]))
    geometry, path = Geometry(), found.work.path
    if not cohort.holds_features:
        size = None if frame is None else (frame.width_px0, frame.height_px0)
        geometry = Geometry(cohort.tile_px, cohort.mpp, None if frame is None else frame.mpp0, size)
    with replacing(path) as temporary:
        write_slide_features(
            temporary,
            found.features,
            cohort.tile_xy_px0(found.rows).astype(np.int64),
            geometry,
            str(path.parent),
            facts={"name": path.stem, "hlss_key": found.work.key},
            more={"tile": np.searchsorted(found.work.rows, found.rows)},
        )


def parts_of(works: Sequence[SlideWork], sides: Mapping[str, Cohort]) -> Iterator[Part]:
    """Features and identities from the slides' files, a slide at a time. Raises UserError where a file is broken."""
    identities = {side: Identities(cohort, side) for side, cohort in sides.items()}
    for work in works:
        features, kept = read_slide(work.path)
        yield features, identities[work.side].of(work.rows[kept])


def plan(
    sides: Mapping[str, Cohort], folder: Path, tower: str, facts: Any, most: int | None = None, seed: int = 0
) -> list[SlideWork]:
    """The slides of all sides. tower: hash of the weights; facts: of the view, where it is not the tile as it is; most,
    seed: so many patches of a slide, drawn as `chosen_rows` does.
    """
    found: list[tuple[str, str, Rows]] = []
    for side, cohort in sides.items():
        rows = chosen_rows(cohort, most, seed)
        of = cohort.tile_slide(rows)
        starts = np.flatnonzero(np.diff(of, prepend=-1))
        found += [
            (side, cohort.slides[slide], group)
            for slide, group in zip(of[starts].tolist(), np.split(rows, starts[1:]), strict=True)
        ]
    names = file_names([slide for _, slide, _ in found])
    return [
        SlideWork(side, slide, rows, Path(folder) / f"{name}.h5", _key(sides[side], rows, slide, tower, facts))
        for name, (side, slide, rows) in zip(names, found, strict=True)
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
