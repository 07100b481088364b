"""Which slides there are to cut: a folder that is searched, or a manifest; their names and what they hold."""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath

from hlss.cohorts.columns import Table, read_table
from hlss.cohorts.cut import IDENTITY
from hlss.cohorts.paths import files_below, safe_name
from hlss.errors import UserError
from hlss.files import digest, sampled_digest

ENDINGS = frozenset(
    (".svs", ".tif", ".tiff", ".ndpi", ".mrxs", ".scn", ".bif", ".vms", ".vmu", ".svslide", ".dcm", ".czi", ".phantom")
)
HASHED_AT_ONCE = 8  # files: what takes long is waiting for the disk


@dataclass(frozen=True)
class SlideFile:
    """A slide to be cut.

    name:    of its files in the output folder.
    path:    relative to the root where it lies below that, else absolute.
    n_bytes: of its file; 0 where there is none.
    hash:    of its content; "" where it was not needed, or cannot be read (then `opening` it says why).
    mpp:     µm/px of level 0 that the manifest gives, over what the file says.
    who:     IDENTITY, as far as the manifest tells.
    """

    name: str
    path: str
    n_bytes: int = 0
    hash: str = ""
    mpp: float | None = None
    who: dict[str, str] = field(default_factory=dict)


def slides_of(slides: Path) -> tuple[Path, list[SlideFile]]:
    """The root and its slides in order of their names. slides: a folder or a manifest.

    Raises UserError where there are none, for a manifest that cannot be read or lacks paths, and for two slides whose
    names are the same or differ by case only.
    """
    slides = Path(slides)
    if slides.is_dir():
        found, root = [SlideFile("", path) for path in files_below(slides, ENDINGS)], slides
        if not found:
            fix = f"Give a manifest (CSV or Parquet) with a column `path`; a folder is searched for {_endings()}."
            raise UserError("there is no slide in this folder", where=slides, fix=fix)
        _refuse_series(found, slides)
    else:
        found, root = _listed(read_table(slides, {}), slides.parent), slides.parent
    names = _names(found)
    _refuse_clashes(found, names, slides)
    named = (replace(one, name=name, n_bytes=_n_bytes(root / one.path)) for one, name in zip(found, names, strict=True))
    return root, sorted(named, key=lambda one: one.name)


def hashed(root: Path, slides: Sequence[SlideFile], wanted: Sequence[SlideFile]) -> list[SlideFile]:
    """`wanted` with their hashes. Raises UserError, naming both, where two of `slides` hold the same.

    Of the others only those are read that are as large as another one.
    """
    sizes = Counter(one.n_bytes for one in slides)
    names = {one.name for one in wanted}
    read = [one for one in slides if one.name in names or (one.n_bytes and sizes[one.n_bytes] > 1)]
    with ThreadPoolExecutor(HASHED_AT_ONCE) as pool:
        found = list(pool.map(partial(_hash_of, root), read))
    first: dict[str, SlideFile] = {}
    for one, content in zip(read, found, strict=True):
        other = first.setdefault(content, one)
        if content and other is not one:
            fix = "Remove one of the two: a slide must not be its own partner."
            raise UserError(f"holds the same as {root / other.path}", where=root / one.path, fix=fix)
    by_name = {one.name: content for one, content in zip(read, found, strict=True)}
    return [replace(one, hash=by_name[one.name]) for one in wanted]


def content_hash(path: Path) -> str:
    """Of a slide's file, or of all files of a slide that is kept as a folder (or, as MRXS, has one beside it)."""
    folder = path if path.is_dir() else path.with_suffix("") if path.suffix.lower() == ".mrxs" else None
    if folder is None or not folder.is_dir():
        return sampled_digest(path)
    parts = [(inside, sampled_digest(folder / inside)) for inside in files_below(folder)]
    return digest([[] if path == folder else sampled_digest(path), parts], 24)


def _hash_of(root: Path, one: SlideFile) -> str:
    try:
        return content_hash(root / one.path)
    except OSError:
        return ""


def _listed(table: Table, root: Path) -> list[SlideFile]:
    if "path" not in table.columns:
        raise UserError("has no column `path`", where=table.path, fix="Give each slide the path of its file.")
    return [
        SlideFile(
            "",
            _relative(root, table.get("path", row), table.where(row)),
            mpp=_mpp(table.get("mpp", row), table.where(row)),
            who={key: table.get(key, row) for key in IDENTITY if table.get(key, row)},
        )
        for row in range(len(table))
    ]


def _relative(root: Path, path: str, where: str) -> str:
    if not path:
        raise UserError("the slide has no path", where=where, fix="Fill the column `path`.")
    whole = Path(path)
    return whole.relative_to(root).as_posix() if whole.is_relative_to(root) else whole.as_posix()


def _mpp(text: str, where: str) -> float | None:
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise UserError(f"mpp {text!r} is no number of µm/px", where=where, fix="Correct the column `mpp`.")
    return value


def _names(found: Sequence[SlideFile]) -> list[str]:
    """The slide's id, or the stem, or the path, or that with its ending: the first that no other slide has."""
    whole = [PurePosixPath(one.path) for one in found]
    candidates = (
        [one.who.get("slide_id", "") for one in found],
        [path.stem for path in whole],
        [str(path.with_suffix("")).lstrip("/") for path in whole],
        [str(path).lstrip("/") for path in whole],
    )
    counts = [Counter(names) for names in candidates]
    return [
        safe_name(next((n[i] for n, count in zip(candidates, counts, strict=True) if n[i] and count[n[i]] == 1), path))
        for i, path in enumerate(candidates[-1])
    ]


def _refuse_clashes(found: Sequence[SlideFile], names: Sequence[str], where: Path) -> None:
    first: dict[str, SlideFile] = {}
    for one, name in zip(found, names, strict=True):
        other = first.setdefault(name.casefold(), one)
        if other is not one:
            what = f"{other.path} and {one.path} would both be called {name!r} (upper and lower case are the same)"
            if other.path == one.path:
                what = f"{one.path} is listed twice"
            fix = "Rename one of them, or give a manifest with a column `slide_id`."
            raise UserError(what, where=where, fix=fix)


def _refuse_series(found: Sequence[SlideFile], where: Path) -> None:
    """DICOM keeps the levels of a slide in files of one folder: each would be taken for a slide."""
    folders = Counter(PurePosixPath(one.path).parent for one in found if one.path.lower().endswith(".dcm"))
    for folder, count in sorted(folders.items()):
        if count > 1:
            fix = "Give a manifest (CSV with a column `path`) that lists one file of each slide."
            raise UserError(f"{count} DICOM files, perhaps parts of one slide", where=where / folder, fix=fix)


def _n_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _endings() -> str:
    return ", ".join(sorted(ENDINGS))
