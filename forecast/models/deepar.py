"""Autoregressive network with a likelihood, forecasting by sampled paths (Salinas et al. 2017)."""

from collections.abc import Callable

import torch
from pydantic import Field
from torch import Generator, Tensor, nn
from torch.nn import functional

from forecast.models.shared.likelihoods import LIKELIHOODS, Likelihood, LikelihoodName
from forecast.models.shared.model import RecurrentModel, Shape
from forecast.models.shared.parts import StackParams, recurrent, zeroed
from forecast.windows.windows import Batch

ROWS, MANY_ROWS = (
    2048,
    1 << 18,
)  # paths that are rolled together: on a CPU as many as its caches hold


class SamplingParams(StackParams):
    likelihood: LikelihoodName = Field(
        "student-t", description="how values scatter; negative-binomial is for counts"
    )
    paths: int = Field(100, ge=1, le=10_000, description="sampled paths of a forecast")


class Network(RecurrentModel):
    """An LSTM reads the value before each step and the step's known covariates, and outputs the step's distribution.

    It is trained by teacher forcing on the steps of the past and of the horizon, whatever the setting `loss` says.
    `quantiles` are those of sampled paths; `outputs`, which must be quick, follow the path of the means, so that their
    spread is that of one step ahead.

    The negative binomial likelihood is one of counts in the unit of the table: it undoes the scaling of the window.
    It also holds for values between whole numbers; negative ones count as 0. Sampled paths consist of counts.
    """

    Params = SamplingParams
    no_export = "it samples paths"

    def __init__(self, params: SamplingParams, shape: Shape) -> None:
        super().__init__(params, shape)
        self.likelihood = LIKELIHOODS[params.likelihood]
        del (
            self.gates,
            self.effects,
        )  # the first are of the steps of the horizon; here all steps are alike
        count, seen = (
            shape.recent_seasons + len(shape.longer_seasons),
            self.shape.past - self.known_numbers,
        )
        self.gate = nn.Parameter(torch.full((count,), 1.0 / max(count, 1)))
        size = 3 + 2 * count + self.shape.future + seen + self.shape.static
        self.encoder = recurrent("LSTM", size, params)
        self.direct = nn.Linear(size, 1, bias=False)  # a linear autoregression beside the LSTM
        self.drop = nn.Dropout(params.dropout)
        self.head = nn.Linear(params.hidden_size, self.likelihood.parameters)
        zeroed(self.direct, self.head)

    def loss(self, batch: Batch) -> Tensor:
        """Mean negative logarithm of the likelihood: of all steps in training, of the horizon otherwise."""
        batch = self._embed(batch)
        lagged = self._lagged(batch)
        values = torch.cat([batch.past, batch.target], 1)
        mask = torch.cat([batch.mask, batch.target_mask], 1)
        steps = torch.cat([_before(values, mask), self._steps(batch, lagged)], -1)
        states, _ = self.encoder(steps)
        likelihood = self._likelihood(states, steps, lagged, batch)
        density, weight = likelihood.log_density(values), mask * batch.weight[:, None]

        def mean(part: slice) -> Tensor:
            least = torch.finfo(weight.dtype).tiny
            total: Tensor = -(density[:, part] * weight[:, part]).sum() / weight[
                :, part
            ].sum().clamp(min=least)
            return total

        ahead = mean(slice(self.shape.lookback, None))
        loss: Tensor = 0.5 * (mean(slice(self.shape.lookback)) + ahead) if self.training else ahead
        return loss

    def outputs(self, batch: Batch) -> Tensor:
        """Quantiles of each step given the means of the steps before, in scaled units, [batch, horizon, levels]."""
        deviates = torch.special.ndtri(self.levels)
        return self._roll(
            batch, 1, lambda step, likelihood: (likelihood.mean(), likelihood.at(deviates))
        )

    def quantiles(
        self, batch: Batch, levels: tuple[float, ...], generator: Generator | None = None
    ) -> Tensor:
        """Quantiles of sampled paths, in scaled units, [batch, horizon, levels].

        All windows get the same random numbers, so that a forecast does not depend on the windows beside it; those of
        a step are spread evenly over the paths (Latin hypercube), so that few paths go far.
        """
        device, paths = batch.past.device, self.params.paths
        generator = generator or Generator(device).manual_seed(0)
        size = (self.shape.horizon, self.likelihood.draws, paths)
        order = torch.rand(size, generator=generator, device=device).argsort(-1)
        within = torch.rand(size, generator=generator, device=device)
        uniform = ((order + within) / paths).clamp(1e-6, 1 - 1e-6)

        def draw(step: int, likelihood: Likelihood) -> tuple[Tensor, Tensor]:
            values = likelihood.draw(uniform[step, :, None, :])  # [batch, paths]
            return values, _sample_quantiles(values, levels)

        most = ROWS if device.type == "cpu" else MANY_ROWS
        group = 1 << max(
            0, (most // paths).bit_length() - 1
        )  # a power of two, so that groups of a batch are equal
        return torch.cat([self._roll(part, paths, draw) for part in batch.split(group)])

    def _roll(
        self, batch: Batch, paths: int, take: Callable[[int, Likelihood], tuple[Tensor, Tensor]]
    ) -> Tensor:
        """Go through the horizon step by step; returns the quantiles, [batch, horizon, levels].

        `take` : (step, likelihood of [batch, paths]) -> values that the next step reads, [batch, paths], and quantiles
        of this step, [batch, levels].
        """
        batch = self._embed(batch)
        (rows, lookback), lagged, horizon = batch.past.shape, self._lagged(batch), []
        steps = self._steps(batch, lagged)
        _, state = self.encoder(
            torch.cat([_before(batch.past, batch.mask), steps[:, :lookback]], -1)
        )
        hidden, cell = (
            part.repeat_interleave(paths, 1) for part in state
        )  # [layers, batch * paths, hidden]
        value, mask = (part[:, -1:].expand(-1, paths) for part in (batch.past, batch.mask))
        for step in range(self.shape.horizon):
            known = steps[:, None, lookback + step].expand(-1, paths, -1)
            now = torch.cat(
                [value[..., None], mask[..., None], known], -1
            )  # [batch, paths, inputs]
            states, (hidden, cell) = self.encoder(now.view(rows * paths, 1, -1), (hidden, cell))
            here = lagged[:, lookback + step, None]  # [batch, 1, seasons]
            value, quantiles = take(
                step, self._likelihood(states.view(rows, paths, -1), now, here, batch)
            )
            mask = torch.ones_like(mask)
            horizon.append(quantiles)
        return torch.stack(horizon, 1)

    def _likelihood(
        self, states: Tensor, steps: Tensor, lagged: Tensor, batch: Batch
    ) -> Likelihood:
        raw = self.head(self.drop(states))
        center = raw[..., 0] + self.direct(steps)[..., 0] + lagged @ self.gate
        location, scale = batch.location.to(center.dtype), batch.scale.to(center.dtype)
        return self.likelihood.of(center, raw[..., 1:], location, scale)

    def _lagged(self, batch: Batch) -> Tensor:
        """Earlier values at the same phase of the season, [batch, lookback + horizon, earlier values].

        Those of the past that are missing or lie before the window are replaced by the mean of the others.
        """
        season = self.shape.seasons[0] if self.shape.seasons else 0
        back = season * torch.arange(self.shape.recent_seasons, 0, -1, device=batch.past.device)
        back = torch.cat(
            [back, back.new_tensor([self.shape.seasons[at] for at in self.shape.longer_seasons])]
        )
        step = (
            torch.arange(self.shape.lookback, device=back.device)[:, None] - back
        )  # [lookback, lagged]
        present = (step >= 0) & batch.mask.bool()[:, step.clamp(min=0)]
        earlier = batch.past[:, step.clamp(min=0)] * present
        mean = earlier.sum(-1, keepdim=True) / present.sum(-1, keepdim=True).clamp(min=1)
        return torch.cat(
            [torch.where(present, earlier, mean), self._earlier(batch).transpose(1, 2)], 1
        )

    def _steps(self, batch: Batch, lagged: Tensor) -> Tensor:
        """What is known at each step but the value before it, [batch, lookback + horizon, ...].

        Columns that are known only afterwards come one step late, and not at all beyond the first step of the horizon.
        """
        lookback, horizon = self.shape.lookback, self.shape.horizon
        known = torch.cat([self._known_past(batch), batch.future_covariates], 1)
        seen = functional.pad(
            batch.past_covariates[..., self.known_numbers :], (0, 0, 1, horizon - 1)
        )
        static = batch.static[:, None].expand(-1, lookback + horizon, -1)
        ahead = (torch.arange(lookback + horizon, device=known.device) > lookback).to(known.dtype)
        before = functional.pad(
            lagged[:, :-1], (0, 0, 1, 0)
        )  # what the value before the step is to be compared with
        return torch.cat(
            [ahead[:, None].expand(len(known), -1, -1), lagged, before, known, seen, static], -1
        )


def _before(values: Tensor, mask: Tensor) -> Tensor:
    """The value before each step and whether it was observed, [batch, steps, 2]."""
    return functional.pad(torch.stack([values * mask, mask], -1)[:, :-1], (0, 0, 1, 0))


def _sample_quantiles(values: Tensor, levels: tuple[float, ...]) -> Tensor:
    """Quantiles of evenly spread samples, [batch, paths] -> [batch, levels]; the i-th of n has level (i - 0.5) / n."""
    ranked, count = values.sort(-1).values, values.shape[-1]
    rank = (torch.tensor(levels, device=values.device) * count - 0.5).clamp(0, count - 1)
    low = rank.long()
    between = torch.lerp(ranked[:, low], ranked[:, (low + 1).clamp(max=count - 1)], rank - low)
    return between.cummax(-1).values
