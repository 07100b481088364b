"""Files of features, one a slide, read again; and the embedding table that they make, without holding it."""

import json
from collections.abc import Collection, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float32, Int64
from numpy import ndarray

from hlss.embedding_table import FEATURES_FILE, IDS_FILE, SETTINGS_FILE, identity_table, stored_provenance
from hlss.errors import UserError
from hlss.files import replacing

_FIX = "Remove it, and embed again."
_ROWS = 1 << 16  # of a row group of identities


def stored_key(path: Path) -> str | None:
    """The key in a slide's file; None where there is no file, or none that can be read."""
    try:
        with h5py.File(path, "r") as file:
            key = file.attrs.get("hlss_key")
            whole = {"features", "coords", "tile"} <= file.keys()
    except (OSError, KeyError):
        return None
    return str(key) if whole and key is not None else None


def stored_shape(path: Path) -> tuple[int, int]:
    """How many features a slide's file holds, and of what width. Raises UserError."""
    try:
        with h5py.File(path, "r") as file:
            rows, width = file["features"].shape
    except (OSError, KeyError, ValueError) as error:
        raise UserError(f"cannot be read: {error!s:.200}", where=path, fix=_FIX) from error
    return int(rows), int(width)


def read_slide(path: Path) -> tuple[Float32[ndarray, "n d"], Int64[ndarray, " n"]]:
    """Features of a slide, and which of its chosen tiles they are of. Raises UserError."""
    try:
        with h5py.File(path, "r") as file:
            return file["features"][()], file["tile"][()].astype(np.int64)
    except (OSError, KeyError) as error:
        raise UserError(f"cannot be read: {error!s:.200}", where=path, fix=_FIX) from error


def says(folder: Path, facts: Mapping[str, Any], passing: Collection[str]) -> bool:
    """Whether an EmbeddingTable is there whose provenance is `facts`, but for what those of these names say."""
    if not (folder / FEATURES_FILE).is_file():
        return False
    try:
        stored = stored_provenance(folder)
    except UserError:
        return False
    asked = json.loads(json.dumps(dict(facts), default=str))
    for name in passing:
        stored.pop(name, None)
        asked.pop(name, None)
    return bool(stored == asked)


def write_table(
    folder: Path,
    parts: Iterable[tuple[Float32[ndarray, "n d"], Mapping[str, ndarray]]],
    rows: int,
    width: int,
    provenance: Mapping[str, Any],
    settings: str | None = None,
) -> None:
    """Write an EmbeddingTable of `rows` features of this width from parts of it, one in memory at a time; settings: as
    `EmbeddingTable.write` takes them.

    Raises UserError where it cannot be written, ValueError where the parts are not of this size together.
    """
    with replacing(Path(folder)) as temporary, ExitStack() as stack:
        temporary.mkdir(parents=True)
        features = stack.enter_context((temporary / FEATURES_FILE).open("wb"))
        features.write(_header(rows, width))
        identities: pq.ParquetWriter | None = None
        held, waiting, written = list[pa.Table](), 0, 0
        for block, columns in parts:
            if block.shape[1] != width:
                raise ValueError(f"features of {block.shape[1]} numbers in a table of {width}")
            features.write(np.ascontiguousarray(block, dtype="<f4").data)
            held.append(identity_table(columns, provenance))
            waiting, written = waiting + len(block), written + len(block)
            if identities is None:
                identities = stack.enter_context(pq.ParquetWriter(temporary / IDS_FILE, held[0].schema))
            if waiting >= _ROWS:
                identities.write_table(pa.concat_tables(held))
                held, waiting = [], 0
        if identities is None or written != rows:
            raise ValueError(f"{written} rows in a table of {rows}")
        if held:
            identities.write_table(pa.concat_tables(held))
        if settings is not None:
            (temporary / SETTINGS_FILE).write_text(settings, encoding="utf-8")


def _header(rows: int, width: int) -> bytes:
    """What stands before the numbers in a safetensors file: length, then JSON padded to eight bytes."""
    entry = {"dtype": "F32", "shape": [rows, width], "data_offsets": [0, 4 * rows * width]}
    text = json.dumps({"features": entry}, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text
