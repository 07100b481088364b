"""EmbeddingTable: features, identities and provenance; all that evaluation, explanation and reports read."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Bool, Float32, Shaped
from numpy import ndarray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from hlss.errors import UserError
from hlss.files import replacing

COLUMNS = ("patient", "slide", "site", "image", "label", "side")
PLACES = ("x_px0", "y_px0")
IDS_FILE, FEATURES_FILE = "patches.parquet", "features.safetensors"
SETTINGS_FILE = "settings.yaml"  # those it was embedded with; older tables have none
_FIX = "Run `hlss embed` again."


@dataclass(frozen=True, eq=False)
class EmbeddingTable:
    """One row a patch.

    features: (n, d) float32, z of each patch, not normalised.
    columns:  patient, slide, site, image, label, side as strings (label and site "" where there is none), and
              x_px0, y_px0 (level-0 px of the image) as integers.
    provenance: code version, config hash, data hash, method, checkpoint, seed, fold, hardware, time and so on.
    Raises ValueError where a column is missing or not as long as the features.
    """

    features: Float32[ndarray, "n d"]
    columns: Mapping[str, Shaped[ndarray, " _"]]
    provenance: Mapping[str, Any]

    def __post_init__(self) -> None:
        misfit = _misfit(self.features, {name: len(column) for name, column in self.columns.items()})
        if misfit is not None:
            raise ValueError(misfit)

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, column: str) -> Shaped[ndarray, " n"]:
        return self.columns[column]

    def where(self, keep: Bool[ndarray, " n"]) -> "EmbeddingTable":
        """The rows that `keep` marks."""
        columns = {name: column[keep] for name, column in self.columns.items()}
        return EmbeddingTable(self.features[keep], columns, self.provenance)

    def write(self, folder: Path, settings: str | None = None) -> None:
        """Write to a folder, which appears whole or not at all. settings: of the embedding, as YAML, to lie beside.

        Raises UserError where it cannot be written.
        """
        identities = identity_table(self.columns, self.provenance)
        with replacing(Path(folder)) as temporary:
            temporary.mkdir(parents=True)
            pq.write_table(identities, temporary / IDS_FILE)
            # safetensors' own save_file hides the error number of a full disk
            (temporary / FEATURES_FILE).write_bytes(save({"features": np.ascontiguousarray(self.features)}))
            if settings is not None:
                (temporary / SETTINGS_FILE).write_text(settings, encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> "EmbeddingTable":
        """Read a folder. Raises UserError where it is missing, broken, or its two files do not belong together."""
        folder = Path(folder)
        for name in (IDS_FILE, FEATURES_FILE):
            if not (folder / name).is_file():
                raise UserError(f"no embedding table here: {name} is missing", where=folder, fix="Run `hlss embed`.")
        try:
            table = pq.read_table(folder / IDS_FILE)
            features = load_file(folder / FEATURES_FILE)["features"]
            provenance = json.loads((table.schema.metadata or {}).get(b"hlss", b"{}"))
            misfit = _misfit(features, dict.fromkeys(table.column_names, table.num_rows))
            columns = {} if misfit else {name: _column(table[name], name in PLACES) for name in table.column_names}
        except (OSError, pa.ArrowException, SafetensorError, KeyError, ValueError, TypeError) as error:
            raise UserError(f"broken embedding table: {error!s:.200}", where=folder, fix=_FIX) from error
        if misfit is not None:
            raise UserError(f"broken embedding table: {misfit}", where=folder, fix=_FIX)
        return cls(features, columns, provenance)


def stored_provenance(folder: Path) -> dict[str, Any]:
    """The provenance of a table in a folder, whose rows are not read. Raises UserError where it cannot be read."""
    try:
        return dict(json.loads((pq.read_schema(folder / IDS_FILE).metadata or {}).get(b"hlss", b"{}")))
    except (OSError, pa.ArrowException, ValueError, TypeError) as error:
        raise UserError(f"broken embedding table: {error!s:.200}", where=folder, fix=_FIX) from error


def identity_table(columns: Mapping[str, Shaped[ndarray, " _"]], provenance: Mapping[str, Any]) -> pa.Table:
    """The columns (PLACES as integers, all others as strings) with the provenance as JSON in the metadata."""
    metadata = {"hlss": json.dumps(dict(provenance), allow_nan=False, default=str)}
    types = {name: pa.int64() if name in PLACES else pa.string() for name in columns}
    arrays = {name: pa.array(column.tolist(), types[name]) for name, column in columns.items()}
    return pa.table(arrays, metadata=metadata)


def _column(stored: Any, integers: bool) -> Shaped[ndarray, " n"]:
    values = stored.to_pylist()
    if integers:
        return np.array(values, dtype=np.int64)
    return np.array(["" if value is None else str(value) for value in values], dtype=object)


def _misfit(features: ndarray, lengths: Mapping[str, int]) -> str | None:
    """What is wrong with features beside columns of these lengths; None where they fit."""
    missing = sorted({*COLUMNS, *PLACES} - set(lengths))
    if missing:
        return f"columns {', '.join(missing)} are missing"
    if features.ndim != 2 or features.dtype != np.float32:
        return f"features are {features.dtype} of shape {features.shape}, not float32 of shape (n, d)"
    wrong = {name: length for name, length in lengths.items() if length != len(features)}
    if wrong:
        name, length = next(iter(wrong.items()))
        return f"{len(features)} features, but {length} rows of `{name}`"
    return None
