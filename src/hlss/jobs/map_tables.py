"""The tiles of a mapped slide as CSV, Parquet and AnnData: a row a tile, all characteristics side by side."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from jaxtyping import Float32, UInt8
from numpy import ndarray

from hlss.embedding_table import EmbeddingTable
from hlss.jobs.map_ground import Ground

_IDENTITIES = ("patient", "slide", "site", "image", "label", "side")


def tile_table(
    table: EmbeddingTable,
    ground: Ground,
    names: Sequence[str],
    cosine: Float32[ndarray, "n k"],
    sigma: Float32[ndarray, "n k"],
) -> pa.Table:
    """Identities (side: of the split), corner and side of each tile (px of level 0), cosine and σ by characteristic."""
    columns: dict[str, Any] = {name: table[name][ground.rows].tolist() for name in _IDENTITIES}
    columns |= dict(zip(("x_px0", "y_px0"), ground.lattice.xy_px0.T, strict=True))
    columns["tile_px0"] = np.full(len(ground.rows), ground.lattice.side_px0)
    for number, name in enumerate(names):
        columns |= {f"{name}: cosine": cosine[:, number], f"{name}: sigma": sigma[:, number]}
    return pa.table(columns)


def write_tables(folder: Path, tiles: pa.Table, facts: dict[str, Any], kinds: Sequence[str]) -> None:
    """`tiles.csv` and `tiles.parquet`; facts: as JSON in the metadata of the latter."""
    if "csv" in kinds:
        pa.csv.write_csv(tiles, folder / "tiles.csv")
    if "parquet" in kinds:
        pq.write_table(tiles.replace_schema_metadata({b"hlss": _json(facts)}), folder / "tiles.parquet")


def anndata_there() -> bool:
    """Whether the extra is installed."""
    from importlib.util import find_spec

    return find_spec("anndata") is not None


def write_anndata(
    path: Path,
    tiles: pa.Table,
    ground: Ground,
    names: Sequence[str],
    scores: tuple[Float32[ndarray, "n k"], Float32[ndarray, "n k"]],
    overview: UInt8[ndarray, "h w 3"] | None,
    facts: dict[str, Any],
) -> None:
    """As scanpy and squidpy want it: obs the tiles, var the characteristics, X σ, layers["cosine"], obsm["spatial"] the
    middles of the tiles (px of level 0), uns["spatial"] the slide's picture and its scale. Needs the
    extra `anndata`: ask `anndata_there`. scores: (cosine, σ).
    """
    import anndata
    import pandas as pd

    def index(values: Sequence[Any]) -> Any:  # of objects: anndata 0.12 cannot write the strings of pandas 3
        return pd.Index([str(value) for value in values], dtype=object)

    obs = {
        name: pd.Categorical(column, categories=index(sorted(set(column))))
        for name in _IDENTITIES
        for column in [tiles[name].to_pylist()]
    }
    side = ground.lattice.side_px0
    picture: dict[str, Any] = {"scalefactors": {"spot_diameter_fullres": float(side)}}
    if overview is not None:
        scale = overview.shape[1] / ground.size_px0[0]
        picture["images"] = {"hires": overview}
        picture["scalefactors"]["tissue_hires_scalef"] = float(scale)
    made = anndata.AnnData(
        X=scores[1],
        obs=pd.DataFrame(obs, index=index(range(tiles.num_rows))),
        var=pd.DataFrame(index=index(names)),
        layers={"cosine": scores[0]},
        obsm={"spatial": ground.lattice.xy_px0 + side / 2},
        uns={"spatial": {ground.name.replace("/", "_"): picture}, "hlss": _json(facts).decode()},
    )
    made.write_h5ad(path)


def _json(facts: dict[str, Any]) -> bytes:
    return json.dumps(facts, ensure_ascii=False, allow_nan=False, default=str).encode()
