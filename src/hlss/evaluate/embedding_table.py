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
_IDS, _FEATURES = "patches.parquet", "features.safetensors"


@dataclass(frozen=True, eq=False)
class EmbeddingTable:
    """One row a patch.

    features: (n, d) float32, z of each patch, not normalised.
    columns:  patient, slide, site, image, label, side as strings (label and site "" where there is none), and
              x_px0, y_px0 (level-0 px of the image) as integers.
    provenance: code version, config hash, data hash, method, checkpoint, seed, fold, hardware, time and so on.
    """

    features: Float32[ndarray, "n d"]
    columns: Mapping[str, Shaped[ndarray, " n"]]
    provenance: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, column: str) -> Shaped[ndarray, " n"]:
        return self.columns[column]

    def where(self, keep: Bool[ndarray, " n"]) -> "EmbeddingTable":
        """The rows that `keep` marks."""
        columns = {name: column[keep] for name, column in self.columns.items()}
        return EmbeddingTable(self.features[keep], columns, self.provenance)

    def write(self, folder: Path) -> None:
        """Write to a folder, which appears whole or not at all. Raises UserError where it cannot be written."""
        metadata = {"hlss": json.dumps(dict(self.provenance), allow_nan=False, default=str)}
        table = pa.table({name: pa.array(column.tolist()) for name, column in self.columns.items()}, metadata=metadata)
        with replacing(Path(folder)) as temporary:
            temporary.mkdir(parents=True)
            pq.write_table(table, temporary / _IDS)
            (temporary / _FEATURES).write_bytes(save({"features": np.ascontiguousarray(self.features)}))

    @classmethod
    def read(cls, folder: Path) -> "EmbeddingTable":
        """Read a folder. Raises UserError where it is missing, broken, or its two files do not belong together."""
        folder = Path(folder)
        if not (folder / _IDS).exists():
            raise UserError(f"no embedding table here: {_IDS} is missing", where=folder, fix="Run `hlss embed` first.")
        try:
            table = pq.read_table(folder / _IDS)
            features = load_file(folder / _FEATURES)["features"]
        except (OSError, pa.ArrowException, SafetensorError, KeyError) as error:
            raise UserError(
                f"broken embedding table: {error!s:.200}", where=folder, fix="Run `hlss embed` again."
            ) from error
        missing = {*COLUMNS, *PLACES} - set(table.column_names)
        if missing or len(features) != table.num_rows:
            what = (
                f"columns {sorted(missing)} are missing"
                if missing
                else f"{len(features)} features, {table.num_rows} rows"
            )
            raise UserError(f"broken embedding table: {what}", where=folder, fix="Run `hlss embed` again.")
        columns = {
            name: np.array(table[name].to_pylist(), dtype=np.int64 if name in PLACES else object)
            for name in table.column_names
        }
        provenance = json.loads((table.schema.metadata or {}).get(b"hlss", b"{}"))
        return cls(features, columns, provenance)
