"""How other tools store the features of a slide: TRIDENT, CLAM and STAMP as HDF5, slide2vec as .pt or .npz."""

import pickle
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Int64
from numpy import ndarray

from hlss.cohorts.features import refuse_non_finite
from hlss.cohorts.hdf5_file import FIX, opened
from hlss.errors import UserError

Layout = Literal["trident", "clam", "stamp", "slide2vec"]
_KEYS = {"features": "`features` (TRIDENT, CLAM)", "feats": "`feats` (STAMP)"}
_SLIDE2VEC = "tile_embeddings"


@dataclass(frozen=True, eq=False)
class SlideFeatures:
    """What a slide's files hold, before its features are read: each is read once, straight to where it stays.

    places: top-left corners (x, y), level-0 px; width: of a feature; dtype: float16 where stored so, else float32.
    """

    path: Path
    places: Int64[ndarray, "n 2"]
    width: int
    dtype: np.dtype[Any]
    read: Callable[[ndarray], None]

    def read_into(self, target: ndarray) -> None:
        """Fill (n, width). Raises UserError where a feature is not finite."""
        self.read(target)
        refuse_non_finite(target, self.path)


def slide_features(folder: Path, slide: str, layout: Layout | None, mpp0: float | None) -> SlideFeatures | None:
    """The features of a slide below `folder`; None where it has no file. layout None: as the files look; mpp0: µm/px of
    the slide's level 0, for STAMP, which has places in µm. Raises UserError for files that do not fit, with the reason.
    """
    if layout != "slide2vec":
        for path in (folder / f"{slide}.h5", folder / "h5_files" / f"{slide}.h5"):
            if path.is_file():
                return _hdf5(path, layout, mpp0)
    if layout in (None, "slide2vec"):
        for path in (folder / _SLIDE2VEC / f"{slide}.pt", folder / _SLIDE2VEC / f"{slide}.npz"):
            if path.is_file():
                return _slide2vec(path, folder / "tiles" / f"{slide}.coordinates.npz")
    return None


def looked_for(slide: str, layout: Layout | None) -> str:
    """What there would have to be, for the message that there is not."""
    hdf5 = [f"{slide}.h5", f"h5_files/{slide}.h5"] if layout != "slide2vec" else []
    saved = [f"{_SLIDE2VEC}/{slide}.pt or .npz"] if layout in (None, "slide2vec") else []
    return ", nor ".join([*hdf5, *saved])


def _hdf5(path: Path, layout: Layout | None, mpp0: float | None) -> SlideFeatures:
    with opened(path) as file:
        keys, facts = sorted(file.keys()), dict(file.attrs)
        wanted = {"trident": "features", "clam": "features", "stamp": "feats"}.get(str(layout))
        key = wanted or next((known for known in _KEYS if known in keys), "")
        if key not in keys or "coords" not in keys:
            held = ", ".join(keys) or "nothing"
            what = f"holds {held}; {_KEYS[wanted] if wanted else ' or '.join(_KEYS.values())} and `coords` are needed"
            raise UserError(what, where=path, fix="Correct cohort.layout, or extract the features again.")
        shape, dtype, places = file[key].shape, file[key].dtype, file["coords"][()]
    count, width = _counted(shape, places.shape, path)

    def read(target: ndarray) -> None:
        with opened(path) as file:
            file[key].read_direct(target[None] if len(shape) == 3 else target)

    if key == "feats":
        places = _px0(places, facts, mpp0, path)
    assert count == len(places)
    return SlideFeatures(path, places, width, _kept(dtype), read)


def _px0(places_um: ndarray, facts: dict[str, Any], mpp0: float | None, path: Path) -> ndarray:
    """STAMP's places, µm, in level-0 px."""
    of = facts.get("feat_type", "tile")
    if of != "tile":
        raise UserError(f"holds features of a {of}, not of tiles", where=path, fix="Take STAMP's features of tiles.")
    if facts.get("unit") != "um" and "tile_size_um" not in facts:
        what = "does not say that its coords are in µm"
        raise UserError(what, where=path, fix="Extract the features again with STAMP 2.")
    if mpp0 is None:
        fix = "Give the manifest a column `mpp` (µm/px of level 0), or set cohort.image_mpp=."
        raise UserError("STAMP's coords are in µm, and nothing says how many µm a pixel is", where=path, fix=fix)
    return np.rint(places_um.astype(np.float64) / mpp0).astype(np.int64)


def _slide2vec(path: Path, coordinates: Path) -> SlideFeatures:
    if not coordinates.is_file():
        what = f"there is no {coordinates.parent.name}/{coordinates.name} that says where its tiles lie"
        raise UserError(what, where=path, fix="Name slide2vec's output folder, which holds both, as cohort.folder.")
    stored, where = _saved(path), _arrays(coordinates)
    if not {"x", "y"} <= where.keys():
        raise UserError(f"holds {', '.join(where)}, not `x` and `y`", where=coordinates, fix=FIX)
    places = np.stack([where["x"], where["y"]], axis=1).astype(np.int64)
    _, width = _counted(stored.shape, places.shape, path)

    def read(target: ndarray) -> None:
        target[:] = _saved(path)

    return SlideFeatures(path, places, width, _kept(stored.dtype), read)


def _saved(path: Path) -> ndarray:
    """The array of a .pt (read without executing anything) or .npz file."""
    if path.suffix == ".npz":
        held = _arrays(path)
        if "features" not in held:
            raise UserError(f"holds {', '.join(held) or 'nothing'}, not `features`", where=path, fix=FIX)
        return held["features"]
    import torch

    try:
        tensor = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, ValueError) as error:
        raise UserError(f"cannot be read: {error!s:.200}", where=path, fix=FIX) from error
    if not isinstance(tensor, torch.Tensor):
        raise UserError(f"holds a {type(tensor).__name__}, not a tensor", where=path, fix=FIX)
    return np.asarray((tensor if tensor.dtype == torch.float16 else tensor.float()).numpy())


def _arrays(path: Path) -> dict[str, ndarray]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        raise UserError(f"cannot be read: {error!s:.200}", where=path, fix=FIX) from error


def _counted(shape: tuple[int, ...], places: tuple[int, ...], path: Path) -> tuple[int, int]:
    """(features, width). Raises UserError where features and places do not belong together."""
    count, width = shape[-2:] if len(shape) == 2 or (len(shape) == 3 and shape[0] == 1) else (0, 0)
    if count == 0 or places != (count, 2):
        what = f"features of shape {shape} and coords of shape {places} do not belong together"
        raise UserError(what, where=path, fix=FIX)
    return count, width


def _kept(dtype: Any) -> np.dtype[Any]:
    return np.dtype(np.float16 if dtype == np.float16 else np.float32)
