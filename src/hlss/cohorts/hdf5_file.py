"""Opening HDF5 files that others wrote."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hlss.errors import UserError

FIX = "Extract this slide again, or take its row out."


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """An HDF5 file, open. Raises UserError where it cannot be read, or lacks what is asked of it."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, KeyError, TypeError) as error:
        raise UserError(f"cannot be read: {error!s:.200}", where=path, fix=FIX) from error
