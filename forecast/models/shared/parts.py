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
LAYERS: dict[Kind, Callable[..., nn.RNNBase]] = {"RNN": nn.RNN, "LSTM": nn.LSTM, "GRU": nn.GRU}
LONGEST_SEGMENT = 64  # a longer season is not taken as a segment by default


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
    """How many inputs an encoder has at each step: value, mask, covariates, static columns."""
    return 2 + shape.past + shape.static


def inputs(batch: Batch) -> Tensor:
    """What an encoder reads, [batch, lookback, input_size]."""
    lookback = batch.past.shape[1]
    static = batch.static[:, None, :].expand(-1, lookback, -1)
    values = torch.stack([batch.past, batch.mask], -1)
    return torch.cat([values, batch.past_covariates, static], -1)


def recurrent(kind: Kind, size: int, params: StackParams) -> nn.RNNBase:
    """One of torch's fused recurrent networks; the first axis is the batch."""
    bidirectional = isinstance(params, EncoderParams) and params.bidirectional
    return LAYERS[kind](
        size,
        params.hidden_size,
        num_layers=params.layers,
        dropout=params.dropout if params.layers > 1 else 0.0,
        bidirectional=bidirectional,
        batch_first=True,
    )


def state_size(params: EncoderParams) -> int:
    directions = 2 if params.bidirectional else 1
    return params.hidden_size * directions


def final_state(states: Tensor, params: EncoderParams) -> Tensor:
    """The state after all steps, [batch, state_size].

    The backward direction of a bidirectional network ends at the first step.
    """
    if not params.bidirectional:
        return states[:, -1]
    forward = states[:, -1, : params.hidden_size]
    backward = states[:, 0, params.hidden_size :]
    return torch.cat([forward, backward], -1)


def padded_steps(steps: Tensor, before: int = 0, after: int = 0) -> Tensor:
    """[batch, steps, size] with zeros added before and after; negative numbers cut steps off."""
    return functional.pad(steps, (0, 0, before, after))


def past_segments(steps: Tensor, segment: int) -> Tensor:
    """Segments of [batch, steps, size], the last of which ends with the last step.

    The result is [batch, segments, segment * size]; the first segment is filled up with zeros in
    front.
    """
    missing = -int(steps.shape[1]) % segment
    filled = padded_steps(steps, before=missing)
    count = int(filled.shape[1]) // segment
    return filled.reshape(steps.shape[0], count, segment * int(steps.shape[-1]))


def default_segment(shape: Shape) -> int:
    """A season if it is short and fits twice into the past; else about the root of the lookback."""
    for season in shape.seasons:
        if season <= LONGEST_SEGMENT and 2 * season <= shape.lookback:
            return season
    return max(1, math.isqrt(shape.lookback))


def zero_outputs(*layers: nn.Linear) -> None:
    """Set the weights of output layers to zero.

    Training then starts from the seasonal skip instead of a random mixture.
    """
    for layer in layers:
        nn.init.zeros_(layer.weight)


class StepDecoder(nn.Module):
    """Decode all horizon steps from one state.

    Each step has a context computed from the state, which is joined with the step's known
    covariates.
    """

    def __init__(self, size: int, shape: Shape, dropout: float, context: int = 16) -> None:
        super().__init__()
        self.horizon = shape.horizon
        self.context = context
        self.drop = nn.Dropout(dropout)
        self.contexts = nn.Linear(size, shape.horizon * context)
        self.mix = nn.Linear(context + shape.future, 2 * context)
        self.out = nn.Linear(2 * context, shape.outputs)
        self.direct = nn.Linear(size, shape.horizon)
        zero_outputs(self.out, self.direct)

    def forward(self, state: Tensor, future: Tensor) -> Tensor:
        """[batch, size] and [batch, horizon, future] -> [batch, horizon, outputs]."""
        state = self.drop(state)
        contexts = self.contexts(state).view(-1, self.horizon, self.context)
        mixed = self.mix(torch.cat([contexts, future], -1))
        raw = self.out(torch.relu(mixed))
        point = raw[..., :1] + self.direct(state)[..., None]
        return torch.cat([point, raw[..., 1:]], -1)


class FinalStateModel(RecurrentModel):
    """An encoder, and a decoder of its final state; rnn, lstm and gru differ in `kind` only."""

    Params: ClassVar[type[SettingsGroup]] = EncoderParams
    kind: ClassVar[Kind]

    def __init__(self, params: Any, shape: Shape) -> None:
        super().__init__(params, shape)
        self.encoder = recurrent(self.kind, input_size(self.shape), params)
        self.decoder = StepDecoder(state_size(params), self.shape, params.dropout)

    def forward(self, batch: Batch) -> Tensor:
        states, _ = self.encoder(inputs(batch))  # [batch, lookback, state]
        state = final_state(states, self.params)
        return self.decoder(state, batch.future_covariates)  # type: ignore[no-any-return]


class SegmentModel(RecurrentModel):
    """A network that reads the past, and may decode the future, in segments (Lin et al. 2023)."""

    def __init__(self, params: Any, shape: Shape) -> None:
        super().__init__(params, shape)
        self.segment = params.segment or default_segment(self.shape)
        inputs_of_segment = self.segment * input_size(self.shape)
        self.embed = nn.Linear(inputs_of_segment, params.hidden_size)

    def segments(self, batch: Batch) -> Tensor:
        """The embedded segments of the past, [batch, segments, hidden]."""
        return self.embed(past_segments(inputs(batch), self.segment))  # type: ignore[no-any-return]

    def build_queries(self, size: int) -> None:
        self.future_segments = -(-self.shape.horizon // self.segment)
        # an embedding of each segment's place; stored networks have it under this name
        place = torch.randn(self.future_segments, size)
        self.place = nn.Parameter(place * size**-0.5)
        shape = replace(self.shape, horizon=self.segment)
        columns = self.segment * shape.calendar
        self.known = nn.Linear(columns, size, bias=False) if shape.calendar else None
        of_table = shape.future > shape.calendar
        self.own = StepDecoder(size, shape, dropout=0.0) if of_table else None

    def queries(self, batch: Batch, base: Tensor) -> Tensor:
        """The inputs that decode each segment of the horizon, [batch, future segments, size]."""
        query = self.place + base
        if self.known is None:
            return query
        calendar = self._whole(batch.future_covariates[..., : self.shape.calendar])
        by_segment = calendar.reshape(calendar.shape[0], self.future_segments, -1)
        return query + self.known(by_segment)  # type: ignore[no-any-return]

    def _whole(self, columns: Tensor) -> Tensor:
        """Columns of the horizon, with zeros added after its end to fill the last segment."""
        return padded_steps(columns, after=-self.shape.horizon % self.segment)

    def join_segments(self, raw: Tensor, states: Tensor, batch: Batch) -> Tensor:
        """Raw outputs [batch (x) future segments, outputs * segment] -> [batch, horizon, outputs].

        The decoder `own` adds the effects of known columns of the table, from the same `states`.
        """
        # the time axis stays innermost in memory: the code after this splits outputs twice as fast
        horizon = self.shape.horizon
        split = raw.view(-1, self.future_segments, self.shape.outputs, self.segment)
        by_output = split.transpose(1, 2).flatten(2)[..., :horizon]
        joined = by_output.transpose(1, 2)
        if self.own is None:
            return joined
        known = self._whole(batch.future_covariates)
        by_segment = known.reshape(-1, self.segment, known.shape[-1])
        flat_states = states.reshape(-1, states.shape[-1])
        own = self.own(flat_states, by_segment)
        steps = own.reshape(known.shape[0], -1, self.shape.outputs)
        return joined + steps[:, :horizon]  # type: ignore[no-any-return]
