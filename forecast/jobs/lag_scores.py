"""How good the forecasts of a job were that were made a given time ahead, the lag."""

import json
from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd

from forecast.calendar.calendar import Calendar
from forecast.errors import Setting, UsageError
from forecast.inference.fitted import Fitted
from forecast.jobs.checks.accuracy import join_actuals, keys_by, measures, summed_by
from forecast.jobs.ledger import AFTER_ALL_TIMES, MAX_RUNS, TOTALS_TABLE, Kept, Ledger
from forecast.jobs.pipeline import Pipeline
from forecast.jobs.sum_scores import join_actual_sums
from forecast.panel.panel import Flags, Integers, Panel, series_name
from forecast.panel.schema import build_calendar
from forecast.settings import Facts, LagSettings, parse_duration

ALL = "all"  # the group of all series
NO_ORIGIN = 1 << 40  # after all positions: sums of a run without forecasts are not scored


def scores_at_lag(
    ledger: Ledger,
    panel: Panel,
    fitted: Fitted,
    asked: LagSettings,
    by: str | None,
    pipeline: Pipeline | None,
    before: str = AFTER_ALL_TIMES,
) -> Facts:
    """Scores of the forecasts of runs before a time that were made so far ahead.

    Of each series and time the newest forecast that is old enough counts. Beside it stands
    `naive`, the error of the newest season that its run knew. `groups` has a row for all series,
    then one for each value of the columns `by`; `totals` has one for each level of sums of the pipeline,
    whose lag is the time from the newest value that a run knew to the beginning of a period.
    """
    calendar = build_calendar(fitted.schema)
    for name in ("lag", "lag_over"):
        text = getattr(asked, name) or "1"
        if not fitted.schema.dated and not text.isdigit():
            cure = "give a number of steps"
            raise UsageError("the rows have no dates", setting=Setting(name, text), cure=cure)
    season = fitted.config.lags[0] if fitted.config.lags else 1
    origins: dict[str, int] = {}
    forecasts = _newest(ledger.forecasts(before, MAX_RUNS), "instant", asked, calendar, origins)
    result: Facts = {"lag": asked.lag, "groups": [], "totals": []}
    if forecasts is None:
        return result
    rows = join_actuals(forecasts, panel, fitted.schema).dropna(subset="actual")
    slot = rows["slot"].to_numpy()
    back = season * -(-rows["step"].to_numpy() // season)
    has_naive = (panel.positions[slot] >= back) & panel.observed[slot - back]
    rows["naive"] = np.where(has_naive, panel.values[slot - back], np.nan)
    rows = _recent(rows, asked, calendar, panel.origin)
    result["groups"] = list(_scores(np.full(len(rows), ALL), rows))
    if by is not None:
        _, keys = keys_by(by, panel, fitted.schema)
        by_group = _scores(keys[rows["panel"]], rows)
        groups = [row | {"group": series_name(json.loads(row["group"]))} for row in by_group]
        result["groups"] += sorted(groups, key=lambda row: -(row["error"] or 0.0))
    if pipeline is not None and pipeline.totals:
        stored = ledger.forecasts(before, MAX_RUNS, TOTALS_TABLE)
        sums = _newest(stored, "first", asked, calendar, origins)
        if sums is not None:
            rows = join_actual_sums([sums], panel, fitted, pipeline, season)
            rows = _recent(rows, asked, calendar, panel.origin)
            result["totals"] = list(_scores(rows["level"], rows))
    return result


def _newest(
    runs: Iterable[pd.DataFrame],
    time: str,
    asked: LagSettings,
    calendar: Calendar,
    origins: dict[str, int],
) -> Kept:
    """Of each series and time, the newest forecast that is old enough; None if there is none.

    `time` is the column that the lag reaches to. `origins` are the grid positions of the newest
    values of runs by their `as_of`; forecasts of single values, which show them, add theirs.
    """
    kept = None
    for rows in runs:
        position = calendar.positions(rows[time].to_numpy())
        if time == "instant":
            origin = position - rows["step"].to_numpy()
            newest = pd.Series(origin).groupby(rows["as_of"].astype(str).to_numpy()).max()
            origins |= {str(run): int(place) for run, place in newest.items()}
        else:
            origin = rows["as_of"].astype(str).map(origins).fillna(NO_ORIGIN).to_numpy(np.int64)
        far = _exceeds(calendar, origin, position, str(asked.lag))
        new = rows.assign(origin=origin)[far].astype({"series": object})
        cell = ["series", time, "instant"]
        kept = pd.concat([kept, new]).drop_duplicates(cell, keep="last")
    return None if kept is None or not len(kept) else kept.astype({"series": "category"})


def _exceeds(calendar: Calendar, start: Integers, end: Integers, least: str) -> Flags:
    """[rows], whether grid positions lie at least so long after earlier ones."""
    if least.isdigit():
        return np.asarray(end - start >= int(least))
    seconds = calendar.times(end) - calendar.times(start)
    return np.asarray(seconds >= parse_duration(least))


def _recent(
    rows: pd.DataFrame, asked: LagSettings, calendar: Calendar, newest: int
) -> pd.DataFrame:
    if asked.lag_over is None:
        return rows
    position = calendar.positions(rows["instant"].to_numpy())
    return rows[~_exceeds(calendar, position, np.full_like(position, newest), asked.lag_over)]


def _scores(key: object, rows: pd.DataFrame) -> Iterator[Facts]:
    """By key, errors and bias as shares of the actual values, and coverage."""
    size = rows["actual"].abs()
    by_key = summed_by(key, rows, rows["forecast"] - rows["actual"], size)
    of_naive = summed_by(
        key, rows, rows["naive"] - rows["actual"], size.where(rows["naive"].notna())
    )
    naive = {group: numbers[1] for group, numbers in measures(of_naive)}
    for group, (count, error, bias, *covered) in measures(by_key):
        row = {"group": group, "values": count, "error": error, "naive": naive[group], "bias": bias}
        yield row | dict(zip(("coverage_80", "coverage_95"), covered, strict=True))
