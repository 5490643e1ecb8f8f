"""LSTM whose outputs are pooled by softmax attention over time (Bahdanau et al. 2015)."""

import torch
from torch import Tensor, nn

from forecast.models.shared import parts
from forecast.models.shared.model import RecurrentModel, Shape
from forecast.windows.windows import Batch


class Network(RecurrentModel):
    """An LSTM whose outputs are pooled by one softmax over time.

    The pooled output and the final state are decoded together.
    """

    Params = parts.EncoderParams

    def __init__(self, params: parts.EncoderParams, shape: Shape) -> None:
        super().__init__(params, shape)
        size = parts.state_size(params)
        self.encoder = parts.recurrent("LSTM", parts.input_size(self.shape), params)
        hidden = nn.Linear(size, size)
        self.score = nn.Sequential(hidden, nn.Tanh(), nn.Linear(size, 1))
        self.decoder = parts.StepDecoder(2 * size, self.shape, params.dropout)

    def forward(self, batch: Batch) -> Tensor:
        states, _ = self.encoder(parts.inputs(batch))  # [batch, lookback, state]
        weights = self._weights(states, batch)
        weighted = weights[..., None] * states
        pooled = weighted.sum(1)
        final = parts.final_state(states, self.params)
        state = torch.cat([pooled, final], -1)
        return self.decoder(state, batch.future_covariates)  # type: ignore[no-any-return]

    def attention(self, batch: Batch) -> Tensor:
        """The weight of each step of the past, [batch, lookback]; each row sums to 1."""
        batch, _ = self._prepare(batch)
        states, _ = self.encoder(parts.inputs(batch))
        return self._weights(states, batch)

    def _weights(self, states: Tensor, batch: Batch) -> Tensor:
        scores = self.score(states)[..., 0]
        observed = batch.mask.bool()
        empty = ~observed.any(1, keepdim=True)  # a softmax over no step would be NaN
        counts = observed | empty
        scores = scores.masked_fill(~counts, -torch.inf)
        return torch.softmax(scores, 1)
