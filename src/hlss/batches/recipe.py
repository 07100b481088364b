"""How tiles are seen: every probability and range of the views, as data, with presets to start from."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from hlss.config import Part


def _ordered(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[0] > bounds[1]:
        raise ValueError("the first bound must not exceed the second")
    return bounds


Chance = Field(default=0.0, ge=0, le=1)
Share = Annotated[float, Field(ge=0, le=1)]
PositiveShare = Annotated[float, Field(gt=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Shares = Annotated[tuple[Share, Share], AfterValidator(_ordered)]
PositiveShares = Annotated[tuple[PositiveShare, PositiveShare], AfterValidator(_ordered)]
Positives = Annotated[tuple[Positive, Positive], AfterValidator(_ordered)]


class Flip(Part):
    """With probability p."""

    p: float = Chance


class Affine(Part):
    """Rotation within ±degrees and shift within ±translate (of width, height), filled with black."""

    p: float = Chance
    degrees: float = Field(default=10.0, ge=0, le=180)
    translate: tuple[Share, Share] = (0.1, 0.3)


class Crop(Part):
    """A rectangle of this share of the area and this ratio of width to height, resized to the whole view. The whole
    tile where none of ten rectangles drawn fits in.
    """

    p: float = Chance
    scale: PositiveShares = (0.08, 1.0)
    ratio: Positives = (3 / 4, 4 / 3)


class Noise(Part):
    """Gaussian, σ uniform in `sigma` (of the range 0..1), independent for each pixel and channel."""

    p: float = Chance
    sigma: Shares = (0.01, 0.1)


class Stain(Part):
    """H&E stain strength, in optical-density space: each stain's concentration is multiplied within 1 ± strength and
    shifted within ± shift (of an optical density of 1). Stain vectors: Ruifrok and Johnston 2001.
    """

    p: float = Chance
    strength: float = Field(default=0.2, ge=0, le=1)
    shift: float = Field(default=0.05, ge=0, le=1)


class Colour(Part):
    """Brightness, contrast (about the tile's mean grey) and saturation within 1 ± value, hue within ± value turns (in
    the plane of equal luma, YIQ).
    """

    p: float = Chance
    brightness: float = Field(default=0.0, ge=0, le=1)
    contrast: float = Field(default=0.0, ge=0, le=1)
    saturation: float = Field(default=0.0, ge=0, le=1)
    hue: float = Field(default=0.0, ge=0, le=0.5)


class Solarize(Part):
    """Values of at least `threshold` (of 0..1) are inverted."""

    p: float = Chance
    threshold: float = Field(default=0.2, ge=0, le=1)


class Sharpness(Part):
    """factor 1 changes nothing, 0 is a smoothed view, 2 overshoots away from it."""

    p: float = Chance
    factor: float = Field(default=2.0, ge=0)


class Blur(Part):
    """Gaussian, kernel of 5 pixels, σ uniform in `sigma` pixels."""

    p: float = Chance
    sigma: Positives = (1.0, 1.0)


class Erase(Part):
    """A black rectangle of this share of the area and this ratio of height to width; none where none of ten fits."""

    p: float = Chance
    scale: PositiveShares = (0.02, 0.33)
    ratio: Positives = (0.3, 3.3)


HIDISC = ("hflip", "vflip", "noise", "autocontrast", "solarize", "sharpness", "blur", "affine", "crop", "erase")
PRESETS: dict[str, dict[str, Any]] = {
    "none": {},
    # SPEC §5: each with probability 0.5, as the released code has it; colour jitter off, for no range is given
    "hidisc": {op: {"p": 0.5} for op in HIDISC},
    "he": {
        "hflip": {"p": 0.5},
        "vflip": {"p": 0.5},
        "transpose": {"p": 0.5},
        "crop": {"p": 1.0, "scale": (0.4, 1.0)},
        "stain": {"p": 0.8},
        "colour": {"p": 0.5, "brightness": 0.1, "contrast": 0.1, "saturation": 0.1, "hue": 0.02},
        "blur": {"p": 0.2, "sigma": (0.3, 1.2)},
        "noise": {"p": 0.2, "sigma": (0.005, 0.03)},
    },
}


class ViewSpec(Part):
    """A preset and any change to it, as in `{preset: hidisc, blur: {p: 0.3}}`.

    hidisc: the recipe of HiDisc (SPEC §5). he: turns, crops and stain jitter for H&E. none: resized only.
    """

    preset: Literal["hidisc", "he", "none"] = "he"
    hflip: Flip = Flip()
    vflip: Flip = Flip()
    transpose: Flip = Flip()
    affine: Affine = Affine()
    crop: Crop = Crop()
    noise: Noise = Noise()
    stain: Stain = Stain()
    colour: Colour = Colour()
    autocontrast: Flip = Flip()
    solarize: Solarize = Solarize()
    sharpness: Sharpness = Sharpness()
    blur: Blur = Blur()
    erase: Erase = Erase()

    @model_validator(mode="before")
    @classmethod
    def _from_preset(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        preset = PRESETS.get(str(given.get("preset", "he")), {})
        changed = {op: {**preset.get(op, {}), **value} for op, value in given.items() if isinstance(value, dict)}
        return {**preset, **given, **changed}
