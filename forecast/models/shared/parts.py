"""Parts that several models share: settings, inputs, encoder, segments, decoder."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from forecast.models.shared.model import RecurrentModel, Shape
from forecast.settings import SettingsGroup
from forecast.windows.windows import Batch

Kind = Literal["RNN", "LSTM", "GRU"]


class StackParams(SettingsGroup):
    hidden_size: int = Field(64, ge=1, le=4096, description="units of each recurrent layer")
    layers: int = Field(1, ge=1, le=16, description="stacked recurrent layers")
    dropout: float = Field(
        0.0, ge=0, lt=1, description="share of units dropped between layers and before the output"
    )


class EncoderParams(StackParams):
    bidirectional: bool = Field(False, description="read the past in both directions")


class SegmentParams(SettingsGroup):
    segment: int | None = Field(
        None,
        ge=1,
        le=10_000,
        description="steps a segment holds; default one season, or a few steps",
    )


def input_size(shape: Shape) -> int:
    """Inputs of an encoder at each step of the past: value, mask, covariates, static columns."""
    return 2 + shape.past + shape.static


def inputs(batch: Batch) -> Tensor:
    """What an encoder reads, [batch, lookback, input_size]."""
    static = batch.static[:, None, :].expand(-1, batch.past.shape[1], -1)
    return torch.cat(
        [batch.past[..., None], batch.mask[..., None], batch.past_covariates, static], -1
    )


def recurrent(kind: Kind, size: int, params: StackParams) -> nn.RNNBase:
    """One of torch's fused recurrent networks, batch first."""
    layer: Callable[..., nn.RNNBase] = {"RNN": nn.RNN, "LSTM": nn.LSTM, "GRU": nn.GRU}[kind]
    return layer(
        size,
        params.hidden_size,
        num_layers=params.layers,
        dropout=params.dropout if params.layers > 1 else 0.0,
        bidirectional=isinstance(params, EncoderParams) and params.bidirectional,
        batch_first=True,
    )


def state_size(params: EncoderParams) -> int:
    return params.hidden_size * (2 if params.bidirectional else 1)


def final_state(states: Tensor, params: EncoderParams) -> Tensor:
    """The state after all steps, [batch, state_size]; of the backward direction the one at the first step."""
    if not params.bidirectional:
        return states[:, -1]
    return torch.cat([states[:, -1, : params.hidden_size], states[:, 0, params.hidden_size :]], -1)


def past_segments(steps: Tensor, segment: int) -> Tensor:
    """Cut steps into segments that end with the last one, [batch, segments, segment * size]; zeros fill the first."""
    steps = functional.pad(steps, (0, 0, -int(steps.shape[1]) % segment, 0))
    return steps.reshape(steps.shape[0], -1, segment * steps.shape[-1])


def default_segment(shape: Shape) -> int:
    """One season where the past holds at least two and a segment stays small, else about the root of the past."""
    fitting = (season for season in shape.seasons if season <= 64 and 2 * season <= shape.lookback)
    return next(fitting, max(1, math.isqrt(shape.lookback)))


class SegmentModel(RecurrentModel):
    """A network that reads the past, and may decode the future, in segments of several steps (Lin et al. 2023)."""

    def __init__(self, params: Any, shape: Shape) -> None:
        super().__init__(params, shape)
        self.segment = params.segment or default_segment(self.shape)
        self.embed = nn.Linear(self.segment * input_size(self.shape), params.hidden_size)

    def segments(self, batch: Batch) -> Tensor:
        """The embedded segments of the past, [batch, segments, hidden]."""
        return self.embed(past_segments(inputs(batch), self.segment))  # type: ignore[no-any-return]

    def build_queries(self, size: int) -> None:
        self.future_segments = -(-self.shape.horizon // self.segment)
        # what tells segments apart, under the name that stored networks have for it
        self.place = nn.Parameter(torch.randn(self.future_segments, size) * size**-0.5)
        shape = replace(self.shape, horizon=self.segment)
        self.known = (
            nn.Linear(self.segment * shape.calendar, size, bias=False) if shape.calendar else None
        )
        self.own = StepDecoder(size, shape, dropout=0.0) if shape.future > shape.calendar else None

    def queries(self, batch: Batch, base: Tensor) -> Tensor:
        """What asks for each segment of the horizon, its place and calendar, [batch, future segments, size]."""
        query = self.place + base
        if self.known is None:
            return query
        calendar = self._whole(batch.future_covariates[..., : self.shape.calendar])
        return query + self.known(calendar.reshape(calendar.shape[0], self.future_segments, -1))  # type: ignore[no-any-return]

    def _whole(self, columns: Tensor) -> Tensor:
        """Columns of the horizon, filled up to whole segments that start with the first step."""
        return functional.pad(columns, (0, 0, 0, -self.shape.horizon % self.segment))

    def joined(self, raw: Tensor, states: Tensor, batch: Batch) -> Tensor:
        """Raw outputs [batch (x) future segments, outputs * segment] and known columns -> [batch, horizon, outputs]."""
        # the time axis stays innermost in memory: what follows takes the outputs apart, and runs twice as fast so
        split = raw.view(-1, self.future_segments, self.shape.outputs, self.segment)
        joined = split.transpose(1, 2).flatten(2)[..., : self.shape.horizon].transpose(1, 2)
        if self.own is None:
            return joined
        known = self._whole(batch.future_covariates)
        own = self.own(
            states.reshape(-1, states.shape[-1]), known.reshape(-1, self.segment, known.shape[-1])
        )
        return joined + own.reshape(known.shape[0], -1, own.shape[-1])[:, : self.shape.horizon]  # type: ignore[no-any-return]


def zeroed(*layers: nn.Linear) -> None:
    """Let output layers start from zero weights: from the mean of earlier seasons, not from a random mixture."""
    for layer in layers:
        nn.init.zeros_(layer.weight)


class StepDecoder(nn.Module):
    """From one state to all horizon steps at once: a context per step, joined with that step's known covariates."""

    def __init__(self, size: int, shape: Shape, dropout: float, context: int = 16) -> None:
        super().__init__()
        self.horizon, self.context = shape.horizon, context
        self.drop = nn.Dropout(dropout)
        self.contexts = nn.Linear(size, shape.horizon * context)
        self.mix = nn.Linear(context + shape.future, 2 * context)
        self.out = nn.Linear(2 * context, shape.outputs)
        self.direct = nn.Linear(size, shape.horizon)
        zeroed(self.out, self.direct)

    def forward(self, state: Tensor, future: Tensor) -> Tensor:
        """[batch, size] and [batch, horizon, future] -> [batch, horizon, outputs]."""
        state = self.drop(state)
        context = self.contexts(state).view(-1, self.horizon, self.context)
        raw = self.out(torch.relu(self.mix(torch.cat([context, future], -1))))
        return torch.cat([raw[..., :1] + self.direct(state)[..., None], raw[..., 1:]], -1)


class FinalStateModel(RecurrentModel):
    """An encoder read to its end, and a decoder from its final state; rnn, lstm and gru differ in `kind` only."""

    Params: ClassVar[type[SettingsGroup]] = EncoderParams
    kind: ClassVar[Kind]

    def __init__(self, params: Any, shape: Shape) -> None:
        super().__init__(params, shape)
        self.encoder = recurrent(self.kind, input_size(self.shape), params)
        self.decoder = StepDecoder(state_size(params), self.shape, params.dropout)

    def forward(self, batch: Batch) -> Tensor:
        states, _ = self.encoder(inputs(batch))  # [batch, lookback, state]
        return self.decoder(final_state(states, self.params), batch.future_covariates)  # type: ignore[no-any-return]
