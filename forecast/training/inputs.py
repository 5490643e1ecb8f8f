"""From a panel and how it was read to the windows that networks read and the shapes they are built for."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch

from forecast.models.shared.model import Shape
from forecast.panel.building import calendar_of
from forecast.panel.covariates import Statistics, category_sizes, make_columns, numeric_count
from forecast.panel.panel import Integers, Panel
from forecast.panel.schema import Schema
from forecast.panel.transforms import transformed
from forecast.panel.windows import Windows
from forecast.settings import LossName
from forecast.training.plan import Candidate


@dataclass(frozen=True)
class Inputs:
    """A panel made ready for any network: target transformed, covariates standardised, nothing cut yet.

    Attributes
    ----------
    panel : its values transformed
    schema : how the table was read
    lags : season lengths whose lagged values the networks see
    levels : quantile levels of the outputs
    series : series of the fit
    loss : how the point forecast is trained
    numbers : [series], the number of each series among those of the fit, from 1; 0 for one that was not there
    """

    panel: Panel
    schema: Schema
    lags: tuple[int, ...]
    levels: tuple[float, ...]
    series: int
    loss: LossName
    numbers: Integers
    _windows: Windows

    @classmethod
    def of(
        cls,
        panel: Panel,
        schema: Schema,
        statistics: Statistics,
        *,
        power: float,
        lags: tuple[int, ...],
        levels: tuple[float, ...],
        ids: tuple[tuple[str, ...], ...],
        loss: LossName,
        horizon: int,
        device: torch.device,
    ) -> Self:
        """Make a panel ready.

        Parameters
        ----------
        power : exponent of the target's transform
        ids : of the series of the fit
        horizon : steps that the networks forecast
        """
        columns = make_columns(panel, schema, statistics, calendar_of(schema))
        moved = transformed(panel, power)
        numbers = numbers_in(ids, panel.ids)
        windows = Windows(moved, columns, 1, horizon, lags, "standard", numbers, device)
        return cls(moved, schema, lags, levels, len(ids), loss, numbers, windows)

    @property
    def horizon(self) -> int:
        """Steps that the networks forecast."""
        return self._windows.horizon

    @property
    def device(self) -> torch.device:
        """Where the arrays lie."""
        return self._windows.device

    def windows(self, candidate: Candidate) -> Windows:
        """The windows as a candidate reads them."""
        return self._windows.cut(candidate.lookback, candidate.scaling)

    def shape(self, candidate: Candidate) -> Shape:
        """What a network of this candidate is built for."""
        return network_shape(
            self.schema, self.horizon, candidate.lookback, self.lags, self.levels, self.series, self.loss
        )


def numbers_in(fitted: tuple[tuple[str, ...], ...], ids: tuple[tuple[str, ...], ...]) -> Integers:
    """The number of each of `ids` among those of the fit, from 1; 0 for one that was not there."""
    rank = {one: i for i, one in enumerate(fitted, start=1)}
    return np.array([rank.get(one, 0) for one in ids], np.int64)


def network_shape(
    schema: Schema,
    horizon: int,
    lookback: int,
    lags: tuple[int, ...],
    levels: tuple[float, ...],
    series: int,
    loss: LossName,
) -> Shape:
    """What a network must know of tables of this schema."""
    calendar = len(calendar_of(schema).feature_names)
    known = numeric_count(schema.known, schema)
    return Shape(
        lookback=lookback,
        horizon=horizon,
        past=calendar + known + numeric_count(schema.past, schema),
        future=calendar + known,
        static=numeric_count(schema.static, schema),
        past_categories=category_sizes((*schema.known, *schema.past), schema),
        future_categories=category_sizes(schema.known, schema),
        static_categories=category_sizes(schema.static, schema),
        series=series,
        seasons=lags,
        levels=levels,
        loss=loss,
    )
