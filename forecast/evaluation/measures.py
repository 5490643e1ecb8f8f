"""Measures of forecasts as columns: overall, by series, by step of the horizon, and each forecast beside its value."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.evaluation.metrics import Axes, Outcome, error_units, measures, skill
from forecast.panel.panel import Integers, Numbers, Panel
from forecast.panel.schema import Schema

Columns = dict[str, NDArray[Any]]  # a table: arrays of one length by name

REFERENCE = "seasonal-naive"
"""The model that skill is measured against."""


@dataclass(frozen=True)
class Evaluation:
    """Forecasts of some models and what came.

    Attributes
    ----------
    panel, schema : of the table
    actual : [series, origins, horizon], NaN where missing
    numbers : by model, [series, origins, horizon, 1 + 2 * intervals], NaN without a forecast
    intervals : in percent
    scale, squared_scale : [series], the units of MASE and RMSSE
    """

    panel: Panel
    schema: Schema
    actual: Numbers
    numbers: dict[str, Numbers]
    intervals: tuple[float, ...]
    scale: Numbers
    squared_scale: Numbers


@dataclass(frozen=True)
class Measures:
    """Tables of measures, a row for each model; ``skill`` comes first.

    Attributes
    ----------
    overall : a row for each model
    by_series : the id columns first, series in the order of the input
    by_step : the column ``step`` first
    """

    overall: Columns
    by_series: Columns
    by_step: Columns


@dataclass(frozen=True)
class ForecastRows:
    """Forecasts beside their values: a row for each series in the order of the input, origin and step.

    Attributes
    ----------
    series : [rows], indices into the panel
    origin, position : [rows], grid positions of the origin and of the forecast step
    actual : [rows], NaN where missing
    numbers : by model, [rows, 1 + 2 * intervals]
    intervals : in percent
    """

    series: Integers
    origin: Integers
    position: Integers
    actual: Numbers
    numbers: dict[str, Numbers]
    intervals: tuple[float, ...]


def in_sample_errors(panel: Panel, origin: Integers, season: int) -> tuple[Numbers, Numbers]:
    """Units of MASE and RMSSE from the values up to an origin: mean absolute and squared error of seasonal naive.

    Parameters
    ----------
    origin : [series], grid positions
    """
    end = panel.offsets[:-1] + origin - panel.starts + 1
    before = panel.observed & (np.arange(panel.offsets[-1]) < np.repeat(end, np.diff(panel.offsets)))
    absolute, squared = (error_units(panel.values, before, panel.offsets, season, power) for power in (1, 2))
    return absolute, squared


def measure_tables(evaluation: Evaluation) -> Measures:
    """The measures overall, by series and by step."""
    panel, models = evaluation.panel, len(evaluation.numbers)
    ids = {
        name: np.repeat(np.array([panel.ids[i][place] for i in panel.order], object), models)
        for place, name in enumerate(evaluation.schema.ids)
    }
    steps = np.arange(evaluation.actual.shape[2])
    return Measures(
        overall=_measured(evaluation, None, np.zeros(1, np.int64)),
        by_series={**ids, **_measured(evaluation, (1, 2), panel.order)},
        by_step={"step": np.repeat(steps + 1, models), **_measured(evaluation, (0, 1), steps)},
    )


def forecast_rows(evaluation: Evaluation, origins: Integers) -> ForecastRows:
    """Every forecast beside its value.

    Parameters
    ----------
    origins : [origins, series], grid positions
    """
    panel, horizon = evaluation.panel, evaluation.actual.shape[2]
    begun = (origins >= panel.starts).T[panel.order]  # [series in the order of the input, origins]
    rank, origin = np.nonzero(begun)
    series = panel.order[rank]
    at = origins[origin, series]
    return ForecastRows(
        series=np.repeat(series, horizon),
        origin=np.repeat(at, horizon),
        position=(at[:, None] + 1 + np.arange(horizon)).ravel(),
        actual=evaluation.actual[series, origin].ravel(),
        numbers={
            model: numbers[series, origin].reshape(len(series) * horizon, -1)
            for model, numbers in evaluation.numbers.items()
        },
        intervals=evaluation.intervals,
    )


def _measured(evaluation: Evaluation, axis: Axes, rows: Integers) -> Columns:
    """The measures of all models over some axes: for each of `rows` of what they leave, a row of each model."""
    by_model = {
        model: measures(
            Outcome(evaluation.actual, numbers, evaluation.intervals, evaluation.scale, evaluation.squared_scale), axis
        )
        for model, numbers in evaluation.numbers.items()
    }
    reference = by_model[REFERENCE]["mase"]
    parts = [{"skill": skill(results["mase"], reference), **results} for results in by_model.values()]
    columns: Columns = {"model": np.tile(np.array(list(by_model), object), len(rows))}
    for name in parts[0]:
        columns[name] = np.stack([np.atleast_1d(part[name])[rows] for part in parts], 1).ravel()  # [rows * models]
    return columns
