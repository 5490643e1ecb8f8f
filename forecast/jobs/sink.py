"""The rows that a job writes into a table of a database."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.forecaster import Forecasts
from forecast.series.building import calendar_of
from forecast.series.schema import Schema


def sink_frame(found: Forecasts, schema: Schema, version: str) -> pd.DataFrame:
    """The rows of a database's table: ids, time, numbers, then origin, version, model and status.

    Times are timestamps, with a zone where the table's have one, or whole numbers where they are steps.
    """
    calendar = calendar_of(schema)
    rows = found.quantiles.shape[1]
    origins = found.panel.origins[found.series]
    instants = calendar.times((origins[:, None] + 1 + np.arange(rows)).ravel())
    frame = found.frame.copy()
    frame[schema.time] = _stamps(instants, schema)
    frame["origin"] = _stamps(np.repeat(calendar.times(origins), rows), schema)
    return frame.assign(version=version)[[*frame.columns.drop(["model", "status"]), "version", "model", "status"]]


def _stamps(instants: NDArray[np.int64], schema: Schema) -> "pd.Index[Any]":
    if schema.time_format.kind == "integer" or schema.layout == "rows":
        return pd.Index(instants)
    stamps = pd.DatetimeIndex(instants.astype("datetime64[s]"))
    return stamps.tz_localize("UTC") if schema.time_format.zone is not None else stamps
