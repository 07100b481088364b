"""`hlss export features`: an embedding table in the formats of other tools: TRIDENT's HDF5, AnnData, Parquet."""

import csv
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Int64
from numpy import ndarray

from hlss.cohorts.paths import file_names
from hlss.cohorts.write.features import Geometry, write_slide_features
from hlss.embedding_table import PLACES, EmbeddingTable, identity_table
from hlss.errors import UserError
from hlss.files import refuse_filled, replacing
from hlss.jobs.chosen_table import table_of

Format = Literal["trident", "anndata", "parquet"]
SLIDES_FILE = "slides.csv"
_ROWS = 1 << 16  # of a row group of Parquet
_MANIFEST = ("slide_id", "patient_id", "label", "site", "split")


def export_features(what: Path, kind: Format, out: Path) -> Path:
    """Write the table of a run, or a table, to `out`: a folder (trident) or a file. Returns it. Raises UserError."""
    table = EmbeddingTable.read(table_of(what))
    writers: Mapping[str, Callable[[EmbeddingTable, Path], None]] = {
        "trident": write_trident,
        "anndata": write_anndata,
        "parquet": write_parquet,
    }
    writers[kind](table, out)
    return out


def write_trident(table: EmbeddingTable, out: Path) -> None:
    """`NAME.h5` for each slide, and `slides.csv` (slide_id, patient_id, label, site, split) over them, which together
    are what the cohort source `features_hdf5` reads. The folder appears whole. Raises UserError for a slide of several
    images, whose places are not of one frame, and for a folder that holds something.
    """
    refuse_filled(out)
    groups = _slides(table)
    names = file_names([str(table["slide"][rows[0]]) for rows in groups])
    places = np.stack([table[axis] for axis in PLACES], axis=1)
    with replacing(out) as temporary:
        temporary.mkdir()
        with (temporary / SLIDES_FILE).open("w", newline="", encoding="utf-8") as file:
            manifest = csv.writer(file)
            manifest.writerow(_MANIFEST)
            for name, rows in zip(names, groups, strict=True):
                who = (str(table[column][rows[0]]) for column in ("patient", "label", "site", "side"))
                manifest.writerow((name, *who))
                path, geometry = temporary / f"{name}.h5", _geometry(table, int(rows[0]))
                write_slide_features(path, table.features[rows], places[rows], geometry, str(out))


def write_parquet(table: EmbeddingTable, out: Path) -> None:
    """One file: identities, places, and `features` as lists of fixed size; provenance as JSON in its metadata."""
    width = table.features.shape[1]
    identities = identity_table(table.columns, table.provenance)
    schema = identities.schema.append(pa.field("features", pa.list_(pa.float32(), width)))
    with replacing(_file(out)) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        for start in range(0, len(table), _ROWS):
            part = identities.slice(start, _ROWS)
            flat = pa.array(np.ascontiguousarray(table.features[start : start + _ROWS]).reshape(-1))
            features = pa.FixedSizeListArray.from_arrays(flat, width)
            writer.write_table(pa.table([*part.columns, features], schema=schema))


def write_anndata(table: EmbeddingTable, out: Path) -> None:
    """One .h5ad: X the features, obs the identities, obsm["spatial"] the places (level-0 px of each row's image), and
    uns["hlss"] the provenance. Raises UserError without the extra `anndata`.
    """
    try:
        import anndata
        import pandas as pd
    except ImportError as error:
        raise UserError("AnnData is not installed", where="--as", fix="Run: pip install 'hlss[anndata]'") from error

    def names(values: Iterable[Any]) -> Any:  # of objects: anndata 0.12 cannot write the strings of pandas 3
        return pd.Index([str(value) for value in values], dtype=object)

    columns = {
        name: pd.Categorical(column.tolist(), categories=names(sorted(set(column.tolist()))))
        for name, column in table.columns.items()
        if name not in PLACES
    }
    made = anndata.AnnData(
        X=table.features,
        obs=pd.DataFrame(columns, index=names(range(len(table)))),
        var=pd.DataFrame(index=names(range(table.features.shape[1]))),
        obsm={"spatial": np.stack([table[axis] for axis in PLACES], axis=1)},
        uns={"hlss": {key: _plain(value) for key, value in table.provenance.items() if value is not None}},
    )
    with replacing(_file(out)) as temporary:
        made.write_h5ad(temporary)


def _slides(table: EmbeddingTable) -> list[Int64[ndarray, " k"]]:
    """Rows of each slide, in the order in which slides first appear."""
    number: dict[tuple[str, str], int] = {}
    who = zip(table["patient"].tolist(), table["slide"].tolist(), strict=True)
    of = np.array([number.setdefault(key, len(number)) for key in who], dtype=np.int64)
    groups = np.split(np.argsort(of, kind="stable"), np.cumsum(np.bincount(of))[:-1])
    for rows in groups:
        if len(images := dict.fromkeys(table["image"][rows].tolist())) > 1:
            what = f"slide {table['slide'][rows[0]]!r} has {len(images)} images; this layout has one frame a slide"
            raise UserError(what, where="--as trident", fix="Export it as parquet or anndata.")
    return groups


def _geometry(table: EmbeddingTable, row: int) -> Geometry:
    """What the table says of the tiles of this row's slide; tables of earlier versions say nothing."""
    facts = table.provenance
    mpp0 = str(table["mpp0"][row]) if "mpp0" in table.columns else ""
    if "tile_px" not in facts:
        return Geometry(mpp0=float(mpp0) if mpp0 else None)
    return Geometry(facts["tile_px"], facts.get("mpp"), float(mpp0) if mpp0 else None)


def _file(out: Path) -> Path:
    if out.is_dir():
        raise UserError("this is a folder, a file is written", where=out, fix="Name a file for --out.")
    return out


def _plain(value: Any) -> Any:
    """What HDF5 holds as it is; anything else as JSON."""
    return value if isinstance(value, str | bool | int | float) else json.dumps(value, default=str)
