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
from forecast.pretrained.features import BEND, TOKEN, Features, Flags, Numbers, features_of
from forecast.pretrained.forecasting import LARGEST, are_counts, load_network, window_seasons
from forecast.pretrained.network import LEVELS, inputs_of

GAIN = 20.0  # of the maps of other columns, which start from nothing at a low learning rate
ROUNDING = 1e-5  # share of the batch's scale, by which single precision may miss a whole number
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
        self.direct = nn.Parameter(torch.zeros(self.shape.future))  # what known columns add to their own step
        self.of_static = nn.Parameter(torch.zeros(self.shape.static, width))
        self.register_buffer("between", _interpolation(shape.levels), persistent=False)

    def outputs(self, batch: Batch) -> Tensor:
        batch = self._embed(batch)
        past, observed = self._past(batch)
        counts = torch.from_numpy(are_counts(past, observed)).to(batch.past.device)
        mirrored = torch.where(counts, 1.0, -1.0)  # counts have no mirror image
        if self.training:
            mirrored[::2] = 1.0
            return torch.as_tensor(self._quantiles(batch, past, observed, mirrored) @ self.between)
        upright = self._quantiles(batch, past, observed, torch.ones_like(mirrored))
        both = (upright + self._quantiles(batch, past, observed, mirrored)) / 2
        quantiles = torch.where(counts[:, None, None], _whole(upright, batch), both)
        return torch.as_tensor(quantiles @ self.between)

    def _past(self, batch: Batch) -> tuple[Numbers, Flags]:
        """The values of windows, whole numbers exactly, and whether each was observed, in whole tokens."""
        values = (batch.location + batch.scale * batch.past.double()).detach().cpu().numpy()
        rounding = ROUNDING * batch.scale.detach().cpu().numpy()
        values = np.where(np.abs(values - np.round(values)) <= rounding, np.round(values), values)
        blank = (0, 0), (-values.shape[1] % TOKEN, 0)
        observed = np.pad(batch.mask.detach().cpu().numpy() > 0, blank)
        observed[:, -1] |= ~observed.any(1)
        return np.pad(values, blank), observed

    def _quantiles(self, batch: Batch, past: Numbers, observed: Flags, sign: Tensor) -> Tensor:
        """Quantiles in scaled units, [batch, horizon, network's levels].

        Parameters
        ----------
        sign : [batch], 1, or -1 where they come from a window's mirror image
        """
        features = self._features(batch, past, observed, sign)
        inputs = (*inputs_of(features), features.location, features.scale)
        *arrays, location, scale = (torch.from_numpy(array).to(batch.past.device) for array in inputs)
        columns = self._of_columns(batch) * sign[:, None, None]
        moved = arrays[-1][:, None] * (batch.future_covariates @ (GAIN * self.direct)) * sign[:, None]
        scaled = self.network(*arrays, columns)[:, : self.shape.horizon] + moved[..., None]
        far = BEND * (scaled.double().clamp(-LARGEST, LARGEST) / BEND).sinh()
        values = location[:, None, None] + scale[:, None, None] * far
        values = torch.where(sign[:, None, None] > 0, values, -values.flip(-1))
        own = batch.scale.clamp(min=torch.finfo(torch.float64).tiny)[..., None]
        return torch.as_tensor((values - batch.location[..., None]) / own, dtype=scaled.dtype)

    def _features(self, batch: Batch, past: Numbers, observed: Flags, sign: Tensor) -> Features:
        """Input features of the windows or of their mirror images."""
        values = sign.cpu().numpy()[:, None] * past
        seasons = window_seasons(self.shape.seasons, past.shape[1] - observed.argmax(1))
        features = features_of(values, observed, seasons, -(-self.shape.horizon // TOKEN) * TOKEN)
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
        total: Tensor = GAIN * (torch.cat(added, 1) + (batch.static @ self.of_static)[:, None])
        return total


def _whole(quantiles: Tensor, batch: Batch) -> Tensor:
    """Quantiles in scaled units, moved to the nearest whole number in the unit of the values."""
    location, scale = batch.location[..., None], batch.scale[..., None]
    moved = ((location + scale * quantiles).round() - location) / scale.clamp(min=torch.finfo(torch.float64).tiny)
    return torch.as_tensor(moved, dtype=quantiles.dtype)


def _by_token(columns: Tensor) -> Tensor:
    """[batch, steps, columns] as [batch, tokens, columns of all steps of a token]."""
    windows, steps, width = columns.shape
    return columns.reshape(windows, steps // TOKEN, TOKEN * width)


def _interpolation(levels: tuple[float, ...]) -> Tensor:
    """What turns quantiles at the network's levels into those at others, [network's levels, levels]."""
    deviates = [[NormalDist().inv_cdf(level) for level in some] for some in (LEVELS, levels)]
    columns = [np.interp(deviates[1], deviates[0], one) for one in np.eye(len(LEVELS))]
    return torch.tensor(np.stack(columns), dtype=torch.float32)
