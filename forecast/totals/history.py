"""Sums of the past over groups and periods: a panel whose series are groups, on the calendar of the periods."""

import numpy as np

from forecast.baselines.shared.gaps import fill_gaps
from forecast.calendar.calendar import season_candidates
from forecast.calendar.spec import CalendarSpec
from forecast.calendar.zones import DAY, WEEK
from forecast.evaluation.origins import values_at
from forecast.events.closed import with_fixed
from forecast.inference.fitted import Fitted
from forecast.inference.predictor import fixed_of
from forecast.panel.panel import Panel
from forecast.panel.schema import Schema, calendar_of
from forecast.settings import Every
from forecast.totals.levels import Level, keys_of
from forecast.totals.periods import MONDAY, MONTHS, period_keys

AT_ONCE = 2048  # series


def schema_of_sums(schema: Schema, every: Every | None) -> Schema:
    """The schema of sums, on whose calendar the positions are the numbers of `period_keys`."""
    spec = schema.calendar
    if every == "day" or (every == "week" and (spec.kind != "seconds" or spec.every % WEEK)):
        length, anchor = (DAY, 0) if every == "day" else (WEEK, -MONDAY * DAY)
        spec = CalendarSpec(kind="seconds", every=length, anchor=anchor)
    elif months := MONTHS.get(every or ""):
        spec = CalendarSpec(kind="months", every=months)
    season = schema.season if every is None else season_candidates(spec)
    plain = {"ids": ("sum",), "holidays": None, "dated_events": ()}
    return schema.model_copy(update={**plain, "calendar": spec, "season": season})


def past_sums(
    fitted: Fitted, panel: Panel, schema: Schema, levels: list[Level], every: Every | None, exact: bool = False
) -> Panel:
    """The sums of the values of a panel over a period, for each group of some levels: ids are that level and its key.

    A gap counts as the newest value a whole number of seasons before it, unless sums are to be `exact`. One is unknown
    where the panel lacks a part of the period, and where the newest values of a series are missing that has not ended.
    """
    panel = with_fixed(panel, fixed_of(fitted, panel))
    end, steps = int(panel.origins.max()) + 1, int(panel.origins.max() - panel.starts.min()) + 1
    keys = np.arange(end - steps - 1, end + 1)
    keys = keys if every is None else period_keys(calendar_of(schema), keys, every)
    edges = np.flatnonzero(np.diff(keys[1:-1], prepend=keys[1] - 1))
    periods, status = keys[1:-1][edges], np.array(panel.status or [""] * len(panel))
    ended, everyone = (status == "ended") | (panel.trailing_gap() > fitted.config.lookback), status != "missing"
    every_series = np.arange(len(panel))
    of_series = [[(level.group, *key) for key in keys_of(panel, schema, every_series, level.by)] for level in levels]
    ids = tuple(sorted(set().union(*of_series)))
    number = {name: place for place, name in enumerate(ids)}
    found = np.zeros((3, len(ids), len(periods)))  # sums, cells of them, and cells that are unknown
    for start in range(0, len(panel), AT_ONCE):
        series = start + np.flatnonzero(everyone[start : start + AT_ONCE])
        values = values_at(panel, series, panel.origins[series] + 1 - steps, steps)  # [series, steps]
        seen = np.isfinite(values)
        begun = np.maximum.accumulate(seen, 1)
        inside = begun & np.maximum.accumulate(seen[:, ::-1], 1)[:, ::-1]
        whole = fill_gaps(np.where(seen, values, 0.0), seen, schema.shortest_season)
        unknown = begun & ~seen & (exact | ~inside) & ~(ended[series, None] & ~inside)
        parts = np.stack([np.where(inside, whole, 0.0), inside, unknown])
        for names in of_series:
            codes = np.array([number[names[place]] for place in series], np.int64)
            np.add.at(found, np.s_[:, codes], np.add.reduceat(parts, edges, axis=2))  # type: ignore[arg-type]
    observed = (found[1] > 0) & (found[2] == 0) & (periods != keys[0]) & (periods != keys[-1])
    size, values, none = len(ids), np.where(observed, found[0], 0.0).ravel(), np.zeros((observed.size, 0))
    offsets, starts, marks = np.arange(size + 1) * len(periods), np.full(size, periods[0]), observed.ravel()
    return Panel(ids, np.arange(size), offsets, starts, 0, values, marks, none, none, none[:size], ("ok",) * size)
