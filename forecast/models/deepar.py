"""Autoregressive network with a likelihood, forecasting by sampled paths (Salinas et al. 2017)."""

from collections.abc import Callable

import torch
from pydantic import Field
from torch import Generator, Tensor, nn

from forecast.models.shared.likelihoods import LIKELIHOODS, Likelihood, LikelihoodName
from forecast.models.shared.model import RecurrentModel, Shape, weighted_mean
from forecast.models.shared.parts import StackParams, padded_steps, recurrent, zero_outputs
from forecast.windows.windows import Batch

PATHS_AT_ONCE = 2048  # paths that are sampled together on a CPU: as many as its caches hold
MANY_ROWS = 1 << 18  # the same on other devices

Take = Callable[[int, Likelihood], tuple[Tensor, Tensor]]
"""(step, likelihood of [batch, paths]) -> values [batch, paths] and quantiles [batch, levels]."""


class SamplingParams(StackParams):
    likelihood: LikelihoodName = Field(
        "student-t", description="how values scatter; negative-binomial is for counts"
    )
    paths: int = Field(100, ge=1, le=10_000, description="sampled paths of a forecast")


class Network(RecurrentModel):
    """An LSTM that reads the value before each step, and gives the step's distribution.

    It also reads what is known of the step itself. It is trained by teacher forcing on the steps of
    the past and of the horizon, whatever the setting `loss` says. `quantiles` are those of sampled
    paths. `outputs`, which must be quick, follow the path of the means instead, so that their width
    is that of a forecast one step ahead.

    The negative binomial likelihood is one of counts in the unit of the table: it undoes the
    scaling of the window. It also gives a probability to values between whole numbers; negative
    values count as 0. Sampled paths consist of counts.
    """

    Params = SamplingParams
    no_export = "it samples paths"

    def __init__(self, params: SamplingParams, shape: Shape) -> None:
        super().__init__(params, shape)
        self.likelihood = LIKELIHOODS[params.likelihood]
        # these have weights for each step of the horizon; here all steps share theirs
        del self.gates
        del self.effects
        equal = 1.0 / max(shape.earlier, 1)
        self.gate = nn.Parameter(torch.full((shape.earlier,), equal))
        own_past = self.shape.past - self.known_numbers
        size = 3 + 2 * shape.earlier + self.shape.future + own_past + self.shape.static
        self.encoder = recurrent("LSTM", size, params)
        self.direct = nn.Linear(size, 1, bias=False)  # a linear autoregression beside the LSTM
        self.drop = nn.Dropout(params.dropout)
        self.head = nn.Linear(params.hidden_size, self.likelihood.parameters)
        zero_outputs(self.direct, self.head)

    def loss(self, batch: Batch) -> Tensor:
        """Mean negative log-likelihood: in training of past and horizon, otherwise of the
        horizon.
        """
        batch = self._embed(batch)
        lagged = self._lag(batch)
        values = torch.cat([batch.past, batch.target], 1)
        mask = torch.cat([batch.mask, batch.target_mask], 1)
        before = _before(values, mask)
        steps = torch.cat([before, self._steps(batch, lagged)], -1)
        states, _ = self.encoder(steps)
        likelihood = self._likelihood(states, steps, lagged, batch)
        density = likelihood.log_density(values)
        weight = mask * batch.weight[:, None]

        lookback = self.shape.lookback
        ahead = -weighted_mean(density[:, lookback:], weight[:, lookback:])
        if not self.training:
            return ahead
        past = -weighted_mean(density[:, :lookback], weight[:, :lookback])
        return 0.5 * (past + ahead)

    def outputs(self, batch: Batch) -> Tensor:
        """Quantiles of each step given the means of the steps before, in scaled units."""
        deviates = torch.special.ndtri(self.levels)

        def take(step: int, likelihood: Likelihood) -> tuple[Tensor, Tensor]:
            return likelihood.mean(), likelihood.at(deviates)

        return self._roll(batch, 1, take)

    def quantiles(
        self, batch: Batch, levels: tuple[float, ...], generator: Generator | None = None
    ) -> Tensor:
        """Quantiles of sampled paths, in scaled units, [batch, horizon, levels].

        All windows get the same random numbers, so that a forecast does not depend on the other
        windows of its batch. The numbers of a step are spread evenly over the paths (Latin
        hypercube sampling), so that fewer paths are needed.
        """
        device = batch.past.device
        paths = self.params.paths
        generator = generator or Generator(device).manual_seed(0)
        size = (self.shape.horizon, self.likelihood.draws, paths)
        order = torch.rand(size, generator=generator, device=device)
        within = torch.rand(size, generator=generator, device=device)
        uniform = (order.argsort(-1) + within) / paths
        uniform = uniform.clamp(1e-6, 1 - 1e-6)

        def draw(step: int, likelihood: Likelihood) -> tuple[Tensor, Tensor]:
            values = likelihood.draw(uniform[step, :, None, :])  # [batch, paths]
            return values, _sample_quantiles(values, levels)

        rows = PATHS_AT_ONCE if device.type == "cpu" else MANY_ROWS
        # a power of two, so that groups of a batch are equal
        group = 1 << max(0, (rows // paths).bit_length() - 1)
        groups = [self._roll(windows, paths, draw) for windows in batch.split(group)]
        return torch.cat(groups)

    def _roll(self, batch: Batch, paths: int, take: Take) -> Tensor:
        """Go through the horizon step by step; returns the quantiles, [batch, horizon, levels].

        The values that `take` returns are the inputs of the next step.
        """
        batch = self._embed(batch)
        rows, lookback = batch.past.shape
        lagged = self._lag(batch)
        steps = self._steps(batch, lagged)
        before = _before(batch.past, batch.mask)
        past = torch.cat([before, steps[:, :lookback]], -1)
        _, state = self.encoder(past)
        state = tuple(tensor.repeat_interleave(paths, 1) for tensor in state)

        value = batch.past[:, -1:].expand(-1, paths)
        mask = batch.mask[:, -1:].expand(-1, paths)
        horizon = []
        for step in range(self.shape.horizon):
            before = torch.stack([value, mask], -1)
            known = steps[:, None, lookback + step].expand(-1, paths, -1)
            now = torch.cat([before, known], -1)  # [batch, paths, inputs]
            flat = now.view(rows * paths, 1, -1)
            states, state = self.encoder(flat, state)
            states = states.view(rows, paths, -1)
            lagged_now = lagged[:, lookback + step, None]  # [batch, 1, seasons]
            likelihood = self._likelihood(states, now, lagged_now, batch)
            value, quantiles = take(step, likelihood)
            mask = torch.ones_like(mask)
            horizon.append(quantiles)
        return torch.stack(horizon, 1)

    def _likelihood(
        self, states: Tensor, steps: Tensor, lagged: Tensor, batch: Batch
    ) -> Likelihood:
        raw = self.head(self.drop(states))
        direct = self.direct(steps)[..., 0]
        center = raw[..., 0] + direct + lagged @ self.gate
        location = batch.location.to(center.dtype)
        scale = batch.scale.to(center.dtype)
        return self.likelihood.from_outputs(center, raw[..., 1:], location, scale)

    def _lag(self, batch: Batch) -> Tensor:
        """Earlier values at the same phase of the season, [batch, lookback + horizon, earlier].

        For steps of the past, values that are missing or lie before the window are replaced by the
        mean of the others.
        """
        shape = self.shape
        recent = range(shape.recent_seasons, 0, -1)
        lags = [shape.seasons[0] * number for number in recent]
        lags += [shape.seasons[place] for place in shape.longer_seasons]
        back = torch.tensor(lags, dtype=torch.int64)
        steps = torch.arange(shape.lookback)[:, None] - back
        steps = steps.to(batch.past.device)  # [lookback, earlier]
        slots = steps.clamp(min=0)
        present = (steps >= 0) & batch.mask.bool()[:, slots]
        earlier = batch.past[:, slots] * present
        count = present.sum(-1, keepdim=True).clamp(min=1)
        mean = earlier.sum(-1, keepdim=True) / count
        of_past = torch.where(present, earlier, mean)
        of_horizon = self._earlier(batch).transpose(1, 2)
        return torch.cat([of_past, of_horizon], 1)

    def _steps(self, batch: Batch, lagged: Tensor) -> Tensor:
        """What is known at each step except the value before it, [batch, lookback + horizon, ...].

        Columns that are known only afterwards are read one step late, and are zero beyond the first
        step of the horizon.
        """
        lookback = self.shape.lookback
        steps = lookback + self.shape.horizon
        known = torch.cat([self._known_past(batch), batch.future_covariates], 1)
        own_past = batch.past_covariates[..., self.known_numbers :]
        seen = padded_steps(own_past, before=1, after=self.shape.horizon - 1)
        static = batch.static[:, None].expand(-1, steps, -1)
        is_ahead = torch.arange(steps, device=known.device) > lookback
        ahead = is_ahead.to(known.dtype)[:, None]
        ahead = ahead.expand(len(known), -1, -1)
        # the lagged values of the step before, to compare the value before with
        before = padded_steps(lagged[:, :-1], before=1)
        return torch.cat([ahead, lagged, before, known, seen, static], -1)


def _before(values: Tensor, mask: Tensor) -> Tensor:
    """The value before each step and whether it was observed, [batch, steps, 2]."""
    observed = torch.stack([values * mask, mask], -1)
    return padded_steps(observed[:, :-1], before=1)


def _sample_quantiles(values: Tensor, levels: tuple[float, ...]) -> Tensor:
    """Quantiles of samples, [batch, paths] -> [batch, levels].

    The i-th of n sorted samples is the quantile at level (i - 0.5) / n.
    """
    ranked = values.sort(-1).values
    count = values.shape[-1]
    rank = torch.tensor(levels, device=values.device) * count - 0.5
    rank = rank.clamp(0, count - 1)
    low = rank.long()
    high = (low + 1).clamp(max=count - 1)
    between = torch.lerp(ranked[:, low], ranked[:, high], rank - low)
    return between.cummax(-1).values
