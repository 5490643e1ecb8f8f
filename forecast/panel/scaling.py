"""Scale each window by its own past; transforms of the target; statistics of the covariates."""

import torch
from torch import Tensor

from forecast.settings import ScalingName

FLAT = 1e-3  # a window that moves less than this share of its series' own past counts as flat


def scale_windows(values: Tensor, mask: Tensor, spread: Tensor, scaling: ScalingName) -> tuple[Tensor, Tensor, Tensor]:
    """Location, scale and loss weight of windows, from the observed values of each window's past only.

    Parameters
    ----------
    values, mask : [batch, lookback]
    spread : [batch], standard deviation of each series' own past up to the window's end: the scale of a flat window
    scaling : standard (mean, deviation), robust (median, interquartile range), mean (0, mean absolute value),
        last (last value, deviation), none

    Returns
    -------
    location, scale : [batch, 1], scale > 0
    weight : [batch], scale relative to the level: the loss then counts errors relative to the level, as sMAPE does;
        0 for a window without variation, which teaches nothing
    """
    count = mask.sum(1, keepdim=True).clamp(min=1)
    held = torch.where(mask, values, 0.0)
    mean = held.sum(1, keepdim=True) / count
    level = held.abs().sum(1, keepdim=True) / count
    deviation = torch.where(mask, (values - mean).square(), 0.0).sum(1, keepdim=True).div(count).sqrt()
    if scaling == "none":
        location, scale = torch.zeros_like(mean), torch.ones_like(mean)
    elif scaling == "mean":
        location, scale = torch.zeros_like(mean), level
    elif scaling == "last":
        location, scale = _last(values, mask), deviation
    elif scaling == "robust":
        blank = torch.where(mask, values, torch.nan)
        low, location, high = blank.nanquantile(blank.new_tensor([0.25, 0.5, 0.75]), dim=1, keepdim=True).nan_to_num()
        scale = torch.maximum((high - low) / 1.349, 0.1 * deviation)  # 1.349: the range of a unit normal
    else:
        location, scale = mean, deviation
    own = spread[:, None].to(values.dtype)
    flat = deviation <= FLAT * own
    scale = torch.where(flat & (scale <= FLAT * own), own, scale)
    still = (own <= 0) | (scale <= 0) | ~mask.any(1, keepdim=True)
    location, scale = torch.where(still, mean, location), torch.where(still, 1.0, scale)
    moved = torch.where(flat, own, deviation)
    weight = moved / (level + moved).clamp(min=torch.finfo(level.dtype).tiny)
    return location, scale, torch.where(still, 0.0, weight)[:, 0]


def _last(values: Tensor, mask: Tensor) -> Tensor:
    steps = torch.arange(1, values.shape[1] + 1, device=values.device)
    newest = (mask * steps).argmax(1, keepdim=True)
    return torch.where(mask.any(1, keepdim=True), values.gather(1, newest), 0.0)
