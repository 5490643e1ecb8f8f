"""The pretrained GRU (Cho et al. 2014), trained further on the panel, with its other columns."""

from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from forecast.models.shared.building import to_tensors
from forecast.models.shared.model import RecurrentModel, Shape
from forecast.models.shared.pretrained import Pretrained
from forecast.models.shared.pretrained_windows import INPUTS, PretrainedWindows, both_ways
from forecast.pretrained.features import TOKEN
from forecast.pretrained.forecasting import network_for
from forecast.windows.windows import Batch

GAIN = 20.0  # of the maps of other columns, which start from nothing at a low learning rate


class Network(RecurrentModel):
    """The network that ships, on its own scale; other columns come in by maps that start at zero."""

    starts_trained, rate_share = True, 0.25

    def __init__(self, params: Any, shape: Shape) -> None:
        super().__init__(params, shape)
        del self.gates, self.effects  # seasons come in by its features, known columns by `direct`
        weights = network_for(shape.seasons).weights
        width, blocks = (
            len(weights["after.weight"]),
            sum(".before.weight" in name for name in weights),
        )
        self.network = Pretrained(width, blocks)
        self.network.load_state_dict(to_tensors(weights))
        self.of_past = nn.Parameter(torch.zeros(TOKEN * self.shape.past, width))
        self.of_future = nn.Parameter(torch.zeros(TOKEN * self.shape.future, width))
        self.direct = nn.Parameter(
            torch.zeros(self.shape.future)
        )  # what known columns add to their own step
        self.of_static = nn.Parameter(torch.zeros(self.shape.static, width))

    def outputs(self, batch: Batch) -> Tensor:
        windows, run = (
            PretrainedWindows.of(batch, self.shape.seasons, self.shape.horizon),
            partial(self.core, batch),
        )
        levels = self.shape.levels
        if not self.training:
            return torch.as_tensor(both_ways(windows, run, levels))
        return torch.as_tensor(
            windows.at_levels(windows.quantiles(run, _every_other(batch)), levels)
        )

    def core(self, batch: Batch, arrays: dict[str, Tensor]) -> Tensor:
        tokens, base, gated, unit, sign = (arrays[name] for name in INPUTS)
        batch = self._embed(batch)
        columns = self._of_columns(batch) * sign[:, None, None]
        shift = unit[:, None] * (batch.future_covariates @ (GAIN * self.direct)) * sign[:, None]
        quantiles: Tensor = (
            self.network(tokens, base, gated, unit, columns)[:, : self.shape.horizon]
            + shift[..., None]
        )
        return quantiles

    def example(self, batch: Batch) -> dict[str, Tensor]:
        windows = PretrainedWindows.of(batch, self.shape.seasons, self.shape.horizon)
        return windows.inputs(_every_other(batch))[1]

    def _of_columns(self, batch: Batch) -> Tensor:
        """What the other columns add to each token, [batch, tokens, width]."""
        past = functional.pad(batch.past_covariates, (0, 0, -self.shape.lookback % TOKEN, 0))
        future = functional.pad(batch.future_covariates, (0, 0, 0, -self.shape.horizon % TOKEN))
        added = torch.cat([_by_token(past) @ self.of_past, _by_token(future) @ self.of_future], 1)
        total: Tensor = GAIN * (added + (batch.static @ self.of_static)[:, None])
        return total


def _every_other(batch: Batch) -> NDArray[np.bool_]:
    return np.asarray(np.arange(len(batch)) % 2 == 1)


def _by_token(columns: Tensor) -> Tensor:
    """[batch, steps, columns] as [batch, tokens, columns of all steps of a token]."""
    windows, steps, width = columns.shape
    return columns.reshape(windows, int(steps) // TOKEN, TOKEN * int(width))
