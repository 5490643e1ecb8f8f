"""One linear map from the past to the horizon, without a state: what is mixed into networks (Zeng et al. 2023)."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from forecast.models.shared.model import RecurrentModel, Shape
from forecast.models.shared.parts import input_size, inputs
from forecast.windows.windows import Batch


class Network(RecurrentModel):
    """The map reads one number a step, a mixture of the value and its covariates, so that it overfits no covariate."""

    def __init__(self, params: Any, shape: Shape) -> None:
        super().__init__(params, shape)
        self.mix = nn.Parameter(torch.zeros(input_size(self.shape) - 2))
        self.map = nn.Linear(shape.lookback, shape.horizon)
        self.known = nn.Parameter(torch.zeros(self.shape.future))
        self.away = nn.Parameter(torch.zeros(shape.horizon, len(shape.levels) - 1))
        nn.init.zeros_(self.map.weight)
        nn.init.zeros_(self.map.bias)

    def forward(self, batch: Batch) -> Tensor:
        steps = batch.past + _mixed(inputs(batch)[..., 2:], self.mix)
        point = self.map(steps) + _mixed(batch.future_covariates, self.known)  # [batch, horizon]
        away, gates = (
            self.away.expand(point.shape[0], -1, -1),
            point.new_zeros(*point.shape, len(self.gates)),
        )
        scaled = (point / self._seasonal_error(batch))[
            ..., None
        ]  # in the units that the base class gives it
        return torch.cat([scaled, away, gates], -1)  # [batch, horizon, outputs]


def _mixed(columns: Tensor, weights: Tensor) -> Tensor:
    """[..., columns] -> [...]; onnxruntime takes fifty times as long to multiply by a vector."""
    return functional.linear(columns, weights[None])[..., 0]
