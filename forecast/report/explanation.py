"""Explain forecasts: what they rest on, and what they are made of."""

import logging
from dataclasses import dataclass, fields

import numpy as np

from forecast.errors import BadData
from forecast.inference.forecasting import Columns, columns_at
from forecast.inference.predictor import Predictor
from forecast.panel.panel import Integers, Panel
from forecast.reading.known import require_known
from forecast.report.importance import Importance, OnPart, importances
from forecast.report.parts import Parts, parts_of
from forecast.settings import ExplainSettings

log = logging.getLogger("forecast")

NAMES = tuple(field.name for field in fields(Parts))
"""The columns of the parts; the others add up to the first, the median."""


@dataclass(frozen=True)
class Explanation:
    """What forecasts rest on and are made of.

    Attributes
    ----------
    importance : of all inputs, the largest first; none where no forecast can be judged
    parts : of the forecasts of `series`; None where values known in advance are missing
    panel : what was forecast from
    series : [series], those with a forecast, in the order of the input
    """

    importance: list[Importance]
    parts: Parts | None
    panel: Panel
    series: Integers

    def columns(self, predictor: Predictor) -> Columns:
        """A row for each series and step: id columns, time columns, and the parts; no columns without parts."""
        if self.parts is None:
            return {}
        steps = np.arange(1, self.parts.median.shape[1] + 1)
        numbers = {name: getattr(self.parts, name) for name in NAMES}
        return columns_at(self.panel, predictor.fitted.config.table, self.series, steps, numbers)


def explained(
    predictor: Predictor,
    panel: Panel,
    settings: ExplainSettings,
    name: str,
    with_future: bool = False,
    on_part: OnPart | None = None,
) -> Explanation:
    """Explain the forecasts of a panel.

    Parameters
    ----------
    panel : read as at fit, with a horizon of future slots
    name : of the table that should have the values known in advance, for messages
    with_future : whether it is a table of the future
    on_part : receives the progress

    Raises
    ------
    BadData
        If there is neither, or no series has a forecast.
    """
    schema, horizon = predictor.fitted.config.table, predictor.fitted.config.horizon
    series = panel.order[~panel.skipped[panel.order]]
    if not len(series):
        raise BadData("no series has a forecast, so there is nothing to explain", place=name)
    try:
        require_known(panel, schema, horizon, name, with_future)
    except BadData as error:
        log.warning("without the parts of the forecasts: %s", error)
        parts = None
    else:
        parts = parts_of(predictor, panel, series)
    try:
        found = importances(predictor, panel, settings.repeats, predictor.fitted.settings().seed, on_part)
    except BadData as error:
        if parts is None:
            raise
        log.warning("without importance: %s", error)
        found = []
    if found and panel.newest <= predictor.fitted.history.newest:
        log.info("importance is measured on values of the fit; a table with newer ones measures it on those")
    return Explanation(found, parts, panel, series)
