"""Multi-quantile recurrent network, trained on a forecast from every step of the past (Wen et al. 2017)."""

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
    """An LSTM, and after any of its steps a global and a local perceptron that decode the horizon from there.

    A step of the LSTM is a segment of the past, as in segrnn, so that it learns in the time there is; ``segment=1``
    is the network of the paper.
    """

    Params = ForkParams

    def __init__(self, params: ForkParams, shape: Shape) -> None:
        super().__init__(params, shape)
        self.season = shape.seasons[0] if shape.seasons else 1
        self.encoder = recurrent("LSTM", params.hidden_size, params)
        self.decoder = ForkDecoder(params.hidden_size, self.shape, params.dropout)

    def forward(self, batch: Batch) -> Tensor:
        return self.decoder(self._states(batch)[:, -1], batch.future_covariates)  # type: ignore[no-any-return]

    def loss(self, batch: Batch) -> Tensor:
        """In training the mean over the forks; otherwise that of the forecast from the end of the past."""
        if not self.training:
            return super().loss(batch)
        return self._mean_loss(*self.from_forks(batch, self._draw_forks(batch.past.device)))

    def from_forks(self, batch: Batch, back: Tensor) -> tuple[Tensor, Batch]:
        """Forecast from places in the past, `back` [forks] whole segments before its end; the last one is 0.

        No fork may lie within the first season. Returns quantiles in scaled units, [batch * forks, horizon, levels],
        the forks of a window one after another, and the batch as it is seen from there, targets included; both without
        the effects of known columns.
        """
        batch, effects = self._prepare(batch)
        if effects is not None:
            batch = replace(batch, target=batch.target - effects)
        forks = self._seen_from(batch, self.shape.lookback - back * self.segment)
        states = self._states(batch)[:, -1 - back].flatten(0, 1)
        return self._put_together(self.decoder(states, forks.future_covariates), forks), forks

    def _states(self, batch: Batch) -> Tensor:  # [batch, segments, hidden]
        return self.encoder(torch.relu(self.segments(batch)))[0]  # type: ignore[no-any-return]

    def _seen_from(self, batch: Batch, origins: Tensor) -> Batch:
        """The windows as they look from the steps `origins`, but for what only the encoder reads."""
        horizon = torch.arange(self.shape.horizon, device=origins.device)
        ahead = origins[:, None] + horizon  # [forks, horizon]
        past = origins[:, None] + torch.arange(-self.shape.lookback, 0, device=origins.device)
        seasons = torch.tensor(self.shape.seasons, dtype=torch.long, device=origins.device)
        lagged = ahead[..., None] - seasons * (
            horizon[:, None] // seasons + 1
        )  # [forks, horizon, seasons]
        known = torch.cat([self._known_past(batch), batch.future_covariates], 1)
        # only the last fork has what lies before the window
        seasonal = torch.cat([batch.past[:, self._within(lagged[:-1])], batch.seasonal[:, None]], 1)
        names = "weight", "location", "scale"
        repeated = {name: getattr(batch, name).repeat_interleave(len(origins), 0) for name in names}
        return replace(
            batch,
            past=batch.past[:, self._within(past)].flatten(0, 1),
            mask=(batch.mask[:, self._within(past)] * (past >= 0)).flatten(0, 1),
            future_covariates=known[:, ahead].flatten(0, 1),
            seasonal=seasonal.flatten(0, 1),
            target=torch.cat([batch.past, batch.target], 1)[:, ahead].flatten(0, 1),
            target_mask=torch.cat([batch.mask, batch.target_mask], 1)[:, ahead].flatten(0, 1),
            **repeated,
        )

    def _within(self, position: Tensor) -> Tensor:
        """What lies before the window is taken from the same phase of its first season."""
        return torch.where(position < 0, position % self.season, position)

    def _draw_forks(self, device: torch.device) -> Tensor:
        """The end of the past, and before it ends of segments at random in the newer half."""
        lookback = self.shape.lookback
        most = min(lookback // 2, max(0, lookback - self.season)) // self.segment
        others = torch.randperm(most)[: self.params.forks - 1] + 1
        return torch.cat([others.sort(descending=True).values, others.new_zeros(1)]).to(device)


class ForkDecoder(nn.Module):
    """A global perceptron makes a context of each horizon step and one of all; a local one turns them into outputs."""

    def __init__(
        self, size: int, shape: Shape, dropout: float, context: int = 16, summary: int = 4
    ) -> None:
        super().__init__()
        self.horizon, self.context = shape.horizon, context
        self.drop = nn.Dropout(dropout)
        self.summary = nn.Linear(shape.calendar, summary) if shape.calendar else None
        self.meet = nn.Linear(size + (shape.horizon * summary if shape.calendar else 0), size)
        self.contexts = nn.Linear(size, (shape.horizon + 1) * context)
        self.local = nn.Linear(2 * context + shape.future, 2 * context)
        self.out = nn.Linear(2 * context, shape.outputs)
        self.direct = nn.Linear(size, shape.horizon)
        zeroed(self.out, self.direct)

    def forward(self, states: Tensor, known: Tensor) -> Tensor:
        """[batch, size] and [batch, horizon, future] -> [batch, horizon, outputs]."""
        states = self.drop(states)
        summary = (
            []
            if self.summary is None
            else [self.summary(known[..., : self.summary.in_features]).flatten(1)]
        )
        seen = torch.cat([states, *summary], -1)
        contexts = self.contexts(torch.relu(self.meet(seen))).unflatten(
            -1, (self.horizon + 1, self.context)
        )
        common = contexts[:, :1].expand(-1, self.horizon, -1)
        raw: Tensor = self.out(
            torch.relu(self.local(torch.cat([contexts[:, 1:], common, known], -1)))
        )
        return torch.cat([raw[..., :1] + self.direct(states)[..., None], raw[..., 1:]], -1)
