"""Evidence tiles of explanations, as PNG files."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hlss.errors import UserError
from hlss.files import replacing
from hlss.jobs.explain_sources import Source
from hlss.jobs.table_pixels import OTHER_SETTINGS, TablePixels, other_settings, png_of

FOLDER, SIDE_PX = "evidence", 256


class EvidenceTiles:
    """Writes each patch once; where pixels cannot be had, says so once and writes none.

    notices: what must be said.
    """

    def __init__(self, source: Source, folder: Path) -> None:
        self._table, self._folder = source.table, folder / FOLDER
        self._written: dict[int, str | None] = {}
        self.notices = [OTHER_SETTINGS] if other_settings(source.table, source.experiment) else []
        self._pixels: TablePixels | None = None
        try:
            self._pixels = TablePixels(source.table, source.experiment)
        except UserError as error:
            self.notices.append(f"no evidence tiles: {error}")

    def tiles(self, found: Iterable[tuple[int, float]]) -> list[dict[str, Any]]:
        """Place, σ and file (relative to the output; None: not to be had) of each row."""
        return [self._place(row) | {"sigma": sigma, "file": self._file(row)} for row, sigma in found]

    def _place(self, row: int) -> dict[str, Any]:
        table = self._table
        return {
            "patient": str(table["patient"][row]),
            "slide": str(table["slide"][row]),
            "x_px0": int(table["x_px0"][row]),
            "y_px0": int(table["y_px0"][row]),
        }

    def _file(self, row: int) -> str | None:
        if self._pixels is None:
            return None
        if row not in self._written:
            self._written[row] = self._write(row, self._pixels)
        return self._written[row]

    def _write(self, row: int, pixels: TablePixels) -> str | None:
        try:
            png = png_of(pixels.read(row), SIDE_PX)
        except UserError as error:
            self.notices.append(f"an evidence tile could not be read: {error}")
            return None
        place = self._place(row)
        slide = re.sub(r"[^\w-]+", "-", place["slide"]).strip("-")[:80]
        name = f"{slide}-x{place['x_px0']}-y{place['y_px0']}-{row}.png"
        self._folder.mkdir(parents=True, exist_ok=True)
        with replacing(self._folder / name) as temporary:
            temporary.write_bytes(png)
        return f"{FOLDER}/{name}"
