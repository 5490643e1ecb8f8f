"""LSTM whose outputs are pooled by softmax attention over time (Bahdanau et al. 2015)."""

import torch
from torch import Tensor, nn

from forecast.models.shared import parts
from forecast.models.shared.model import RecurrentModel, Shape
from forecast.windows.windows import Batch


class Network(RecurrentModel):
    """One softmax over all outputs of an LSTM; the pooled output and the final state go to the head together."""

    Params = parts.EncoderParams

    def __init__(self, params: parts.EncoderParams, shape: Shape) -> None:
        super().__init__(params, shape)
        size = parts.state_size(params)
        self.encoder = parts.recurrent("LSTM", parts.input_size(self.shape), params)
        self.score = nn.Sequential(nn.Linear(size, size), nn.Tanh(), nn.Linear(size, 1))
        self.decoder = parts.StepDecoder(2 * size, self.shape, params.dropout)

    def forward(self, batch: Batch) -> Tensor:
        states, _ = self.encoder(parts.inputs(batch))  # [batch, lookback, state]
        pooled = (self._weights(states, batch)[..., None] * states).sum(1)
        state = torch.cat([pooled, parts.final_state(states, self.params)], -1)
        return self.decoder(state, batch.future_covariates)  # type: ignore[no-any-return]

    def attention(self, batch: Batch) -> Tensor:
        """The weight of each step of the past, [batch, lookback]; each row sums to 1."""
        batch, _ = self._prepare(batch)
        return self._weights(self.encoder(parts.inputs(batch))[0], batch)

    def _weights(self, states: Tensor, batch: Batch) -> Tensor:
        scores = self.score(states)[..., 0]
        empty = ~batch.mask.bool().any(1, keepdim=True)  # a softmax over nothing would be NaN
        return torch.softmax(scores.masked_fill(~(batch.mask.bool() | empty), -torch.inf), 1)
