"""Segment recurrent network: a GRU over segments of the past, decoded in parallel (Lin et al. 2023)."""

import math

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from forecast.models.shared.model import RecurrentModel, Shape
from forecast.models.shared.parts import RecurrentKnobs, final_state, input_size, inputs, recurrent, state_size
from forecast.series.windows import Batch


class SegmentKnobs(RecurrentKnobs):
    """The recurrent knobs, and the segment."""

    segment: int | None = Field(None, ge=1, description="steps a segment holds; default one season, or a few steps")


class Network(RecurrentModel):
    """One GRU step per segment of the past, then one from the final state per segment of the horizon, all at once."""

    Knobs = SegmentKnobs

    def __init__(self, knobs: SegmentKnobs, shape: Shape) -> None:
        super().__init__(knobs, shape)
        shape, size = self.shape, state_size(knobs)
        self.segment = knobs.segment or default_segment(shape)
        self.future_segments = -(-shape.horizon // self.segment)
        self.embed = nn.Linear(self.segment * input_size(shape), knobs.hidden_size)
        self.encoder = recurrent("GRU", knobs.hidden_size, knobs)
        self.place = nn.Parameter(torch.randn(self.future_segments, size) * size**-0.5)
        self.known = nn.Linear(self.segment * shape.future, size, bias=False) if shape.future else None
        self.step = nn.GRUCell(size, size)
        self.drop = nn.Dropout(knobs.dropout)
        self.out = nn.Linear(size, shape.outputs * self.segment)
        nn.init.zeros_(self.out.weight)  # starts from the mean of earlier seasons, not from a random mixture

    def forward(self, batch: Batch) -> Tensor:
        state = final_state(self.encoder(self._segments(batch))[0], self.knobs)  # [batch, state]
        rows = len(state)
        query = self.place.expand(rows, -1, -1)  # [batch, future segments, state]
        if self.known is not None:
            short = self.future_segments * self.segment - self.shape.horizon
            future = functional.pad(batch.future_covariates, (0, 0, 0, short))
            query = query + self.known(future.reshape(rows, self.future_segments, -1))
        repeated = state[:, None].expand(-1, self.future_segments, -1)
        decoded = self.step(query.flatten(0, 1), repeated.flatten(0, 1))
        raw = self.out(self.drop(decoded)).view(rows, self.future_segments, self.shape.outputs, self.segment)
        # the time axis stays innermost in memory: what follows takes the outputs apart, and runs twice as fast so
        whole: Tensor = raw.transpose(1, 2).flatten(2)[..., : self.shape.horizon]
        return whole.transpose(1, 2)  # [batch, horizon, outputs]

    def _segments(self, batch: Batch) -> Tensor:
        steps = inputs(batch)
        short = -steps.shape[1] % self.segment
        steps = functional.pad(steps, (0, 0, short, 0))
        return torch.relu(self.embed(steps.reshape(len(steps), -1, self.segment * steps.shape[-1])))


def default_segment(shape: Shape) -> int:
    """One season where the past holds at least two and a segment stays small, else about the root of the past."""
    for season in shape.seasons:
        if season <= 64 and 2 * season <= shape.lookback:
            return season
    return max(1, math.isqrt(shape.lookback))
