"""How slides are cut: the settings of `hlss tile`."""

from pydantic import Field, model_validator

from hlss.config import Part
from hlss.files import digest
from hlss.slides.tissue import TissueSpec

_VERSION = 1  # of the cutting: folders that another version filled are not gone on with


class TileRecipe(Part):
    """Settings. Either `mpp` or `tile_um` says at which resolution tiles are cut.

    tile_px:    side of a tile, px.
    mpp:        of the tiles, µm/px: 0.5 is 20×, 0.25 is 40×.
    tile_um:    side of a tile, µm.
    overlap_px: shared by neighbours, px of the tile.
    min_tissue: share of a tile that must be tissue; 0 takes every tile, glass as well.
    slide_mpp:  µm/px of level 0 of slides that do not say it and of which no manifest does.
    allow_upsampling: cut slides that are coarser than the tiles, too; they are enlarged.
    reader:     of all slides; by default the first that takes a file.
    tissue:     what is tissue.
    """

    tile_px: int = Field(default=256, ge=8)
    mpp: float | None = Field(default=None, gt=0)
    tile_um: float | None = Field(default=None, gt=0)
    overlap_px: int = Field(default=0, ge=0)
    min_tissue: float = Field(default=0.25, ge=0, le=1)
    slide_mpp: float | None = Field(default=None, gt=0)
    allow_upsampling: bool = False
    reader: str | None = None
    tissue: TissueSpec = TissueSpec()

    @property
    def at_mpp(self) -> float:
        """Resolution of the tiles, µm/px."""
        return self.mpp if self.mpp is not None else (self.tile_um or 0.0) / self.tile_px

    @property
    def key(self) -> str:
        """Tells apart recipes that cut differently."""
        told = self.model_dump(mode="json", exclude={"mpp", "tile_um"})
        return digest([_VERSION, told, self.at_mpp])

    @model_validator(mode="after")
    def _one_resolution(self) -> "TileRecipe":
        if self.mpp is None and self.tile_um is None:
            raise ValueError("nothing says the resolution of the tiles. Set mpp=0.5 (µm/px: 20×), or tile_um=")
        if self.mpp is not None and self.tile_um is not None:
            raise ValueError("mpp and tile_um both say the resolution of the tiles. Set one of them")
        if self.overlap_px >= self.tile_px:
            raise ValueError(f"overlap_px must be less than tile_px ({self.tile_px})")
        return self
