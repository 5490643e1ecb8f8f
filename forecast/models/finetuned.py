"""The pretrained GRU (Cho et al. 2014), trained further on the panel, with its other columns."""

from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from forecast.models.shared.building import to_tensors
from forecast.models.shared.model import RecurrentModel, Shape
from forecast.models.shared.parts import padded_steps, past_segments
from forecast.models.shared.pretrained import Pretrained
from forecast.models.shared.pretrained_windows import PretrainedWindows, both_ways
from forecast.pretrained.features import TOKEN_STEPS
from forecast.pretrained.forecasting import network_for
from forecast.windows.windows import Batch

# multiplies the weights of other columns, which start at zero and have a low learning rate
GAIN = 20.0


class Network(RecurrentModel):
    """The pretrained network on its own scale; linear maps of other columns start at zero."""

    starts_trained = True
    rate_share = 0.25

    def __init__(self, params: Any, shape: Shape) -> None:
        super().__init__(params, shape)
        # seasons enter through the network's own features, and known columns through `direct`
        del self.gates
        del self.effects
        weights = network_for(shape.seasons).weights
        width = len(weights["after.weight"])
        blocks = sum(".before.weight" in name for name in weights)
        self.network = Pretrained(width, blocks)
        self.network.load_state_dict(to_tensors(weights))
        self.of_past = nn.Parameter(torch.zeros(TOKEN_STEPS * self.shape.past, width))
        self.of_future = nn.Parameter(torch.zeros(TOKEN_STEPS * self.shape.future, width))
        self.direct = nn.Parameter(torch.zeros(self.shape.future))  # added to the step itself
        self.of_static = nn.Parameter(torch.zeros(self.shape.static, width))

    def outputs(self, batch: Batch) -> Tensor:
        windows = self._windows(batch)
        run = partial(self.core, batch)
        levels = self.shape.levels
        if not self.training:
            return torch.as_tensor(both_ways(windows, run, levels))
        quantiles = windows.quantiles(run, _every_other(batch))
        return torch.as_tensor(windows.at_levels(quantiles, levels))

    def core(self, batch: Batch, arrays: dict[str, Tensor]) -> Tensor:
        unit = arrays["unit"]
        sign = arrays["sign"]
        batch = self._embed(batch)
        columns = self._of_columns(batch) * sign[:, None, None]
        quantiles: Tensor = self.network(
            arrays["tokens"], arrays["base"], arrays["gated"], unit, columns
        )
        weights = GAIN * self.direct
        direct = batch.future_covariates @ weights
        shift = unit[:, None] * direct * sign[:, None]
        shifted: Tensor = quantiles[:, : self.shape.horizon] + shift[..., None]
        return shifted

    def example(self, batch: Batch) -> dict[str, Tensor]:
        _, arrays = self._windows(batch).inputs(_every_other(batch))
        return arrays

    def _windows(self, batch: Batch) -> PretrainedWindows:
        return PretrainedWindows.from_batch(batch, self.shape.seasons, self.shape.horizon)

    def _of_columns(self, batch: Batch) -> Tensor:
        """What the other columns add to each token, [batch, tokens, width]."""
        past = past_segments(batch.past_covariates, TOKEN_STEPS)
        future = padded_steps(batch.future_covariates, after=-self.shape.horizon % TOKEN_STEPS)
        by_token = [past @ self.of_past, past_segments(future, TOKEN_STEPS) @ self.of_future]
        static = (batch.static @ self.of_static)[:, None]
        added: Tensor = torch.cat(by_token, 1) + static
        return GAIN * added


def _every_other(batch: Batch) -> NDArray[np.bool_]:
    return np.asarray(np.arange(len(batch)) % 2 == 1)
