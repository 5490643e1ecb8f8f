"""Sums of the forecasts of a job: what the ledger keeps of them, and scores of earlier sums."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from forecast.inference.fitted import Fitted
from forecast.inference.forecasting import Forecasts
from forecast.inference.predictor import fill_closed_values
from forecast.jobs.checks.accuracy import MAX_FORECASTS, measures, summed_by
from forecast.jobs.checks.promotion import ServingVersion
from forecast.jobs.ledger import PUBLISHED, SUM_COLUMNS, series_text
from forecast.jobs.pipeline import Pipeline
from forecast.panel.hierarchy import iterate_keys
from forecast.panel.panel import Flags, Integers, Numbers, Panel
from forecast.panel.schema import Schema, build_calendar
from forecast.tables.writing import build_frame
from forecast.totals.periods import find_levels
from forecast.totals.sums import Totals, log_notes, significant
from forecast.windows.origins import values_at

# errors are shares of the actual sums
SCORE = ("level", "sums", "error", "bias", "coverage_80", "coverage_95")


def compute_totals(pipeline: Pipeline, live: ServingVersion, forecasts: Forecasts) -> list[Totals]:
    """The sums of all forecasts of a run that the job asks for."""
    sums = []
    for settings in pipeline.totals:
        totals = Totals(live.predictor, settings.sums, pipeline.output, None)
        totals.add(forecasts)
        log_notes(totals)
        sums.append(totals)
    return sums


def sums_to_keep(sums: Sequence[Totals], forecasts: Forecasts) -> pd.DataFrame:
    """Sums for the ledger: a row for each sum, with the first and last time of its period."""
    newest = forecasts.panel.origin
    rows = []
    numbers = []
    for totals in sums:
        calendar = build_calendar(totals.schema)
        for groups in totals.groups:
            last = newest + groups.periods.edges[1:]
            first = np.append(groups.periods.first, last[:-1] + 1)
            number = np.arange(1, len(last) + 1)
            columns = [number, calendar.times(first), calendar.times(last)]
            spans = np.column_stack(columns).tolist()
            for key in groups.number_groups():
                name = series_text((groups.level.name, *key))
                rows += [(name, *span) for span in spans]
        numbers.append(build_frame(totals.columns(totals.output.usual))[PUBLISHED])
    frame = pd.DataFrame(rows, columns=SUM_COLUMNS[:4])
    frame = frame.join(pd.concat(numbers, ignore_index=True))
    frame = frame.drop_duplicates(["series", "step"])[:MAX_FORECASTS]
    return frame.astype({"series": "category"})


def compare_sums(
    runs: Iterable[pd.DataFrame], panel: Panel, fitted: Fitted, pipeline: Pipeline
) -> list[dict[str, Any]]:
    """Compare sums of earlier runs with sums of actual values: scores by level of sums."""
    over = join_actual_sums(runs, panel, fitted, pipeline)
    error = over["forecast"] - over["actual"]
    by_level = summed_by(over["level"], over, error, over["actual"].abs())
    return [
        dict(zip(SCORE, (level, *numbers), strict=True)) for level, numbers in measures(by_level)
    ]


def join_actual_sums(
    runs: Iterable[pd.DataFrame],
    panel: Panel,
    fitted: Fitted,
    pipeline: Pipeline,
    season: int | None = None,
) -> pd.DataFrame:
    """Sums of earlier runs whose actual sums are known, with these and with their level.

    A sum counts once its period is over and all its values have been observed. A series that has
    ended adds nothing after its end. With a `season` the column `naive` has the sum of the same
    steps so many seasons back that all of them were known at the `origin` of the forecast.
    """
    schema = fitted.schema
    stored = [sums.astype({"series": object}) for sums in runs]
    compared = [pd.DataFrame(columns=[*SUM_COLUMNS, "level", "actual", "naive"])]
    if not stored or not schema.dated:  # series without dates end at different steps
        return compared[0]
    calendar = build_calendar(schema)
    actuals = fill_closed_values(fitted, panel)
    actuals = actuals.select(np.flatnonzero(np.array(panel.status) != "missing"))
    ended = np.array(actuals.status) == "ended"
    groups = _groups(actuals, schema, pipeline)

    def of_groups(first: int, last: int, names: "pd.Series[str]") -> Numbers:
        """The actual sums of groups over grid positions, [names]."""
        of_series = _actual_sums(actuals, ended, first, last)
        of_levels = [
            pd.Series(np.bincount(codes, of_series), groups) for codes, groups in groups.values()
        ]
        return significant(pd.concat(of_levels).reindex(names).to_numpy(np.float64))

    for span, sums in pd.concat(stored).groupby(["first", "instant"]):
        first, last = calendar.positions(np.array(span)).tolist()
        if last > panel.origin:
            continue
        sums["actual"] = of_groups(first, last, sums["series"])
        if season is not None:
            back = season * -(-(last - int(sums["origin"].min())) // season)
            sums["naive"] = of_groups(first - back, last - back, sums["series"])
        compared.append(sums)
    level_of = {name: level for level, (_, names) in groups.items() for name in names}
    over = pd.concat(compared[1:] or compared).dropna(subset="actual")
    return over.assign(level=over["series"].map(level_of))


def _actual_sums(panel: Panel, ended: Flags, first: int, last: int) -> Numbers:
    """[series], the sum of each series over grid positions; NaN if one of its values is missing."""
    steps = np.arange(first, last + 1)
    count = len(panel)
    values = values_at(panel, np.arange(count), np.full(count, first), len(steps))
    adds_nothing = ended[:, None] | (steps < panel.starts[:, None])
    values = np.where(adds_nothing, np.nan_to_num(values), values)
    return np.asarray(values.sum(1))


def _groups(
    panel: Panel, schema: Schema, pipeline: Pipeline
) -> dict[str, tuple[Integers, list[str]]]:
    """By level of sums, the group of each series [series], and the names of the groups."""
    groups = {}
    for totals in pipeline.totals:
        for level in find_levels(totals.sums, schema):
            keys = iterate_keys(panel, schema, level.by)
            names = np.array([series_text((level.name, *key)) for key in keys], object)
            codes, different = pd.factorize(names)
            groups[level.name] = (codes, different.tolist())
    return groups
