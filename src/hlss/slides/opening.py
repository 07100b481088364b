"""Which reader opens a file."""

from pathlib import Path

from hlss.errors import Unreadable, UserError
from hlss.registry import SLIDES
from hlss.slides.base import ReaderSpec, Slide
from hlss.slides.colour import SrgbSlide


def open_slide(path: Path, mpp: float | None = None, reader: str | None = None, *, srgb: bool = False) -> Slide:
    """Open a slide with the first reader that takes its file, or with the one named.

    mpp: µm/px of level 0, over what the file says; srgb: colours by the file's profile, where it has one.
    Raises Unreadable (naming file and reason) for a file that no reader takes or that its reader cannot open, UserError
    for an unknown reader.
    """
    slide = _opened(Path(path), mpp, reader)
    if not srgb:
        return slide
    try:
        return SrgbSlide(slide)
    except Unreadable:
        slide.close()
        raise


def _opened(path: Path, mpp: float | None, reader: str | None) -> Slide:
    if not path.is_file() and not path.is_dir():
        raise Unreadable(path, "there is no such file")
    if reader is not None:
        return _made(reader).open(path, mpp)
    for one in sorted((_made(name) for name in SLIDES), key=lambda one: one.rank):
        if one.takes(path):
            return one.open(path, mpp)
    raise Unreadable(path, f"no slide that is known (readers: {', '.join(SLIDES)})")


def _made(name: str) -> ReaderSpec:
    spec = SLIDES[name](name=name)  # type: ignore[call-arg]
    if not isinstance(spec, ReaderSpec):
        raise UserError(f"{name} reads no slides", where="reader")
    return spec
