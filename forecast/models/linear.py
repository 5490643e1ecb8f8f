"""One linear map from the past to the horizon, without a state, to mix in (Zeng et al. 2023)."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from forecast.models.shared.model import RecurrentModel, Shape
from forecast.models.shared.parts import input_size, inputs
from forecast.windows.windows import Batch


class Network(RecurrentModel):
    """One linear map from the lookback to the horizon.

    It reads one number for each step, a mix of the value and the covariates, so that it has few
    weights to overfit with.
    """

    def __init__(self, params: Any, shape: Shape) -> None:
        super().__init__(params, shape)
        self.mix = nn.Parameter(torch.zeros(input_size(self.shape) - 2))
        self.map = nn.Linear(shape.lookback, shape.horizon)
        self.known = nn.Parameter(torch.zeros(self.shape.future))
        self.away = nn.Parameter(torch.zeros(shape.horizon, len(shape.levels) - 1))
        nn.init.zeros_(self.map.weight)
        nn.init.zeros_(self.map.bias)

    def forward(self, batch: Batch) -> Tensor:
        steps = batch.past + _mix(inputs(batch)[..., 2:], self.mix)
        point = self.map(steps) + _mix(batch.future_covariates, self.known)  # [batch, horizon]
        return self._as_outputs(point, self.away, batch)


def _mix(columns: Tensor, weights: Tensor) -> Tensor:
    """[..., columns] -> [...]; onnxruntime takes fifty times as long to multiply by a vector."""
    return functional.linear(columns, weights[None])[..., 0]
