"""The base of every model: embeds categories, adds the seasonal skip, keeps quantiles in order."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from forecast.models.shared.known import KnownEffects
from forecast.registry import name_taken
from forecast.settings import LossName, SettingsGroup
from forecast.windows.windows import Batch

# of each error, actual minus forecast in scaled units
POINT_LOSSES: dict[LossName, Callable[[Tensor], Tensor]] = {
    "quantile": torch.abs,  # of the median, together with those of all other levels
    "mae": torch.abs,
    "mse": torch.square,
    "huber": lambda error: functional.huber_loss(error, torch.zeros_like(error), reduction="none"),
}

MOST_SEASONS = 14  # with days for seasons, two weeks


@dataclass(frozen=True)
class Shape:
    lookback: int  # steps
    horizon: int
    past: int = 0  # numeric columns
    future: int = 0
    calendar: int = 0  # of these, the first; all others are known columns of the table, which act on their own time
    static: int = 0
    past_categories: tuple[int, ...] = ()  # codes of each categorical column
    future_categories: tuple[int, ...] = ()
    static_categories: tuple[int, ...] = ()
    series: int = 0  # of the fit; their index in a batch runs from 1, and 0 is an unseen series
    seasons: tuple[int, ...] = ()  # lengths of those whose lagged values come in the batch
    levels: tuple[float, ...] = (0.5,)  # of the quantiles, ascending, 0.5 among them
    loss: LossName = "quantile"  # of the point forecast

    @property
    def recent_seasons(self) -> int:
        """Number of newest whole seasons, of the shortest kind, whose values a forecast may combine."""
        return min(MOST_SEASONS, self.lookback // self.seasons[0]) if self.seasons else 0

    @property
    def longer_seasons(self) -> tuple[int, ...]:
        """Places of the seasons that reach back beyond the recent ones."""
        return tuple(
            at
            for at, season in enumerate(self.seasons)
            if season > self.recent_seasons * self.seasons[0]
        )

    @property
    def outputs(self) -> int:
        """Outputs of a network for each step of the horizon: one a level, one a recent season, one a longer one."""
        return len(self.levels) + self.recent_seasons + len(self.longer_seasons)

    def embedded(self) -> "Shape":
        """The shape as a network sees it, categories embedded."""
        return replace(
            self,
            past=self.past + sum(map(embedding_size, self.past_categories)),
            future=self.future + sum(map(embedding_size, self.future_categories)),
            static=self.static + sum(map(embedding_size, self.static_categories)),
        )


def embedding_size(codes: int) -> int:
    return min(8, (codes + 2) // 2)


class RecurrentModel(nn.Module):
    """Base of every model.

    A subclass names its settings as `Params`, builds its layers for ``self.shape`` (categories already embedded), and
    turns an embedded batch into raw outputs [batch, horizon, ``shape.outputs``] in `forward`: first the point
    forecast, then the gaps between quantiles from there on outwards, both in units of the window's seasonal error;
    last, what is added to the weights of the earlier values of `_earlier` at that step of that window. A network that
    `starts_trained` trains as one that continues an earlier fit, at `rate_share` of the learning rate.
    """

    Params: ClassVar[type[SettingsGroup]] = SettingsGroup
    starts_trained: ClassVar[bool] = False
    rate_share: ClassVar[float] = 1.0
    no_export: ClassVar[str] = ""  # why its forecasts are not exported; empty where they are
    rows_at_once: ClassVar[int] = (
        0  # steps of horizons that it learns from at once, by `learn`; 0: by gradients
    )
    levels: Tensor

    def __init_subclass__(cls) -> None:
        public = {"forward", *(name for name in vars(RecurrentModel) if not name.startswith("_"))}
        for name, value in vars(cls).items():
            anew = name in public and callable(value) == callable(getattr(RecurrentModel, name))
            if hasattr(RecurrentModel, name) and not anew and not name.startswith("__"):
                raise name_taken(cls, name, "every model")

    def __init__(self, params: Any, shape: Shape) -> None:
        super().__init__()
        self.params, self.shape = params, shape.embedded()
        self.middle, self.known_numbers = shape.levels.index(0.5), shape.future

        def embeddings(sizes: tuple[int, ...]) -> nn.ModuleList:
            return nn.ModuleList(nn.Embedding(codes, embedding_size(codes)) for codes in sizes)

        self.past_tables = embeddings(shape.past_categories)
        self.future_tables = embeddings(shape.future_categories)
        self.static_tables = embeddings(shape.static_categories)
        earlier = shape.recent_seasons + len(shape.longer_seasons)
        # weights of the same phase of earlier seasons, a seasonal skip; `gates` is their name in stored networks
        self.gates = nn.Parameter(torch.full((earlier, shape.horizon), 1.0 / max(earlier, 1)))
        self.effects = (
            KnownEffects(self.shape.future) if self.shape.future > shape.calendar else None
        )
        self.register_buffer("levels", torch.tensor(shape.levels), persistent=False)
        self._own = frozenset([*vars(self), *self._parameters, *self._buffers, *self._modules])

    def __setattr__(self, name: str, value: Any) -> None:
        taken = name in self.__dict__.get("_own", ()) or callable(
            getattr(RecurrentModel, name, None)
        )
        if taken and type(value) is not type(getattr(self, name, value)):
            raise name_taken(type(self), f"self.{name}", "every model")
        super().__setattr__(name, value)

    def outputs(self, batch: Batch) -> Tensor:
        """Quantiles in scaled units, [batch, horizon, levels], ascending along the last axis."""
        batch, effects = self._prepare(batch)
        raw = self(batch)
        quantiles = self._put_together(raw.float() if raw.dtype == torch.bfloat16 else raw, batch)
        return quantiles if effects is None else quantiles + effects[..., None]

    def core(self, batch: Batch, arrays: dict[str, Tensor]) -> Tensor:
        """What is exported: traceable from a batch and the arrays of `example` to [batch, horizon, ...]."""
        return self.outputs(batch)

    def example(self, batch: Batch) -> dict[str, Tensor]:
        """Arrays by name that `core` takes beside a batch; those of a network that computes a part in numpy."""
        return {}

    def _put_together(self, raw: Tensor, batch: Batch) -> Tensor:
        """Quantiles from raw outputs and what the past of the same windows holds."""
        counts = [1, len(self.shape.levels) - 1, len(self.gates)]
        point, gaps, gates = torch.split(raw.transpose(1, 2), counts, 1)  # along the slow axis
        unit = self._seasonal_error(batch)[:, None]
        point = unit * point + (self._earlier(batch) * (self.gates + gates)).sum(1, keepdim=True)
        away = unit * _softplus(gaps)
        base = (
            point if self.shape.loss == "quantile" else point.detach()
        )  # the spread must not pull the point
        below = base - away[:, : self.middle].cumsum(1).flip(1)
        above = base + away[:, self.middle :].cumsum(1)
        return torch.cat([below, point, above], 1).transpose(1, 2)

    def loss(self, batch: Batch) -> Tensor:
        """Mean loss of a batch, weighted by window; a model with its own likelihood overrides it."""
        return self._mean_loss(self.outputs(batch), batch)

    def learn(self, batch: Batch, held_out: list[Batch]) -> None:
        """Learn from many windows, where this is not by gradients; `held_out` are others, none in a refit."""
        raise NotImplementedError

    def seconds_to_learn(self, windows: int) -> float:
        raise NotImplementedError

    def _mean_loss(self, quantiles: Tensor, batch: Batch) -> Tensor:
        error = batch.target[..., None] - quantiles
        pinball = (self.levels - (error < 0).to(error.dtype)) * error
        outer = (pinball.sum(-1) - pinball[..., self.middle]) / max(quantiles.shape[-1] - 1, 1)
        point = POINT_LOSSES[self.shape.loss](error[..., self.middle])
        share = batch.target_mask * batch.weight[:, None]
        loss: Tensor = ((point + outer) * share).sum() / share.sum().clamp(
            min=torch.finfo(share.dtype).tiny
        )
        return loss

    def quantiles(
        self, batch: Batch, levels: tuple[float, ...], generator: Generator | None = None
    ) -> Tensor:
        """Quantiles at `levels` in scaled units, [batch, horizon, levels]; a model that samples paths overrides it."""
        return self.outputs(batch)

    def _earlier(self, batch: Batch) -> Tensor:
        """Values at the same phase of the season, oldest first, then of longer ones, [batch, values, horizon]."""
        longer: Tensor = batch.seasonal[..., list(self.shape.longer_seasons)].transpose(1, 2)
        if (
            not self.shape.recent_seasons
        ):  # the exporter of torch divides by the size of an empty reshape, and dies
            return longer
        season, count, horizon = (
            self.shape.seasons[0],
            self.shape.recent_seasons,
            self.shape.horizon,
        )
        newest = batch.past[:, self.shape.lookback - count * season :].reshape(
            longer.shape[0], count, season
        )
        return torch.cat([newest.repeat(1, 1, -(-horizon // season))[..., :horizon], longer], 1)

    def _seasonal_error(self, batch: Batch) -> Tensor:
        """By how much values one season apart differ in the past of each window, [batch, 1]; 1 without a season.

        A difference of one unit counts with those observed, for a past that has few.
        """
        if not self.shape.seasons:
            return torch.ones_like(batch.past[:, :1])
        season = self.shape.seasons[0]
        both: Tensor = batch.mask[:, season:] * batch.mask[:, :-season]
        apart: Tensor = (batch.past[:, season:] - batch.past[:, :-season]).abs() * both
        return (apart.sum(1, keepdim=True) + 1) / (both.sum(1, keepdim=True) + 1)

    def _known_past(self, batch: Batch) -> Tensor:
        """Of the past what `future_covariates` holds of the horizon, [batch, lookback, future]; after `_embed`."""
        numbers = batch.past_covariates[..., : self.known_numbers]
        codes = [table(batch.past_codes[..., i]) for i, table in enumerate(self.future_tables)]
        return torch.cat([numbers, *codes], -1) if codes else numbers

    def _prepare(self, batch: Batch) -> tuple[Batch, Tensor | None]:
        """The batch embedded, its past without the effects of known columns, and those on the horizon, if any."""
        batch = self._embed(batch)
        if self.effects is None:
            return batch, None
        past, ahead = self.effects.around(self._known_past(batch), batch.future_covariates)
        return replace(batch, past=batch.past - past * batch.mask), ahead

    def _embed(self, batch: Batch) -> Batch:
        def joined(numbers: Tensor, tables: nn.ModuleList, codes: Tensor) -> Tensor:
            return torch.cat(
                [numbers, *(table(codes[..., i]) for i, table in enumerate(tables))], -1
            )

        return replace(
            batch,
            past_covariates=joined(batch.past_covariates, self.past_tables, batch.past_codes),
            future_covariates=joined(
                batch.future_covariates, self.future_tables, batch.future_codes
            ),
            static=joined(batch.static, self.static_tables, batch.static_codes),
        )


def _softplus(values: Tensor) -> Tensor:
    if torch.onnx.is_in_onnx_export():  # onnxruntime takes five times as long for its own
        return torch.relu(values) - torch.log(torch.sigmoid(values.abs()))
    return functional.softplus(values)
