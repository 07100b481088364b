"""The same views by torch, batched, on whatever device the tiles are: same parameters, same order as OpenCV's."""

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 — torch's own name for it
from jaxtyping import Float, UInt8
from numpy import ndarray
from torch import Tensor

from hlss.batches.draw import ViewParams
from hlss.batches.opencv import SHARPEN, halvings, tone_table


def views_of_batch(
    tiles: UInt8[Tensor, "b 3 h h"], params: ViewParams, count: int, out_px: int
) -> UInt8[Tensor, "n 3 p p"]:
    """`count` views of each tile, n = b · count, on the tiles' device; parameters in the same order.

    Values are rounded to 1/255 where the other executor rounds too. Noise is drawn on the device from the same keys:
    equal in distribution, not in value.
    """
    device = tiles.device
    view = _resampled(tiles, params, count, out_px)
    view = _stained(view, params)
    view = _coloured(view, tiles, params, count)
    view = _noisy(view, params)
    view = _toned(view, tiles, params, count)
    factor = _column(params.sharpness, device)
    smooth = _filtered(view, torch.from_numpy(SHARPEN).to(device))
    view = torch.where(factor == 1, view, _rounded(view * factor + smooth.round() * (1 - factor)))
    view = _blurred(view, params.blur)
    view = view * ~_boxes(params.erase, out_px, device)
    return view.to(torch.uint8)


def _resampled(tiles: Tensor, params: ViewParams, count: int, out_px: int) -> Float[Tensor, "n 3 p p"]:
    levels = np.array([halvings(params, i, tiles.shape[-1], out_px) for i in range(len(params))])
    places = (torch.arange(out_px, device=tiles.device) + 0.5) / out_px
    corner = torch.stack(
        (*torch.meshgrid(places, places, indexing="xy"), torch.ones(out_px, out_px, device=tiles.device)), -1
    )
    matrix = torch.from_numpy(params.matrix).float().to(tiles.device)
    place = torch.einsum("hwc,nrc->nhwr", corner, matrix)  # in the tile, in units of its side
    view = torch.empty(len(params), 3, out_px, out_px, device=tiles.device)
    source = tiles.float()
    for level in range(int(levels.max()) + 1):
        source = source if level == 0 else _halved(source)
        grid_per_side = 2 * tiles.shape[-1] / 2**level / source.shape[-1]
        for inside, padding in ((True, "border"), (False, "zeros")):
            chosen = np.flatnonzero((levels == level) & (params.inside == inside))
            if len(chosen):
                wanted = torch.from_numpy(chosen).to(tiles.device)
                grid = place[wanted] * grid_per_side - 1
                view[wanted] = F.grid_sample(source[wanted // count], grid, padding_mode=padding, align_corners=False)
    return _rounded(view)


def _halved(source: Tensor) -> Tensor:
    odd = source.shape[-1] % 2
    return _rounded(F.avg_pool2d(F.pad(source, (0, odd, 0, odd), mode="replicate"), 2))


def _stained(view: Tensor, params: ViewParams) -> Tensor:
    densities = -torch.log((view + 1) / 256)
    stain = torch.from_numpy(params.stain).float().to(view.device)
    changed = torch.einsum("nba,nahw->nbhw", stain[:, :, :3], densities) + stain[:, :, 3, None, None]
    return torch.where(_column(params.stained, view.device), _rounded(torch.exp(-changed) * 256 - 1), view)


def _coloured(view: Tensor, tiles: Tensor, params: ViewParams, count: int) -> Tensor:
    grey = torch.tensor([0.299, 0.587, 0.114], device=view.device)
    mean = torch.einsum("bchw,c->b", tiles.float(), grey) / (tiles.shape[-1] * tiles.shape[-2])
    contrast = _column(params.contrast, view.device)
    colour = torch.from_numpy(params.colour).float().to(view.device)
    changed = contrast * torch.einsum("nba,nahw->nbhw", colour, view)
    middle = colour.sum(dim=2) * mean.repeat_interleave(count)[:, None]  # n 3: the tile's mean grey, coloured
    changed = _rounded(changed + (1 - contrast) * middle[:, :, None, None])
    return torch.where(_column(params.coloured, view.device), changed, view)


def _noisy(view: Tensor, params: ViewParams) -> Tensor:
    noisy = np.flatnonzero(params.noise > 0)
    result = view.clone()
    for i in noisy.tolist():
        generator = torch.Generator(view.device).manual_seed(int(params.noise_key[i]))
        noise = torch.randn(view.shape[1:], generator=generator, device=view.device)
        result[i] = _rounded(view[i] + noise * float(params.noise[i]) * 255)
    return result


def _toned(view: Tensor, tiles: Tensor, params: ViewParams, count: int) -> Tensor:
    tables = np.tile(np.arange(256, dtype=np.float32)[:, None], (len(params), 1, 3))
    low, high = (bound(dim=(2, 3)).double().cpu().numpy() for bound in (tiles.amin, tiles.amax))
    for i in np.flatnonzero(params.autocontrast | (params.solarize <= 1)).tolist():
        bounds = low[i // count], high[i // count]
        tables[i] = tone_table(bounds, bool(params.autocontrast[i]), float(params.solarize[i])).reshape(256, 3)
    flat = torch.from_numpy(tables).to(view.device).transpose(1, 2)  # n 3 256
    return torch.gather(flat, 2, view.long().flatten(2)).view_as(view)


def _blurred(view: Tensor, sigmas: ndarray) -> Tensor:
    result = view.clone()
    for sigma in np.unique(sigmas[sigmas > 0]).tolist():
        weights = torch.exp(-0.5 * (torch.arange(-2, 3, device=view.device) / sigma) ** 2)
        weights = weights / weights.sum()
        chosen = torch.from_numpy(np.flatnonzero(sigmas == sigma)).to(view.device)
        result[chosen] = _rounded(_filtered(view[chosen], torch.outer(weights, weights)))
    return result


def _filtered(view: Tensor, kernel: Tensor) -> Tensor:
    margin = kernel.shape[0] // 2
    padded = F.pad(view, (margin,) * 4, mode="reflect")
    return F.conv2d(padded, kernel.expand(3, 1, *kernel.shape), groups=3)


def _boxes(erase: ndarray, out_px: int, device: torch.device) -> Tensor:
    left, top, right, bottom = torch.from_numpy(np.rint(erase * out_px)).to(device).T[:, :, None, None]
    place = torch.arange(out_px, device=device)
    return ((place >= left) & (place < right) & (place[:, None] >= top) & (place[:, None] < bottom))[:, None]


def _rounded(values: Tensor) -> Tensor:
    return torch.clamp(values.round(), 0, 255)


def _column(values: ndarray, device: torch.device) -> Tensor:
    column = torch.from_numpy(values).to(device)
    column = column.float() if column.is_floating_point() else column
    return column.view(-1, 1, 1, 1)
