"""Parts that several models share: knobs, inputs, encoder, decoder."""

import math
from collections.abc import Callable
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from forecast.models.shared.model import RecurrentModel, Shape
from forecast.settings import Knobs
from forecast.windows.windows import Batch


class StackKnobs(Knobs):
    """The knobs of every stack of recurrent layers."""

    hidden_size: int = Field(64, ge=1, le=4096, description="units of each recurrent layer")
    layers: int = Field(1, ge=1, le=16, description="stacked recurrent layers")
    dropout: float = Field(0.0, ge=0, lt=1, description="share of units dropped between layers and before the output")


class RecurrentKnobs(StackKnobs):
    """The knobs of every encoder that can read in both directions."""

    bidirectional: bool = Field(False, description="read the past in both directions")


class SegmentKnobs(Knobs):
    """The knob of every network that reads segments."""

    segment: int | None = Field(
        None, ge=1, le=10_000, description="steps a segment holds; default one season, or a few steps"
    )


def input_size(shape: Shape) -> int:
    """Inputs of an encoder at each step of the past: value, mask, covariates, static columns."""
    return 2 + shape.past + shape.static


def inputs(batch: Batch) -> Tensor:
    """What an encoder reads, [batch, lookback, input_size]."""
    static = batch.static[:, None, :].expand(-1, batch.past.shape[1], -1)
    return torch.cat([batch.past[..., None], batch.mask[..., None], batch.past_covariates, static], -1)


def recurrent(kind: Literal["RNN", "LSTM", "GRU"], size: int, knobs: StackKnobs) -> nn.RNNBase:
    """One of torch's fused recurrent networks, batch first."""
    layer: Callable[..., nn.RNNBase] = {"RNN": nn.RNN, "LSTM": nn.LSTM, "GRU": nn.GRU}[kind]
    return layer(
        size,
        knobs.hidden_size,
        num_layers=knobs.layers,
        dropout=knobs.dropout if knobs.layers > 1 else 0.0,
        bidirectional=isinstance(knobs, RecurrentKnobs) and knobs.bidirectional,
        batch_first=True,
    )


def state_size(knobs: RecurrentKnobs) -> int:
    """Numbers in one output state of the encoder."""
    return knobs.hidden_size * (2 if knobs.bidirectional else 1)


def final_state(states: Tensor, knobs: RecurrentKnobs) -> Tensor:
    """The state after all steps, [batch, state_size]; of the backward direction the one at the first step."""
    if not knobs.bidirectional:
        return states[:, -1]
    return torch.cat([states[:, -1, : knobs.hidden_size], states[:, 0, knobs.hidden_size :]], -1)


def default_segment(shape: Shape) -> int:
    """One season where the past holds at least two and a segment stays small, else about the root of the past."""
    for season in shape.seasons:
        if season <= 64 and 2 * season <= shape.lookback:
            return season
    return max(1, math.isqrt(shape.lookback))


def past_segments(steps: Tensor, segment: int) -> Tensor:
    """Cut steps into segments that end with the last one, [batch, segments, segment * size]; zeros fill the first."""
    steps = functional.pad(steps, (0, 0, -int(steps.shape[1]) % segment, 0))
    return steps.reshape(steps.shape[0], -1, segment * steps.shape[-1])


def future_segments(steps: Tensor, segment: int) -> Tensor:
    """Cut steps into segments that start with the first one, [batch, segments, segment * size]; zeros fill the last."""
    steps = functional.pad(steps, (0, 0, 0, -int(steps.shape[1]) % segment))
    return steps.reshape(steps.shape[0], -1, segment * steps.shape[-1])


def joined_segments(outputs: Tensor, horizon: int) -> Tensor:
    """Join the outputs of the future segments, [batch, segments, outputs, segment] -> [batch, horizon, outputs].

    The time axis stays innermost in memory: what follows takes the outputs apart, and runs twice as fast so.
    """
    return outputs.transpose(1, 2).flatten(2)[..., :horizon].transpose(1, 2)


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
        for last in (self.out, self.direct):
            nn.init.zeros_(last.weight)  # starts from the mean of earlier seasons, not from a random mixture

    def forward(self, state: Tensor, future: Tensor) -> Tensor:
        """[batch, size] and [batch, horizon, future] -> [batch, horizon, outputs]."""
        state = self.drop(state)
        context = self.contexts(state).view(-1, self.horizon, self.context)
        raw = self.out(torch.relu(self.mix(torch.cat([context, future], -1))))
        return torch.cat([raw[..., :1] + self.direct(state)[..., None], raw[..., 1:]], -1)


class FinalStateModel(RecurrentModel):
    """An encoder read to its end, and a decoder from its final state; rnn, lstm and gru differ in `kind` only."""

    Knobs: ClassVar[type[Knobs]] = RecurrentKnobs
    kind: ClassVar[Literal["RNN", "LSTM", "GRU"]]

    def __init__(self, knobs: Any, shape: Shape) -> None:
        super().__init__(knobs, shape)
        self.encoder = recurrent(self.kind, input_size(self.shape), knobs)
        self.decoder = StepDecoder(state_size(knobs), self.shape, knobs.dropout)

    def forward(self, batch: Batch) -> Tensor:
        states, _ = self.encoder(inputs(batch))  # [batch, lookback, state]
        return self.decoder(final_state(states, self.knobs), batch.future_covariates)  # type: ignore[no-any-return]
