"""Tables of how good forecasts were: overall, by series, by step of the horizon, and each forecast beside its value."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.evaluation.metrics import MEASURES, Axes, error_units, measures, skill
from forecast.panel.building import calendar_of, format_positions, position_texts, time_columns_at
from forecast.panel.naming import repeated_ids
from forecast.panel.panel import Integers, Panel
from forecast.panel.schema import Schema
from forecast.tables.frames import frame_of
from forecast.tables.writing import interval_columns

Values = NDArray[np.float64]

REFERENCE = "seasonal-naive"
"""The model that skill is measured against."""


@dataclass(frozen=True)
class Judged:
    """Forecasts of some models and what came.

    Attributes
    ----------
    panel, schema : of the table
    actual : [series, origins, horizon], NaN where missing
    numbers : by model, [series, origins, horizon, 1 + 2 * intervals], NaN where none was made
    intervals : in percent
    scale, squared_scale : [series], the units of MASE and RMSSE
    """

    panel: Panel
    schema: Schema
    actual: Values
    numbers: dict[str, Values]
    intervals: tuple[float, ...]
    scale: Values
    squared_scale: Values


def in_sample_errors(panel: Panel, origin: Integers, season: int) -> tuple[Values, Values]:
    """Units of MASE and RMSSE from the values up to an origin: mean absolute and squared error of seasonal naive.

    Parameters
    ----------
    origin : [series], grid positions
    """
    end = panel.offsets[:-1] + origin - panel.starts + 1
    before = panel.observed & (np.arange(panel.offsets[-1]) < np.repeat(end, np.diff(panel.offsets)))
    absolute, squared = (error_units(panel.values, before, panel.offsets, season, power) for power in (1, 2))
    return absolute, squared


def result_columns(intervals: tuple[float, ...]) -> list[str]:
    """Names of all columns of the tables here beside ids and times."""
    by_interval = [f"{word}_{one:g}" for one in intervals for word in ("coverage", "width")]
    shown = ["model", "skill", "origin", "actual", "forecast", *interval_columns(intervals)]
    return [*shown, *MEASURES, *by_interval, "msis"]


def measure_tables(judged: Judged) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """The measures overall, by series in the order of the input, and by step; a row for each model."""
    order, models = judged.panel.order, len(judged.numbers)
    names = {name: [judged.panel.ids[i][k] for i in order] for k, name in enumerate(judged.schema.ids)}
    overall = _measured(judged, None, np.zeros(1, np.int64))
    by_series = _measured(judged, (1, 2), order)
    by_step = _measured(judged, (0, 1), np.arange(judged.actual.shape[2]))
    ids: dict[str, Any] = {name: np.repeat(np.array(column, object), models) for name, column in names.items()}
    steps = np.repeat(np.arange(1, judged.actual.shape[2] + 1), models)
    return (
        overall,
        pd.concat([pd.DataFrame(ids), by_series], axis=1),
        pd.concat([pd.DataFrame({"step": steps}), by_step], axis=1),
    )


def forecasts_table(judged: Judged, origins: Integers) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Every forecast beside its value, and how the origins of the longest series are written.

    Parameters
    ----------
    origins : [origins, series], grid positions
    """
    panel, schema = judged.panel, judged.schema
    columns = ["forecast", *interval_columns(judged.intervals)]
    begun = (origins >= panel.starts).T[panel.order]  # [series in the order of the input, origins]
    rank, origin = np.nonzero(begun)
    series, horizon = panel.order[rank], judged.actual.shape[2]
    at = origins[origin, series]
    positions = at[:, None] + 1 + np.arange(horizon)
    calendar = calendar_of(schema)
    shared: dict[str, Any] = {**repeated_ids([panel.ids[i] for i in series], schema.ids, horizon)}
    shared["origin"] = format_positions(schema, calendar, np.repeat(at, horizon))
    shared |= time_columns_at(schema, calendar, positions.ravel())
    shared["actual"] = judged.actual[series, origin].ravel()
    base = frame_of(shared)
    parts = []
    for model, numbers in judged.numbers.items():
        rows = numbers[series, origin].reshape(len(base), -1)
        parts.append(pd.concat([base.assign(model=model), pd.DataFrame(rows, columns=columns)], axis=1))
    longest = origins[:, int(np.argmax(panel.lengths))]
    return pd.concat(parts, ignore_index=True), tuple(position_texts(schema, calendar, longest))


def _measured(judged: Judged, axis: Axes, rows: Integers) -> pd.DataFrame:
    """The measures of all models over some axes: for each of `rows` of what they leave, a row of each model."""
    found = {
        model: measures(judged.actual, numbers, judged.intervals, judged.scale, judged.squared_scale, axis)
        for model, numbers in judged.numbers.items()
    }
    parts = []
    for model, each in found.items():
        columns = {"skill": skill(each["mase"], found[REFERENCE]["mase"]), **each}
        part = pd.DataFrame({name: np.atleast_1d(values)[rows] for name, values in columns.items()})
        part.insert(0, "model", model)
        parts.append(part)
    together = pd.concat(parts)
    return together.sort_index(kind="stable").reset_index(drop=True)
