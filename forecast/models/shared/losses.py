"""Losses of the point forecast, one function each; `LossName` in settings.py lists their names."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from forecast.settings import LossName

# of each error, actual minus forecast in scaled units
POINT_LOSSES: dict[LossName, Callable[[Tensor], Tensor]] = {
    "quantile": torch.abs,  # of the median, together with those of all other levels
    "mae": torch.abs,
    "mse": torch.square,
    "huber": lambda error: functional.huber_loss(error, torch.zeros_like(error), reduction="none"),
}
