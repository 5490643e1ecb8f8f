"""Segment recurrent network: a GRU over segments, decoded in parallel (Lin et al. 2023)."""

import torch
from torch import Tensor, nn

from forecast.models.shared import parts
from forecast.models.shared.model import Shape
from forecast.models.shared.parts import EncoderParams, SegmentModel, SegmentParams
from forecast.windows.windows import Batch


class SegmentEncoderParams(SegmentParams, EncoderParams):
    pass


class Network(SegmentModel):
    """A GRU with one step for each segment of the past, then one step for each segment ahead.

    Each step ahead starts from the final state, so that all segments are decoded in parallel.
    """

    Params = SegmentEncoderParams

    def __init__(self, params: SegmentEncoderParams, shape: Shape) -> None:
        super().__init__(params, shape)
        size = parts.state_size(params)
        self.encoder = parts.recurrent("GRU", params.hidden_size, params)
        self.build_queries(size)
        self.step = nn.GRUCell(size, size)
        self.drop = nn.Dropout(params.dropout)
        self.out = nn.Linear(size, self.shape.outputs * self.segment)
        parts.zero_outputs(self.out)

    def forward(self, batch: Batch) -> Tensor:
        states, _ = self.encoder(torch.relu(self.segments(batch)))
        state = parts.final_state(states, self.params)  # [batch, state]
        queries = self.queries(batch, state.new_zeros(state.shape[0], 1, 1))
        repeated = state[:, None].expand(-1, self.future_segments, -1)
        decoded = self.step(queries.flatten(0, 1), repeated.flatten(0, 1))
        raw = self.out(self.drop(decoded))
        return self.join_segments(raw, decoded, batch)
