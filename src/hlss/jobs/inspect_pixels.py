"""A look at some tiles of a cohort: can they be read, is anything in them, how large would a pack be; a picture."""

from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float32, UInt8
from numpy import ndarray
from PIL import Image

from hlss.cohorts.base import Cohort
from hlss.cohorts.pack import PackRecipe
from hlss.errors import Unreadable, UserError
from hlss.files import replacing
from hlss.jobs.inspect_counts import NONE
from hlss.jobs.setup import evenly

BLANK_SD = 3.0  # of 255: a tile whose channels all vary less holds glass, or nothing
_PER_CLASS, _SIDE_PX, _GAP_PX, _TITLE_PX = 8, 112, 4, 20


@dataclass
class Look:
    """Of tiles spread evenly over the cohort. constant: all pixels (or all of a feature) the same; blank: hardly any
    contrast, BLANK_SD; failed: could not be read, `unreadable` says why by image; pack_bytes: of all tiles, by those
    seen; None where none was.
    """

    tiles: int = 0
    blank: int = 0
    constant: int = 0
    failed: int = 0
    unreadable: dict[str, str] = field(default_factory=dict)
    pack_bytes: int | None = None


def look(cohort: Cohort, most: int, recipe: PackRecipe | None) -> Look:
    """Read at most so many tiles, evenly over the cohort; of a cohort of features, their rows."""
    rows, found, sizes = evenly(cohort.n_tiles, most), Look(), []
    for row in rows.tolist():
        found.tiles += 1
        try:
            values = _values(cohort, row)
        except Unreadable as error:
            found.failed += 1
            found.unreadable[error.path] = error.reason
            continue
        if (values == values.reshape(-1, values.shape[-1])[0]).all():
            found.constant += 1
        elif values.ndim == 3 and values.reshape(-1, values.shape[-1]).std(0).max() < BLANK_SD:
            found.blank += 1
        if recipe is not None and values.ndim == 3:
            sizes.append(len(recipe.encode(values)))
    if sizes:
        found.pack_bytes = round(float(np.mean(sizes)) * cohort.n_tiles)
    return found


def contact_sheet(cohort: Cohort, path: Path) -> None:
    """A JPEG (or PNG) of a few tiles of each class, a line each, of as many slides as there are. Raises UserError for a
    cohort of features, and for a name that is no JPEG's or PNG's.
    """
    if cohort.holds_features:
        raise UserError("a cohort of features has no pixels to show", where="--picture", fix="Leave --picture out.")
    if path.suffix.lower() not in (".jpg", ".jpeg", ".png"):
        raise UserError("a picture is a .jpg or .png", where=path, fix="Give it that ending.")
    lines = [_line(cohort, label) for label in np.unique(cohort.image_label).tolist()]
    with replacing(path) as temporary:
        kind = "PNG" if path.suffix.lower() == ".png" else "JPEG"
        Image.fromarray(np.concatenate(lines)).save(temporary, format=kind, quality=92)


def _line(cohort: Cohort, label: int) -> UInt8[ndarray, "h w 3"]:
    """The name of the class, and tiles of it: the middle ones of slides, evenly over its slides."""
    images = np.flatnonzero(cohort.image_label == label)
    slides = np.unique(cohort.image_slide[images])
    canvas = np.full(
        (_TITLE_PX + _SIDE_PX + _GAP_PX, _GAP_PX + _PER_CLASS * (_SIDE_PX + _GAP_PX), 3), 255, dtype=np.uint8
    )
    name = cohort.classes[label] if label >= 0 else NONE
    title = name.encode("ascii", "replace").decode()  # all that OpenCV's letters can write
    cv2.putText(canvas, title, (_GAP_PX, 15), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
    at = _GAP_PX
    for row in _rows_of(cohort, images, slides):
        try:
            tile = cohort.read_tile(row)
        except Unreadable:
            continue
        small = cv2.resize(tile, (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_AREA)
        canvas[_TITLE_PX : _TITLE_PX + _SIDE_PX, at : at + _SIDE_PX] = small
        at += _SIDE_PX + _GAP_PX
    return canvas


def _rows_of(cohort: Cohort, images: ndarray, slides: ndarray) -> list[int]:
    starts = cohort.tiles.starts
    chosen: list[int] = []
    for turn in range(_PER_CLASS):  # a tile of each slide in turn, until the line is full
        for slide in slides[evenly(len(slides), _PER_CLASS)].tolist():
            mine = images[cohort.image_slide[images] == slide]
            rows = np.concatenate([np.arange(starts[image], starts[image + 1]) for image in mine.tolist()])
            places = evenly(len(rows), 2 * _PER_CLASS + 1)
            order = sorted(range(len(places)), key=lambda i: abs(2 * i - len(places) + 1))  # from the middle
            if turn < len(order) and len(chosen) < _PER_CLASS:
                chosen.append(int(rows[places[order[turn]]]))
    return chosen


def _values(cohort: Cohort, row: int) -> UInt8[ndarray, "h w 3"] | Float32[ndarray, "d 1"]:
    if cohort.holds_features:
        return np.asarray(cohort.features(np.array([row]))[0][:, None])
    return cohort.read_tile(row)
