"""The pretrained GRU (Cho et al. 2014), trained further on the panel, with its other columns."""

from dataclasses import replace
from statistics import NormalDist
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from forecast.models.shared.building import to_tensors
from forecast.models.shared.model import RecurrentModel, Shape
from forecast.models.shared.pretrained import Pretrained
from forecast.panel.windows import Batch
from forecast.pretrained.features import BEND, TOKEN, Features, features_of
from forecast.pretrained.forecasting import LARGEST, load_network, told_seasons
from forecast.pretrained.network import LEVELS, inputs_of

CONSTANT = 1e-5  # share of the batch's scale below which a window's own counts as none


class Network(RecurrentModel):
    """The network that ships, on its own scale; other columns come in by maps that start at zero."""

    starts_trained, rate_share = True, 0.25
    between: Tensor

    def __init__(self, knobs: Any, shape: Shape) -> None:
        super().__init__(knobs, shape)
        del self.gates  # seasons come in by its features
        weights = load_network().weights
        width, blocks = len(weights["after.weight"]), sum(".before.weight" in name for name in weights)
        self.network = Pretrained(width, blocks)
        self.network.load_state_dict(to_tensors(weights))
        self.of_past = nn.Parameter(torch.zeros(TOKEN * self.shape.past, width))
        self.of_future = nn.Parameter(torch.zeros(TOKEN * self.shape.future, width))
        self.of_static = nn.Parameter(torch.zeros(self.shape.static, width))
        self.register_buffer("between", _interpolation(shape.levels), persistent=False)

    def outputs(self, batch: Batch) -> Tensor:
        batch = self._embed(batch)
        upright = torch.ones_like(batch.past[:, 0])
        if self.training:  # every other window as its mirror image
            upright[1::2] = -1
            quantiles = self._quantiles(batch, upright)
        else:  # the mean of both, as without training
            quantiles = (self._quantiles(batch, upright) + self._quantiles(batch, -upright)) / 2
        return torch.as_tensor(quantiles @ self.between)

    def _quantiles(self, batch: Batch, sign: Tensor) -> Tensor:
        """Quantiles in scaled units, [batch, horizon, network's levels].

        Parameters
        ----------
        sign : [batch], 1, or -1 where they come from a window's mirror image
        """
        features = self._features(batch, sign)
        inputs = (*inputs_of(features), features.location, features.scale)
        *arrays, location, scale = (torch.from_numpy(array).to(batch.past.device) for array in inputs)
        columns = self._of_columns(batch) * sign[:, None, None]
        scaled = self.network(*arrays, columns)[:, : self.shape.horizon]
        far = BEND * (scaled.double().clamp(-LARGEST, LARGEST) / BEND).sinh()
        values = location[:, None, None] + scale[:, None, None] * far
        values = torch.where(sign[:, None, None] > 0, values, -values.flip(-1))
        own = batch.scale.clamp(min=torch.finfo(torch.float64).tiny)[..., None]
        moved: Tensor = ((values - batch.location[..., None]) / own).to(scaled.dtype)
        return moved

    def _features(self, batch: Batch, sign: Tensor) -> Features:
        """What the network is told of the windows, padded to whole tokens."""
        values = sign[:, None] * (batch.location + batch.scale * batch.past.double())
        blank = -values.shape[1] % TOKEN
        past = np.pad(values.detach().cpu().numpy(), ((0, 0), (blank, 0)))
        observed = np.pad(batch.mask.detach().cpu().numpy() > 0, ((0, 0), (blank, 0)))
        observed[:, -1] |= ~observed.any(1)
        seasons = told_seasons(self.shape.seasons, past.shape[1] - observed.argmax(1))
        features = features_of(past, observed, seasons, -(-self.shape.horizon // TOKEN) * TOKEN)
        # a constant past has no scale of its own
        own = batch.scale[:, 0].detach().cpu().numpy()
        constant = features.scale < CONSTANT * own
        unit = np.where(constant, np.float32(1), features.unit)
        return replace(features, scale=np.where(constant, own, features.scale), unit=unit)

    def _of_columns(self, batch: Batch) -> Tensor:
        """What the other columns add to each token, [batch, tokens, width]."""
        past = functional.pad(batch.past_covariates, (0, 0, -batch.past.shape[1] % TOKEN, 0))
        future = functional.pad(batch.future_covariates, (0, 0, 0, -self.shape.horizon % TOKEN))
        added = [
            _by_token(past) @ self.of_past,
            _by_token(future) @ self.of_future,
        ]
        total: Tensor = torch.cat(added, 1) + (batch.static @ self.of_static)[:, None]
        return total


def _by_token(columns: Tensor) -> Tensor:
    """[batch, steps, columns] as [batch, tokens, columns of all steps of a token]."""
    windows, steps, width = columns.shape
    return columns.reshape(windows, steps // TOKEN, TOKEN * width)


def _interpolation(levels: tuple[float, ...]) -> Tensor:
    """What turns quantiles at the network's levels into those at others, [network's levels, levels]."""
    deviates = [[NormalDist().inv_cdf(level) for level in some] for some in (LEVELS, levels)]
    columns = [np.interp(deviates[1], deviates[0], one) for one in np.eye(len(LEVELS))]
    return torch.tensor(np.stack(columns), dtype=torch.float32)
