"""HDF5 of patch coordinates, one file an image, with the attributes of CLAM or of TRIDENT.

`coords` (n, 2) holds top-left corners (x, y) in level-0 px, `imgs` (n, p, p, 3) the pixels, `features` (n, d) what an
encoder made of them. The two flavours give `patch_size` different meanings: CLAM's is in px of the level read (here
level 0), TRIDENT's in px at the target magnification; so a file can be of one only.
"""

import csv
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Float, Int64
from numpy import ndarray

from hlss.cohorts.base import Cohort
from hlss.cohorts.write.frame import Frame, Progress, frame_of, identity, image_names, mpp0_of, part_of
from hlss.files import replacing
from hlss.slides.trident import trident_attributes

if TYPE_CHECKING:
    from typing_extensions import Buffer  # collections.abc has it from Python 3.12 on

BATCH = 256  # tiles whose features are asked for at once

Flavour = Literal["clam", "trident"]
Features = Callable[[Int64[ndarray, " n"]], Float[ndarray, "n d"]]


def write_hdf5(
    path: Path,
    cohort: Cohort,
    image: int,
    flavour: Flavour,
    *,
    images: bool = True,
    features: Features | None = None,
    progress: Progress | None = None,
) -> None:
    """Write the tiles of one image, atomically. features: called with rows of the cohort, some at a time.

    Raises UserError where the image has no mpp or its size is unknown, and where writing fails.
    """
    with replacing(path) as temporary:
        _write(temporary, cohort, image, flavour, path.stem, images, features, progress)


def write_hdf5s(
    cohort: Cohort,
    folder: Path,
    progress: Progress,
    *,
    flavour: Flavour,
    images: bool = True,
    features: Features | None = None,
) -> None:
    """`patches/NAME.h5` for each image of a cohort, and `dataset.csv` (case_id, slide_id, label) over them."""
    names, done = image_names(cohort), 0
    (folder / "patches").mkdir(parents=True)
    for image, name in enumerate(names):
        done += _write(
            folder / "patches" / f"{name}.h5",
            cohort,
            image,
            flavour,
            name,
            images,
            features,
            part_of(progress, done, cohort.n_tiles),
        )
    with (folder / "dataset.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("case_id", "slide_id", "label"))
        for image, name in enumerate(names):
            who = identity(cohort, image)
            writer.writerow((who["patient_id"], name, who["label"]))


def attributes(cohort: Cohort, frame: Frame, mpp0: float, name: str, flavour: Flavour) -> dict[str, Any]:
    """What `coords` says of itself: the names that CLAM, or TRIDENT, writes and reads."""
    extent = frame.extent_px0(cohort)
    size = (frame.width_px0, frame.height_px0)
    if flavour == "clam":
        return {
            "patch_size": extent,
            "patch_level": 0,
            "downsample": (1.0, 1.0),
            "downsampled_level_dim": size,
            "level_dim": size,
            "target_patch_size": cohort.tile_px,
            "name": name,
            "save_path": "patches",
        }
    return trident_attributes(
        name, cohort.tile_px, cohort.mpp, mpp0, extent_px0=extent, size_px0=size, folder="patches"
    )


def _write(
    path: Path,
    cohort: Cohort,
    image: int,
    flavour: Flavour,
    name: str,
    images: bool,
    features: Features | None,
    progress: Progress | None,
) -> int:
    import h5py

    frame = frame_of(cohort, image)
    facts = attributes(cohort, frame, mpp0_of(cohort, image, frame), name, flavour)
    rows = cohort.tiles.of_image(image)
    corners = cohort.tile_xy_px0(rows)
    if flavour == "trident":
        facts["overlap"] = overlap_px_of(corners, frame.extent_px0(cohort), cohort.tile_px)
    with Disk(path) as disk:
        with h5py.File(disk, "w") as file:
            file.create_dataset("coords", data=corners).attrs.update(facts)
            if images:
                _write_images(file, cohort, rows, disk, progress)
            if features is not None:
                _write_features(file, rows, features, disk)
        disk.check()
    return len(rows)


def _write_images(
    file: Any, cohort: Cohort, rows: Int64[ndarray, " n"], disk: "Disk", progress: Progress | None
) -> None:
    shape = (cohort.tile_px, cohort.tile_px, 3)
    pixels = file.create_dataset("imgs", (len(rows), *shape), np.uint8, chunks=(1, *shape))
    for place, row in enumerate(rows.tolist()):
        pixels[place] = cohort.read_tile(row)
        disk.check()
        if progress is not None:
            progress(place + 1, len(rows))


def _write_features(file: Any, rows: Int64[ndarray, " n"], features: Features, disk: "Disk") -> None:
    for start in range(0, len(rows), BATCH):
        found = features(rows[start : start + BATCH])
        if start == 0:
            file.create_dataset("features", (len(rows), found.shape[1]), found.dtype)
        file["features"][start : start + len(found)] = found
        disk.check()


def overlap_px_of(corners: ndarray, extent_px0: int, tile_px: int) -> int:
    """Px of a tile that neighbours share, by the smallest step between columns or rows."""
    steps = np.concatenate([np.diff(np.unique(corners[:, axis])) for axis in (0, 1)])
    return max(0, tile_px - round(int(steps.min()) * tile_px / extent_px0)) if len(steps) else 0


class Disk(io.FileIO):
    """A file that keeps its first error for `check`, and takes the rest of what is written as if nothing had happened.

    For HDF5 cannot let go of a file that failed it: it tries again at exit, loudly.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w+")
        self._error: OSError | None = None

    def check(self) -> None:
        if self._error is not None:
            raise self._error

    def write(self, data: "Buffer", /) -> int:
        left = memoryview(data).cast("B")
        size = len(left)
        with self._kept():
            while len(left):
                left = left[super().write(left) :]
        return size

    def truncate(self, size: int | None = None, /) -> int:
        with self._kept():
            super().truncate(size)
        return self.tell() if size is None else size

    @contextmanager
    def _kept(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._error = self._error or error
