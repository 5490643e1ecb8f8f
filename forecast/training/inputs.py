"""From a panel and how it was read to what a network is built for and reads."""

from dataclasses import replace

import torch

from forecast.models.shared.model import Shape
from forecast.series.building import calendar_of
from forecast.series.covariates import Statistics, category_sizes, make_columns, numeric_count
from forecast.series.panel import Integers, Panel
from forecast.series.schema import Schema
from forecast.series.transforms import apply_power
from forecast.series.windows import Windows
from forecast.settings import TrainSettings


def network_shape(
    schema: Schema,
    horizon: int,
    lookback: int,
    lags: tuple[int, ...],
    levels: tuple[float, ...],
    series: int,
    settings: TrainSettings,
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
        loss=settings.loss,
    )


def make_windows(
    panel: Panel,
    schema: Schema,
    statistics: Statistics,
    shape: Shape,
    power: float,
    settings: TrainSettings,
    numbers: Integers,
    device: torch.device,
) -> Windows:
    """All windows of a panel, its target transformed and its covariates standardised."""
    columns = make_columns(panel, schema, statistics, calendar_of(schema))
    moved = replace(panel, values=apply_power(panel.values, panel.observed, power))
    return Windows(moved, columns, shape.lookback, shape.horizon, shape.seasons, settings.scaling, numbers, device)
