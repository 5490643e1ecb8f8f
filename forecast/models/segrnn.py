"""Segment recurrent network: a GRU over segments of the past, decoded in parallel (Lin et al. 2023)."""

import torch
from torch import Tensor, nn

from forecast.models.shared.model import RecurrentModel, Shape
from forecast.models.shared.parts import (
    RecurrentKnobs,
    SegmentKnobs,
    default_segment,
    final_state,
    future_segments,
    input_size,
    inputs,
    joined_segments,
    past_segments,
    recurrent,
    state_size,
)
from forecast.windows.windows import Batch


class SegmentRecurrentKnobs(SegmentKnobs, RecurrentKnobs):
    """The recurrent knobs, and the segment."""


class Network(RecurrentModel):
    """One GRU step per segment of the past, then one from the final state per segment of the horizon, all at once."""

    Knobs = SegmentRecurrentKnobs

    def __init__(self, knobs: SegmentRecurrentKnobs, shape: Shape) -> None:
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
        segments = torch.relu(self.embed(past_segments(inputs(batch), self.segment)))
        state = final_state(self.encoder(segments)[0], self.knobs)  # [batch, state]
        rows = state.shape[0]
        query = self.place.expand(rows, -1, -1)  # [batch, future segments, state]
        if self.known is not None:
            query = query + self.known(future_segments(batch.future_covariates, self.segment))
        repeated = state[:, None].expand(-1, self.future_segments, -1)
        decoded = self.step(query.flatten(0, 1), repeated.flatten(0, 1))
        raw = self.out(self.drop(decoded)).view(rows, self.future_segments, self.shape.outputs, self.segment)
        return joined_segments(raw, self.shape.horizon)
