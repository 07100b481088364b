"""Features as STAMP and slide2vec store them: every tile has its own, at its own place in level-0 px."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from hlss.cohorts.features_hdf5 import FeaturesHdf5Spec
from hlss.errors import UserError

MPP0 = 0.2431  # µm/px
PLACES = np.array([[0, 0], [1053, 0], [1053, 2106], [31590, 21060]])  # level-0 px; 256 µm apart is 1053 px
STAMP = {"extractor": "uni", "unit": "um", "tile_size_um": 256.0, "tile_size_px": 224, "feat_type": "tile"}


def manifest(folder: Path, mpp: str = str(MPP0)) -> Path:
    path = folder / "slides.csv"
    path.write_text(f"slide_id,patient_id,label,mpp\na,007,lung,{mpp}\nb,08,kidney,{mpp}\n")
    return path


def values(slide: str, dtype: Any = np.float16) -> np.ndarray:
    return np.random.default_rng(ord(slide)).normal(size=(4, 6)).astype(dtype)


def stamp(folder: Path, slide: str, facts: dict[str, Any] = STAMP, key: str = "feats", **changes: np.ndarray) -> None:
    """As STAMP's preprocessing writes a slide: float16 features, float32 places in µm."""
    held = {key: values(slide), "coords": (PLACES * MPP0).astype(np.float32), **changes}
    folder.mkdir(exist_ok=True)
    with h5py.File(folder / f"{slide}.h5", "w") as file:
        for name, array in held.items():
            file[name] = array
        file.attrs.update(facts)


def slide2vec(folder: Path, slide: str, kind: str) -> None:
    """As slide2vec's pipeline writes a slide: features beside the archive of coordinates."""
    for below in ("tile_embeddings", "tiles"):
        (folder / below).mkdir(parents=True, exist_ok=True)
    path = folder / "tile_embeddings" / f"{slide}.{kind}"
    if kind == "pt":
        torch.save(torch.from_numpy(values(slide)), path)
    else:
        np.savez_compressed(path, features=values(slide), tile_index=np.arange(4, dtype=np.int32))
    where = {"x": PLACES[:, 0], "y": PLACES[:, 1], "tile_index": np.arange(4, dtype=np.int32)}
    np.savez(folder / "tiles" / f"{slide}.coordinates.npz", **where, tissue_fractions=np.ones(4, np.float32))


def opened(tmp_path: Path, **settings: Any) -> FeaturesHdf5Spec:
    return FeaturesHdf5Spec(manifest=tmp_path / "slides.csv", folder=tmp_path / "out", **settings)


def assert_read(spec: FeaturesHdf5Spec) -> None:
    cohort = spec.open()
    assert (cohort.patients, cohort.slides) == (("007", "08"), ("a", "b"))
    assert cohort.source.tables[0].dtype == np.float16
    for number, slide in enumerate("ab"):
        rows = cohort.slide_tiles(number)
        np.testing.assert_array_equal(cohort.tile_xy_px0(rows), PLACES)
        np.testing.assert_array_equal(cohort.features(rows), values(slide).astype(np.float32))


@pytest.mark.parametrize("layout", [None, "stamp"])
def test_stamp_s_micrometres_become_pixels(tmp_path: Path, layout: Any) -> None:
    manifest(tmp_path)
    for slide in "ab":
        stamp(tmp_path / "out", slide)
    assert_read(opened(tmp_path, layout=layout))
    manifest(tmp_path, mpp="")
    assert_read(opened(tmp_path, layout=layout, image_mpp=MPP0))


@pytest.mark.parametrize("kind", ["pt", "npz"])
@pytest.mark.parametrize("layout", [None, "slide2vec"])
def test_slide2vec_has_places_beside(tmp_path: Path, kind: str, layout: Any) -> None:
    manifest(tmp_path, mpp="")
    for slide in "ab":
        slide2vec(tmp_path / "out", slide, kind)
    assert_read(opened(tmp_path, layout=layout))


def test_an_earlier_stamp_says_micrometres_in_its_own_way(tmp_path: Path) -> None:
    manifest(tmp_path)
    stamp(tmp_path / "out", "a", {"extractor": "ctranspath", "unit": "um", "tile_size": 256.0})
    stamp(tmp_path / "out", "b", {"extractor": "ctranspath", "tile_size_um": 256.0})
    assert_read(opened(tmp_path))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"facts": {"extractor": "ctranspath"}}, "does not say that its coords are in µm"),
        ({"facts": {**STAMP, "feat_type": "slide"}}, "features of a slide, not of tiles"),
        ({"key": "embeddings"}, r"holds coords, embeddings; `features` \(TRIDENT, CLAM\) or `feats` \(STAMP\)"),
        ({"coords": np.zeros((3, 2), np.float32)}, "do not belong together"),
        ({"feats": np.full((4, 6), np.nan, np.float16)}, "feature 0 of 4 is not finite"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_line(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    manifest(tmp_path)
    stamp(tmp_path / "out", "a")
    stamp(tmp_path / "out", "b", **changed)
    with pytest.raises(UserError, match=message) as error:
        opened(tmp_path).open()
    assert "b.h5" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_layout_that_was_named_is_the_only_one_looked_for(tmp_path: Path) -> None:
    manifest(tmp_path)
    for slide in "ab":
        stamp(tmp_path / "out", slide)
    with pytest.raises(UserError, match=r"holds coords, feats; `features` \(TRIDENT, CLAM\) and `coords` are needed"):
        opened(tmp_path, layout="trident").open()
    with pytest.raises(UserError, match=r"no tile_embeddings/a\.pt or \.npz, for .*slides\.csv line 2"):
        opened(tmp_path, layout="slide2vec").open()
    manifest(tmp_path, mpp="")
    with pytest.raises(UserError, match=r"nothing says how many µm a pixel is.*image_mpp"):
        opened(tmp_path).open()


def test_broken_files_of_slide2vec_are_named(tmp_path: Path) -> None:
    manifest(tmp_path)
    out = tmp_path / "out"
    for slide in "ab":
        slide2vec(out, slide, "pt")
    broken = out / "tile_embeddings" / "b.pt"
    torch.save({"features": torch.zeros(4, 6)}, broken)
    with pytest.raises(UserError, match=r"b\.pt: holds a dict, not a tensor"):
        opened(tmp_path).open()
    torch.save(torch.zeros(2, 9, 6), broken)
    with pytest.raises(UserError, match=r"b\.pt: features of shape \(2, 9, 6\)"):
        opened(tmp_path).open()
    broken.write_bytes(b"no tensor")
    with pytest.raises(UserError, match=r"b\.pt: cannot be read"):
        opened(tmp_path).open()
    slide2vec(out, "b", "pt")
    (out / "tiles" / "b.coordinates.npz").unlink()
    with pytest.raises(UserError, match=r"there is no tiles/b\.coordinates\.npz"):
        opened(tmp_path).open()
    np.savez(out / "tiles" / "b.coordinates.npz", u=PLACES[:, 0])
    with pytest.raises(UserError, match="holds u, not `x` and `y`"):
        opened(tmp_path).open()
