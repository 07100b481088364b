"""What TRIDENT's HDF5 of coordinates says of itself."""

from typing import Any

UM_PX_AT_1X = 10.0  # 0.5 µm/px is 20×, 0.25 is 40×
NEAR = 0.02  # a magnification this near a whole number is written as that


def trident_attributes(
    name: str,
    tile_px: int | None,
    mpp: float | None,
    mpp0: float | None,
    *,
    extent_px0: int | None = None,
    size_px0: tuple[int, int] | None = None,
    overlap_px: int | None = None,
    folder: str | None = None,
) -> dict[str, Any]:
    """What TRIDENT writes beside `coords`, of what is known (None: left out). mpp None: tiles are as level 0 has them;
    mpp, mpp0: µm/px of tiles, of level 0; extent_px0: side of a tile, px of level 0; size_px0: of the slide.
    """
    target = mpp0 if mpp is None else mpp
    width, height = size_px0 or (None, None)
    facts = {
        "patch_size": tile_px,
        "patch_size_level0": extent_px0,
        "level0_magnification": None if mpp0 is None else magnification(mpp0),
        "target_magnification": None if target is None else magnification(target),
        "overlap": overlap_px,
        "level0_width": width,
        "level0_height": height,
        "name": name,
        "savetodir": folder,
    }
    return {fact: value for fact, value in facts.items() if value is not None}


def magnification(mpp: float) -> int | float:
    """The field's word for a resolution: a whole number where it is near one."""
    exact = UM_PX_AT_1X / mpp
    whole = round(exact)
    return whole if abs(exact - whole) <= NEAR * exact else exact
