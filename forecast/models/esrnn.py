"""Exponential smoothing of level and season by series, a dilated LSTM on the rest (Smyl 2020)."""

from dataclasses import replace
from typing import NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from forecast.models.shared.dilated import DilatedStack, DilationParams
from forecast.models.shared.model import RecurrentModel, Shape
from forecast.models.shared.parts import StepDecoder, input_size, inputs
from forecast.windows.windows import Batch

# first values of the coefficients: level rate, season rate, and the share of the window's own
# seasonal profile that the smoothing starts from
START = 0.3, 0.3, 0.7


class SmoothingParams(DilationParams):
    unseen: float = Field(
        0.1,
        ge=0,
        le=1,
        description="share of training windows smoothed as those of a series never seen",
    )


class Network(RecurrentModel):
    """Exponential smoothing of level and season, continued ahead and corrected by a dilated LSTM.

    The LSTM reads what the smoothing leaves of the past. All is additive, in scaled units; with a
    logarithm as transform of the target it is multiplicative. The smoothing coefficients of a
    series are shared ones plus an offset of its own, which is 0 for a series that was not in the
    fit. The point forecast blends the seasonal skip of the base class with the forecast of the
    smoothing, which has the share that the gates of the skip leave. As a window may start anywhere
    in a cycle, seasonal offsets start from the window's own seasonal profile, times a coefficient
    of the series.
    """

    Params = SmoothingParams

    def __init__(self, params: SmoothingParams, shape: Shape) -> None:
        super().__init__(params, shape)
        self.season = self.shape.seasons[0] if self.shape.seasons else 0
        self.shared = nn.Parameter(torch.tensor(START).logit())
        # what each series adds to the shared coefficients; the first row is for new series
        self.own = nn.Embedding(shape.series + 1, len(START), padding_idx=0)
        nn.init.zeros_(self.own.weight)
        nn.init.constant_(self.gates, 1.0 / (shape.earlier + 1))
        self.encoder = DilatedStack(input_size(self.shape) + 2, self.shape, params)
        self.decoder = StepDecoder(params.hidden_size, self.shape, params.dropout)

    def forward(self, batch: Batch) -> Tensor:
        smoothed = self.smooth(batch)
        unexplained = batch.past - smoothed.offsets - smoothed.level
        remainder = batch.mask * unexplained
        covariates = torch.cat([batch.past_covariates, smoothed.offsets[..., None]], -1)
        static = torch.cat([batch.static, smoothed.level], -1)
        left = replace(batch, past=remainder, past_covariates=covariates, static=static)
        state = self.encoder(inputs(left))
        raw = self.decoder(state, batch.future_covariates)  # [batch, horizon, outputs]

        levels = len(self.shape.levels)
        gates = self.gates.T + raw[..., levels:]  # [batch, horizon, earlier]
        share = 1.0 - gates.sum(-1)
        expected = smoothed.level + smoothed.ahead
        continued = expected * share
        continued = continued / self._seasonal_error(batch)
        point = raw[..., :1] + continued[..., None]
        return torch.cat([point, raw[..., 1:]], -1)

    def smooth(self, batch: Batch) -> "Smoothed":
        series = batch.series
        if self.training:
            seen = torch.rand(len(series), device=series.device) >= self.params.unseen
            series = torch.where(seen, series, -1)
        coefficients = torch.sigmoid(self.shared + self.own(series + 1))
        level_rate, season_rate, start = coefficients[..., None].unbind(1)
        horizon = self.shape.horizon
        return smooth(batch.past, batch.mask, level_rate, season_rate, start, self.season, horizon)


class Smoothed(NamedTuple):
    """The result of `smooth`."""

    level: Tensor  # [batch, 1], after the last step
    offsets: Tensor  # [batch, lookback], seasonal offset as it was expected before each step
    ahead: Tensor  # [batch, horizon], seasonal offset of each step to come


def smooth(
    values: Tensor,
    mask: Tensor,
    level_rate: Tensor,
    season_rate: Tensor,
    start: Tensor,
    season: int,
    horizon: int,
) -> Smoothed:
    """Smooth level and season exponentially, additive, without trend (Holt 1957, Winters 1960).

    An observed step moves the level by `level_rate` towards the value less its seasonal offset. It
    then moves the offset of its phase by `season_rate` towards the value less the level. A missing
    step moves nothing. The offsets of a cycle depend only on those of the cycle before, so that a
    cycle of `season` steps (0 for none) is computed as one linear recurrence.

    `level_rate`, `season_rate` and `start`, the share of the window's own seasonal profile that the
    offsets start from, are [batch, 1].
    """
    lookback = int(values.shape[1])
    cycle = season or lookback
    missing = -lookback % cycle

    def by_cycle(steps: Tensor) -> Tensor:
        padded = functional.pad(steps, (missing, 0))
        return padded.view(steps.shape[0], -1, cycle)

    values = by_cycle(values)
    mask = by_cycle(mask)
    observed = values * mask
    count = mask.sum((1, 2))[:, None]
    total = observed.sum((1, 2))[:, None]
    level = total / count.clamp(min=1)
    cycles = mask.sum(1)  # [batch, cycle], as offsets
    above_level = observed.sum(1) - level * cycles
    offset = start * above_level / cycles.clamp(min=1)
    if not season:
        offset = torch.zeros_like(offset)
        season_rate = torch.zeros_like(season_rate)

    expected = []
    for value, seen in zip(values.unbind(1), mask.unbind(1), strict=True):  # [batch, cycle]
        expected.append(offset)
        gain = level_rate * seen
        keep = 1.0 - gain
        without_season = value - offset
        levels = recurrence(keep, gain * without_season, level)
        season_gain = season_rate * seen
        error = value - levels - offset
        offset = offset + season_gain * error
        level = levels[:, -1:]
    whole_cycles = -(-horizon // cycle)
    ahead = offset.repeat(1, whole_cycles)[:, :horizon]
    return Smoothed(level, torch.cat(expected, 1)[:, missing:], ahead)


def recurrence(keep: Tensor, gain: Tensor, start: Tensor) -> Tensor:
    """Solve ``state[t] = keep[t] * state[t - 1] + gain[t]``, [batch, steps], by doubling."""
    steps = int(keep.shape[1])
    first = keep[:, :1] * start + gain[:, :1]
    state = torch.cat([first, gain[:, 1:]], 1)
    span = 1
    while span < steps:
        before = functional.pad(state[:, :-span], (span, 0))
        state = state + keep * before
        keep = keep * functional.pad(keep[:, :-span], (span, 0))
        span *= 2
    return state
