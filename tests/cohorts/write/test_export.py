import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hlss.cohorts.base import Cohort
from hlss.cohorts.phantom import PhantomSpec
from hlss.errors import Unreadable, UserError
from hlss.jobs import setup
from hlss.jobs.export import LAYOUTS, export

EXPECTED = {
    "pyramid": {"manifest.csv", "slides"},
    "drawn": {"manifest.csv", "slides"},
    "opensrh": {"P0000", "P0001", "P0002", "meta"},
    "clam": {"dataset.csv", "patches"},
    "trident": {"dataset.csv", "patches"},
    "tiles": {"manifest.csv", "tiles"},
    "images": {"manifest.csv", "images"},
}


def quiet(text: str) -> None: ...


def small_cohort(layout: str, patients: int = 3) -> Cohort:
    return PhantomSpec(patients=patients, slides=1, side=1, tile_px=300 if layout == "opensrh" else 32, mpp=1.0).open()


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_every_layout_makes_a_folder_and_is_the_same_again(layout: str, tmp_path: Path) -> None:
    cohort = small_cohort(layout)
    one, other = (export(cohort, tmp_path / name, layout, quiet) for name in "ab")
    assert {path.name for path in one.iterdir()} == EXPECTED[layout]
    files = sorted(path.relative_to(one) for path in one.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(other) for path in other.rglob("*") if path.is_file())
    assert all((one / path).read_bytes() == (other / path).read_bytes() for path in files)
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b"}


def test_an_unknown_layout_is_told_the_known_ones(tmp_path: Path, drawn: Cohort) -> None:
    with pytest.raises(
        UserError, match=r"unknown layout 'svs'\. Known: clam, drawn, images, opensrh, pyramid, tiles, trident"
    ):
        export(drawn, tmp_path / "out", "svs", quiet)


def test_only_an_empty_folder_is_written_to(tmp_path: Path, drawn: Cohort) -> None:
    (tmp_path / "empty").mkdir()
    export(drawn, tmp_path / "empty", "tiles", quiet)
    with pytest.raises(UserError, match="empty: the output folder is not empty"):
        export(drawn, tmp_path / "empty", "tiles", quiet)
    (tmp_path / "file").write_text("kept")
    with pytest.raises(UserError, match="a file, not a folder"):
        export(drawn, tmp_path / "file", "tiles", quiet)
    assert (tmp_path / "file").read_text() == "kept"


def test_missing_mpp_is_one_line_and_leaves_nothing(tmp_path: Path, without_mpp: Cohort) -> None:
    before = set(tmp_path.iterdir())
    for layout in ("pyramid", "clam", "trident"):
        with pytest.raises(UserError, match="mpp is missing"):
            export(without_mpp, tmp_path / "out", layout, quiet)
    assert set(tmp_path.iterdir()) == before


@pytest.mark.parametrize("stop", [KeyboardInterrupt, Unreadable("x.png", "truncated")])
@pytest.mark.parametrize("layout", ["tiles", "clam"])
def test_what_is_broken_off_leaves_nothing(layout: str, stop: BaseException, tmp_path: Path, drawn: Cohort) -> None:
    class Failing(type(drawn.source)):  # type: ignore[misc]
        def read(self, image: int, *place: object) -> np.ndarray:
            if image == 3:
                raise stop
            return super().read(image, *place)

    failing = replace(drawn, source=Failing(drawn.source.spec))
    with pytest.raises(BaseException) as caught:  # noqa: PT011
        export(failing, tmp_path / "out", layout, quiet)
    assert caught.errisinstance(stop if isinstance(stop, type) else type(stop))
    assert not list(tmp_path.iterdir())


def test_it_is_never_silent_for_long(tmp_path: Path, drawn: Cohort, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 1000, 2))
    monkeypatch.setattr(setup.time, "monotonic", lambda: next(clock))
    said: list[str] = []
    export(drawn, tmp_path / "out", "tiles", said.append)
    assert said[0] == str(drawn)
    progress = [text for text in said if text.startswith("writing tiles: ")]
    assert len(progress) == 11  # every other of 24 tiles, but the last
    assert progress[0] == "writing tiles: 2 of 24 tiles, 44 s left"


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from hlss.cohorts.phantom import PhantomSpec
from hlss.errors import Unreadable, UserError
from hlss.jobs.export import export
cohort = PhantomSpec(patients=1, slides=1, side=2, tile_px=300, mpp=1.0).open()
for layout, limit in (argument.split(":") for argument in sys.argv[2:]):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), resource.RLIM_INFINITY))
    try:
        export(cohort, Path(sys.argv[1]) / layout, layout, lambda text: None)
    except UserError as error:
        print(error)
"""
# HDF5 meets the limit at its head, at its tables, in a tile, and at its close (four tiles make 1,080,000 bytes)
LIMITS = ["clam:1", "clam:2500", "trident:20000", "trident:600000", "trident:1081000"]


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="no file-size limits on this system")
def test_a_full_disk_is_said_in_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    limits = [f"{layout}:20000" for layout in ("pyramid", "opensrh", "tiles", "images")] + ["drawn:200"] + LIMITS
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path), *limits]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    for line, limit in zip(found.stdout.splitlines(), limits, strict=True):
        assert line.startswith(f"{tmp_path / limit.split(':')[0]}: cannot write: the file-size limit is reached.")
    assert found.stderr == ""
    assert not list(tmp_path.iterdir())
