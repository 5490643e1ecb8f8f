"""Multi-quantile recurrent network, trained to forecast from any past step (Wen et al. 2017)."""

from dataclasses import replace

import torch
from pydantic import Field
from torch import Tensor, nn

from forecast.models.shared.model import Shape
from forecast.models.shared.parts import SegmentModel, SegmentParams, StackParams, recurrent, zeroed
from forecast.windows.windows import Batch


class ForkParams(SegmentParams, StackParams):
    forks: int = Field(
        4,
        ge=1,
        le=1024,
        description="places in the past that a window is forecast from in training",
    )


class Network(SegmentModel):
    """An LSTM; after any of its steps, a global and a local perceptron decode the horizon.

    A step of the LSTM is a segment of the past, as in segrnn, so that training takes less time;
    ``segment=1`` is the network of the paper.
    """

    Params = ForkParams

    def __init__(self, params: ForkParams, shape: Shape) -> None:
        super().__init__(params, shape)
        self.season = shape.seasons[0] if shape.seasons else 1
        self.encoder = recurrent("LSTM", params.hidden_size, params)
        self.decoder = ForkDecoder(params.hidden_size, self.shape, params.dropout)

    def forward(self, batch: Batch) -> Tensor:
        state = self._states(batch)[:, -1]
        return self.decoder(state, batch.future_covariates)  # type: ignore[no-any-return]

    def loss(self, batch: Batch) -> Tensor:
        """The mean loss over all forks in training; otherwise that of the forecast from the end."""
        if not self.training:
            return super().loss(batch)
        quantiles, forks = self.from_forks(batch, self._draw_forks(batch.past.device))
        return self._mean_loss(quantiles, forks)

    def from_forks(self, batch: Batch, back: Tensor) -> tuple[Tensor, Batch]:
        """Forecast from places in the past (forks), `back` [forks] whole segments before its end.

        The last number of `back` is 0, and no fork may lie within the first season. Returns
        quantiles in scaled units, [batch * forks, horizon, levels], with the forks of a window one
        after another, and the batch as it looks from the forks, targets included. Both are without
        the effects of known columns.
        """
        batch, effects = self._prepare(batch)
        if effects is not None:
            batch = replace(batch, target=batch.target - effects)
        forks = self._seen_from(batch, self.shape.lookback - back * self.segment)
        states = self._states(batch)[:, -1 - back]
        raw = self.decoder(states.flatten(0, 1), forks.future_covariates)
        return self._put_together(raw, forks), forks

    def _states(self, batch: Batch) -> Tensor:
        states, _ = self.encoder(torch.relu(self.segments(batch)))
        return states  # type: ignore[no-any-return]  # [batch, segments, hidden]

    def _seen_from(self, batch: Batch, origins: Tensor) -> Batch:
        """The windows as they look from the steps `origins`, except for what the encoder reads."""
        device = origins.device
        horizon = torch.arange(self.shape.horizon, device=device)
        ahead = origins[:, None] + horizon  # [forks, horizon]
        back = torch.arange(-self.shape.lookback, 0, device=device)
        past = origins[:, None] + back
        within_past = self._within(past)

        seasons = torch.tensor(self.shape.seasons, dtype=torch.long, device=device)
        cycles = horizon[:, None] // seasons + 1
        lagged = ahead[..., None] - seasons * cycles  # [forks, horizon, seasons]
        # only the last fork has what lies before the window
        within_window = batch.past[:, self._within(lagged[:-1])]
        seasonal = torch.cat([within_window, batch.seasonal[:, None]], 1)
        observed = batch.mask[:, within_past] * (past >= 0)

        def at_forks(past: Tensor, future: Tensor) -> Tensor:
            both = torch.cat([past, future], 1)
            return both[:, ahead].flatten(0, 1)

        def repeated(column: Tensor) -> Tensor:
            return column.repeat_interleave(len(origins), 0)

        past_values = batch.past[:, within_past]
        future_covariates = at_forks(self._known_past(batch), batch.future_covariates)
        target = at_forks(batch.past, batch.target)
        target_mask = at_forks(batch.mask, batch.target_mask)
        return replace(
            batch,
            past=past_values.flatten(0, 1),
            mask=observed.flatten(0, 1),
            future_covariates=future_covariates,
            seasonal=seasonal.flatten(0, 1),
            target=target,
            target_mask=target_mask,
            weight=repeated(batch.weight),
            location=repeated(batch.location),
            scale=repeated(batch.scale),
        )

    def _within(self, position: Tensor) -> Tensor:
        """Positions; one before the window becomes the same phase of its first season."""
        return torch.where(position < 0, position % self.season, position)

    def _draw_forks(self, device: torch.device) -> Tensor:
        """Random ends of segments in the newer half of the past, and last the end of the past."""
        lookback = self.shape.lookback
        beyond_season = max(0, lookback - self.season)
        newer = min(lookback // 2, beyond_season) // self.segment
        others = torch.randperm(newer)[: self.params.forks - 1] + 1
        back = others.sort(descending=True).values
        return torch.cat([back, back.new_zeros(1)]).to(device)


class ForkDecoder(nn.Module):
    """Decode states in two stages, as in the paper.

    A global perceptron makes one context for each step and one for all steps; a local perceptron
    turns them into the outputs of a step.
    """

    def __init__(
        self, size: int, shape: Shape, dropout: float, context: int = 16, summary: int = 4
    ) -> None:
        super().__init__()
        self.horizon = shape.horizon
        self.context = context
        self.drop = nn.Dropout(dropout)
        self.summary = nn.Linear(shape.calendar, summary) if shape.calendar else None
        summaries = shape.horizon * summary if shape.calendar else 0
        self.meet = nn.Linear(size + summaries, size)
        self.contexts = nn.Linear(size, (shape.horizon + 1) * context)
        self.local = nn.Linear(2 * context + shape.future, 2 * context)
        self.out = nn.Linear(2 * context, shape.outputs)
        self.direct = nn.Linear(size, shape.horizon)
        zeroed(self.out, self.direct)

    def forward(self, states: Tensor, known: Tensor) -> Tensor:
        """[batch, size] and [batch, horizon, future] -> [batch, horizon, outputs]."""
        states = self.drop(states)
        seen = states
        if self.summary is not None:
            calendar = known[..., : self.summary.in_features]
            summaries = self.summary(calendar).flatten(1)
            seen = torch.cat([states, summaries], -1)
        contexts = self.contexts(torch.relu(self.meet(seen)))
        contexts = contexts.unflatten(-1, (self.horizon + 1, self.context))
        common = contexts[:, :1].expand(-1, self.horizon, -1)
        by_step = torch.cat([contexts[:, 1:], common, known], -1)
        local = self.local(by_step)
        raw: Tensor = self.out(torch.relu(local))
        point = raw[..., :1] + self.direct(states)[..., None]
        return torch.cat([point, raw[..., 1:]], -1)
