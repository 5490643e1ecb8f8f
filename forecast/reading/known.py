"""Columns known in advance: check that the horizon has their values, and count the blank ones."""

import logging

import numpy as np

from forecast.errors import BadData, Setting, Words
from forecast.panel.naming import first_names, series_name
from forecast.panel.panel import Flags, Panel
from forecast.panel.schema import Schema, calendar_of, position_texts

log = logging.getLogger("forecast")

NAMED_TIMES = 3  # times that a message names
BLANK_AHEAD = "%s: %d of %d values that are known in advance are blank in the horizon; they count as unknown"
BLANK_BEYOND = (
    "%s: %d of %d values known in advance are blank after step %d of the %d that are forecast together; the mean of "
    "the column stands for them, or an unknown category"
)
BLANK_BESIDE = "%s: columns known in advance are blank beside some of the %d values (%s times); there they are unknown"


def require_known(
    panel: Panel, schema: Schema, horizon: int, name: str = "the table", with_future: bool = False, saved: bool = True
) -> None:
    """Refuse a panel without the values known in advance for the horizon of a series that gets a forecast.

    The table of that name should have them; `with_future` if it is a table of the future. Where no forecaster is
    `saved`, no other table can have them.
    """
    blank = _blank_ahead(panel, schema, horizon)
    if not blank.any():
        return
    series, _, column = np.argwhere(blank)[0].tolist()
    steps = np.flatnonzero(blank[series, :, column])
    times = first_names(position_texts(schema, calendar_of(schema), panel.origins[series] + 1 + steps), NAMED_TIMES)
    of_series = f" of series '{series_name(panel.ids[series])}'" if any(panel.ids[series]) else ""
    in_all = f" (in all {blank.sum():,} such values, of {blank.any((1, 2)).sum():,} series)"
    template = Words("; ", Setting("future_template"), " writes the rows that are needed")
    elsewhere = (", or pass ", Setting("future"), template) if saved else ()
    cure = Words("fill in blank cells, add rows with blank targets", *elsewhere)
    raise BadData(
        f"column '{schema.known[column]}' is known in advance, but has no value for {len(steps)} of the {horizon} "
        f"steps{of_series}: {times}{in_all if blank.sum() > len(steps) else ''}",
        place=name,
        cure=Words("fill in blank cells, or add the rows", template) if with_future else cure,
    )


def warn_blank_ahead(panel: Panel, schema: Schema, horizon: int, name: str) -> None:
    """Warn of values that are blank in the horizon, where the forecast goes on without them."""
    if (blank := _blank_ahead(panel, schema, horizon)).any():
        log.warning(BLANK_AHEAD, name, blank.sum(), blank.size)


def warn_blank_beyond(panel: Panel, schema: Schema, horizon: int, whole: int, name: str) -> None:
    """Say what stands for values that are blank beyond a horizon, where the whole one is forecast and cut."""
    if (blank := _blank_ahead(panel, schema, whole)).any():
        log.warning(BLANK_BEYOND, name, blank.sum(), blank.size, horizon, whole)


def warn_blank(panel: Panel, schema: Schema, name: str) -> None:
    """Warn of blank cells beside observed values, in columns known in advance."""
    blank = np.isnan(panel.known[panel.observed])  # [observed, known]
    counts = [f"'{column}' {count:,}" for column, count in zip(schema.known, blank.sum(0), strict=True) if count]
    if counts:
        log.warning(BLANK_BESIDE, name, len(blank), ", ".join(counts))


def _blank_ahead(panel: Panel, schema: Schema, horizon: int) -> Flags:
    """[series, horizon, known], whether a series that gets a forecast lacks a value."""
    last = panel.offsets[1:] - panel.ahead
    blank = np.isnan(panel.known[last[:, None] + np.arange(horizon if schema.known else 0)])
    if panel.status:
        blank[panel.skipped] = False
    return np.asarray(blank)
