"""What lies over all slides of a tile folder: index.parquet and problems.json, made from the records of each."""

from base64 import b64decode
from collections.abc import Sequence
from typing import Any

from hlss.cohorts.cut import IDENTITY
from hlss.files import replacing, write_json
from hlss.jobs.notes import Record
from hlss.jobs.tile_folder import TileFolder
from hlss.jobs.tile_slides import SlideFile

ROWS_AT_ONCE = 1024  # slides: the bits of their grids are what takes memory


def summarised(folder: TileFolder, slides: Sequence[SlideFile]) -> tuple[int, list[Record]]:
    """Write problems.json, and index.parquet where every slide has tiles or a problem.

    Returns how many have neither yet, and the problems.
    """
    problems, missing = [], 0
    for _, done, problem in folder.records(slides):
        if problem is not None:
            problems.append({key: problem[key] for key in ("slide", "path", "reason")})
        missing += done is None and problem is None
    write_json(folder.path / "problems.json", problems)
    if not missing:
        _write_index(folder, slides)
    return missing, problems


def _write_index(folder: TileFolder, slides: Sequence[SlideFile]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema()
    with replacing(folder.index) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
        rows: list[dict[str, Any]] = []
        for _, done, _ in folder.records(slides):
            if done is not None:
                rows.append(_row(done))
            if len(rows) == ROWS_AT_ONCE:
                writer.write_table(pa.Table.from_pylist(rows, schema))
                rows = []
        writer.write_table(pa.Table.from_pylist(rows, schema))


def _row(done: Record) -> dict[str, Any]:
    return {
        **{key: done[key] for key in ("name", "path", "hash", *IDENTITY, "mpp", "mpp_given", "tile_px0", "step_px0")},
        **{key: done[key] for key in ("columns", "lines", "n_tiles", "tissue_share")},
        "width_px0": done["size_px0"][0],
        "height_px0": done["size_px0"][1],
        "origin_x_px0": done["origin_px0"][0],
        "origin_y_px0": done["origin_px0"][1],
        "bits": None if done["bits"] is None else b64decode(done["bits"]),
    }


def _schema() -> Any:
    import pyarrow as pa

    return pa.schema(
        [
            *((name, pa.string()) for name in ("name", "path", "hash", *IDENTITY)),
            *((name, pa.float64()) for name in ("mpp", "mpp_given")),
            *((name, pa.int32()) for name in ("width_px0", "height_px0", "tile_px0", "origin_x_px0", "origin_y_px0")),
            *((name, pa.int32()) for name in ("step_px0", "columns", "lines")),
            ("n_tiles", pa.int64()),
            ("bits", pa.binary()),  # null: every cell is a tile
            ("tissue_share", pa.float64()),
        ]
    )
