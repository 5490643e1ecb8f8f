"""Explain forecasts: what they rest on, and what they are made of."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from forecast.errors import BadData
from forecast.inference.forecasting import columns_at
from forecast.inference.predictor import Predictor
from forecast.panel.naming import find_series
from forecast.panel.panel import Ids, Panel
from forecast.reading.known import require_known
from forecast.report.importance import Importance, importances
from forecast.report.parts import parts_of
from forecast.settings import ExplainSettings
from forecast.tables.frames import Frame, frame_of
from forecast.threads import OnPart

log = logging.getLogger("forecast")


@dataclass(frozen=True)
class Explanation:
    """What forecasts rest on, and what they are made of.

    Attributes
    ----------
    importance : a row for each input, the most important first: ``input``, its ``kind`` (known, past, static, event, or
        values for the past of the series themselves), and mean and standard deviation over repeats of what the mean
        absolute error of the newest horizons grows by without it, ``mean`` and ``std``, in the target's unit; no rows
        where no series is long enough to hold out a horizon
    parts : a row for each forecast: id columns, time column, ``median``, and ``level``, ``season``, ``events``,
        ``known`` and ``rest``, which add up to it; no rows where values known in advance are missing
    ids : of the series of the parts, in their order
    """

    importance: Frame
    parts: Frame
    ids: Ids


def explain_panel(
    predictor: Predictor,
    panel: Panel,
    settings: ExplainSettings,
    name: str,
    with_future: bool = False,
    on_part: OnPart | None = None,
    names: Sequence[str] | None = None,
) -> Explanation:
    """Explain the forecasts of a panel, read as at fit, with a horizon of future slots.

    The parts are those of the series with these `names`: of the first one if there are none, of all by default.
    Messages call `name` the table that should have the values known in advance, which is a table of the future or not.
    Raises `BadData` if there is neither importance nor parts, or no series has a forecast.
    """
    fitted = predictor.fitted
    schema, horizon = fitted.config.table, fitted.config.horizon
    series = panel.order[~panel.skipped[panel.order]]
    if not len(series):
        raise BadData("no series has a forecast, so there is nothing to explain", place=name)
    if names is not None:
        ids = [panel.ids[i] for i in series]
        series = series[[find_series(ids, series_name) for series_name in dict.fromkeys(names)] or [0]]
    parts, found = frame_of({}), list[Importance]()
    try:
        require_known(panel, schema, horizon, name, with_future)
    except BadData as error:
        log.warning("without the parts of the forecasts: %s", error)
    else:
        numbers = parts_of(predictor, panel, series)
        parts = frame_of(columns_at(panel, schema, series, np.arange(1, horizon + 1), numbers))
    try:
        found = importances(predictor, panel, settings.repeats, fitted.settings().seed, on_part)
    except BadData as error:
        if parts.empty:
            raise
        log.warning("without importance: %s", error)
    if found and panel.newest <= fitted.history.newest:
        log.info("importance is measured on values of the fit; a table with newer ones measures it on those")
    columns = {name: np.array([getattr(row, name) for row in found]) for name in Importance._fields}
    return Explanation(frame_of(columns), parts, tuple(panel.ids[i] for i in series))
