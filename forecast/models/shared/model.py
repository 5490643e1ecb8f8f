"""The base of every model: it embeds categories, adds the seasonal skip, and orders quantiles."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from forecast.models.shared.known import KnownEffects
from forecast.settings import LossName, SettingsGroup
from forecast.windows.windows import Batch

# point losses, as functions of the errors: actual minus forecast in scaled units
POINT_LOSSES: dict[LossName, Callable[[Tensor], Tensor]] = {
    "quantile": torch.abs,  # of the median, together with those of all other levels
    "mae": torch.abs,
    "mse": torch.square,
    "huber": lambda error: functional.huber_loss(error, torch.zeros_like(error), reduction="none"),
}

MOST_SEASONS = 14  # newest seasons that a forecast may combine: two weeks, if a season is a day


@dataclass(frozen=True)
class Shape:
    """The sizes of what a network reads and gives."""

    lookback: int  # steps
    horizon: int
    past: int = 0  # numeric columns of the past
    future: int = 0  # numeric columns that are known in advance
    calendar: int = 0  # how many of `future` are calendar columns, which come first
    static: int = 0
    past_categories: tuple[int, ...] = ()  # codes of each categorical column
    future_categories: tuple[int, ...] = ()
    static_categories: tuple[int, ...] = ()
    series: int = 0  # of the fit; the index of a series that was not in it is -1 in a batch
    seasons: tuple[int, ...] = ()  # lengths of the seasons whose lagged values a batch holds
    levels: tuple[float, ...] = (0.5,)  # quantile levels, ascending, 0.5 among them
    loss: LossName = "quantile"  # of the point forecast

    @property
    def recent_seasons(self) -> int:
        """How many of the newest whole seasons, of the shortest kind, a forecast may combine."""
        if not self.seasons:
            return 0
        return min(MOST_SEASONS, self.lookback // self.seasons[0])

    @property
    def longer_seasons(self) -> tuple[int, ...]:
        """Indices of the seasons that reach back beyond the recent ones."""
        if not self.seasons:
            return ()
        reach = self.recent_seasons * self.seasons[0]
        return tuple(place for place, season in enumerate(self.seasons) if season > reach)

    @property
    def earlier(self) -> int:
        """How many values at the same phase of earlier seasons a horizon step may combine."""
        return self.recent_seasons + len(self.longer_seasons)

    @property
    def outputs(self) -> int:
        """How many outputs a network has for each horizon step: quantiles and earlier values."""
        return len(self.levels) + self.earlier

    def embed(self) -> "Shape":
        """The shape as a network's layers see it, with categories embedded."""
        return replace(
            self,
            past=self.past + _embedded_size(self.past_categories),
            future=self.future + _embedded_size(self.future_categories),
            static=self.static + _embedded_size(self.static_categories),
        )


def embedding_size(codes: int) -> int:
    return min(8, (codes + 2) // 2)


def _embedded_size(categories: tuple[int, ...]) -> int:
    return sum(map(embedding_size, categories))


class RecurrentModel(nn.Module):
    """Base of every model.

    A subclass names its settings as `Params`, builds its layers for ``self.shape`` (categories
    already embedded), and turns an embedded batch into raw outputs [batch, horizon,
    ``shape.outputs``] in `forward`. The first output is the point forecast. Then come the gaps
    between neighbouring quantiles, from the point outwards; all of these are in units of the
    window's seasonal error. The last outputs are added to the weights of the earlier values
    (`_earlier`) at that step of that window. A network with `starts_trained` trains as one that
    continues an earlier fit does, at `rate_share` of the learning rate.
    """

    Params: ClassVar[type[SettingsGroup]] = SettingsGroup
    starts_trained: ClassVar[bool] = False
    rate_share: ClassVar[float] = 1.0
    no_export: ClassVar[str] = ""  # why its forecasts are not exported; empty where they are
    rows_at_once: ClassVar[int] = 0  # steps that it can `learn` from at once; 0: by gradients
    levels: Tensor

    def __init__(self, params: Any, shape: Shape) -> None:
        super().__init__()
        self.params = params
        self.shape = shape.embed()
        self.middle = shape.levels.index(0.5)
        self.known_numbers = shape.future
        self.past_tables = _embeddings(shape.past_categories)
        self.future_tables = _embeddings(shape.future_categories)
        self.static_tables = _embeddings(shape.static_categories)
        # weights of earlier values, which make the seasonal skip; stored networks call them `gates`
        equal = 1.0 / max(shape.earlier, 1)
        self.gates = nn.Parameter(torch.full((shape.earlier, shape.horizon), equal))
        known_columns = self.shape.future > shape.calendar
        self.effects = KnownEffects(self.shape.future) if known_columns else None
        self.register_buffer("levels", torch.tensor(shape.levels), persistent=False)

    def outputs(self, batch: Batch) -> Tensor:
        """Quantiles in scaled units, [batch, horizon, levels], ascending along the last axis."""
        batch, effects = self._prepare(batch)
        quantiles = self._put_together(self(batch), batch)
        if effects is None:
            return quantiles
        return quantiles + effects[..., None]

    def attention(self, batch: Batch) -> Tensor | None:
        """The weight of each step of the past, [batch, lookback]; None without attention."""
        return None

    def core(self, batch: Batch, arrays: dict[str, Tensor]) -> Tensor:
        """What is exported: it can be traced from a batch and the arrays of `example`."""
        return self.outputs(batch)

    def example(self, batch: Batch) -> dict[str, Tensor]:
        """Arrays by name that `core` takes, if a part of its inputs is computed in numpy."""
        return {}

    def loss(self, batch: Batch) -> Tensor:
        """Mean loss of a batch, weighted by window; a network with a likelihood overrides it."""
        return self._mean_loss(self.outputs(batch), batch)

    def learn(self, batch: Batch, held_out: list[Batch]) -> None:
        """Learn without gradients from a batch; `held_out` are other windows, none in a refit."""
        raise NotImplementedError

    def seconds_to_learn(self, windows: int) -> float:
        raise NotImplementedError

    def quantiles(
        self, batch: Batch, levels: tuple[float, ...], generator: Generator | None = None
    ) -> Tensor:
        """Quantiles in scaled units, [batch, horizon, levels]; networks that sample override it."""
        return self.outputs(batch)

    def _put_together(self, raw: Tensor, batch: Batch) -> Tensor:
        """Quantiles from raw outputs and from earlier values in the past of the same windows."""
        sizes = [1, len(self.shape.levels) - 1, self.shape.earlier]
        point, gaps, gates = torch.split(raw.transpose(1, 2), sizes, 1)  # along the slow axis
        unit = self._seasonal_error(batch)[:, None]
        weighted = self._earlier(batch) * (self.gates + gates)
        point = unit * point + weighted.sum(1, keepdim=True)

        # with another point loss, errors of outer quantiles must not change the point forecast
        base = point if self.shape.loss == "quantile" else point.detach()
        distances = unit * _softplus(gaps)
        below = distances[:, : self.middle].cumsum(1).flip(1)
        above = distances[:, self.middle :].cumsum(1)
        quantiles = torch.cat([base - below, point, base + above], 1)
        return quantiles.transpose(1, 2)

    def _as_outputs(self, point: Tensor, distances: Tensor, batch: Batch) -> Tensor:
        """Raw outputs, from a point forecast and distances that are the same for all windows."""
        point = point / self._seasonal_error(batch)
        gaps = distances.expand(point.shape[0], -1, -1)
        gates = point.new_zeros(*point.shape, self.shape.earlier)
        return torch.cat([point[..., None], gaps, gates], -1)

    def _mean_loss(self, quantiles: Tensor, batch: Batch) -> Tensor:
        error = batch.target[..., None] - quantiles
        slopes = self.levels - (error < 0).to(error.dtype)
        pinball = slopes * error
        others = max(quantiles.shape[-1] - 1, 1)
        without_median = pinball.sum(-1) - pinball[..., self.middle]
        outer = without_median / others
        point = POINT_LOSSES[self.shape.loss](error[..., self.middle])
        weight = batch.target_mask * batch.weight[:, None]
        return weighted_mean(point + outer, weight)

    def _earlier(self, batch: Batch) -> Tensor:
        """Values at the same phase of recent seasons, oldest first, then of longer seasons.

        The shape is [batch, earlier, horizon].
        """
        longer: Tensor = batch.seasonal[..., list(self.shape.longer_seasons)]
        longer = longer.transpose(1, 2)
        count = self.shape.recent_seasons
        if not count:  # the exporter of torch divides by the size of an empty reshape, and dies
            return longer
        season = self.shape.seasons[0]
        horizon = self.shape.horizon
        newest = batch.past[:, self.shape.lookback - count * season :]
        cycles = newest.reshape(longer.shape[0], count, season)
        repeated = cycles.repeat(1, 1, -(-horizon // season))
        return torch.cat([repeated[..., :horizon], longer], 1)

    def _seasonal_error(self, batch: Batch) -> Tensor:
        """Mean absolute change over a season in each past, [batch, 1]; 1 without a season.

        A change of one scaled unit is added to those observed, for pasts that have few.
        """
        if not self.shape.seasons:
            return torch.ones_like(batch.past[:, :1])
        season = self.shape.seasons[0]
        both: Tensor = batch.mask[:, season:] * batch.mask[:, :-season]
        change: Tensor = batch.past[:, season:] - batch.past[:, :-season]
        total = (change.abs() * both).sum(1, keepdim=True)
        return (total + 1) / (both.sum(1, keepdim=True) + 1)

    def _known_past(self, batch: Batch) -> Tensor:
        """The columns of `future_covariates` in the past, [batch, lookback, future]."""
        numbers = batch.past_covariates[..., : self.known_numbers]
        return _join(numbers, self.future_tables, batch.past_codes)

    def _prepare(self, batch: Batch) -> tuple[Batch, Tensor | None]:
        """The embedded batch, its past without effects of known columns, and the effects ahead."""
        batch = self._embed(batch)
        if self.effects is None:
            return batch, None
        past, ahead = self.effects.around(self._known_past(batch), batch.future_covariates)
        without_effects = batch.past - past * batch.mask
        return replace(batch, past=without_effects), ahead

    def _embed(self, batch: Batch) -> Batch:
        past = _join(batch.past_covariates, self.past_tables, batch.past_codes)
        future = _join(batch.future_covariates, self.future_tables, batch.future_codes)
        static = _join(batch.static, self.static_tables, batch.static_codes)
        return replace(batch, past_covariates=past, future_covariates=future, static=static)


def weighted_mean(values: Tensor, weight: Tensor) -> Tensor:
    """The weighted mean, or 0 where no weight is positive."""
    least = torch.finfo(weight.dtype).tiny
    return (values * weight).sum() / weight.sum().clamp(min=least)


def _embeddings(sizes: tuple[int, ...]) -> nn.ModuleList:
    return nn.ModuleList(nn.Embedding(codes, embedding_size(codes)) for codes in sizes)


def _join(numbers: Tensor, tables: nn.ModuleList, codes: Tensor) -> Tensor:
    """Numeric columns and the embedded codes of categorical ones."""
    embedded = [table(codes[..., column]) for column, table in enumerate(tables)]
    return torch.cat([numbers, *embedded], -1)


def _softplus(values: Tensor) -> Tensor:
    if torch.onnx.is_in_onnx_export():  # onnxruntime takes five times as long for its own
        return torch.relu(values) - torch.log(torch.sigmoid(values.abs()))
    return functional.softplus(values)
