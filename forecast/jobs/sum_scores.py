"""Sums of the forecasts of a job: what the ledger keeps of them, and scores of earlier sums."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from forecast.checks.accuracy import MAX_FORECASTS
from forecast.checks.promotion import ServingVersion
from forecast.events.closed import with_fixed
from forecast.inference.forecasting import Forecasts
from forecast.inference.predictor import fixed_of
from forecast.jobs.pipeline import Pipeline
from forecast.ledger.ledger import PUBLISHED, SUM_COLUMNS, series_text
from forecast.panel.panel import Integers, Numbers, Panel
from forecast.panel.schema import calendar_of
from forecast.settings import INTERVALS
from forecast.tables.writing import frame_of
from forecast.totals.periods import keys_of, levels_of
from forecast.totals.sums import Totals, log_notes, significant


def totals_of(pipeline: Pipeline, live: ServingVersion, forecasts: Forecasts) -> list[Totals]:
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
    newest = forecasts.panel.origins.max()
    rows = []
    numbers = []
    for totals in sums:
        calendar = calendar_of(totals.schema)
        for groups in totals.groups:
            last = newest + groups.periods.edges[1:]
            first = np.append(groups.periods.first, last[:-1] + 1)
            number = np.arange(1, len(last) + 1)
            spans = np.column_stack([number, calendar.times(first), calendar.times(last)]).tolist()
            for key in groups.ordered():
                name = series_text((groups.level.name, *key))
                rows += [(name, *span) for span in spans]
        numbers.append(frame_of(totals.columns(INTERVALS))[PUBLISHED])
    frame = pd.DataFrame(rows, columns=SUM_COLUMNS[:4]).join(pd.concat(numbers, ignore_index=True))
    frame = frame.drop_duplicates(["series", "step"])[:MAX_FORECASTS]
    return frame.astype({"series": "category"})


def compare_sums(
    runs: Iterable[pd.DataFrame], panel: Panel, live: ServingVersion, pipeline: Pipeline
) -> list[dict[str, Any]]:
    """Compare sums of earlier runs with sums of actual values: scores by level of sums.

    A sum counts once its period is over and all its values have been observed. A series that has
    ended adds nothing after its end.
    """
    schema = live.schema
    stored = [sums.astype({"series": object}) for sums in runs]
    if not stored or not schema.dated:  # series without dates end at different steps
        return []
    calendar = calendar_of(schema)
    cumulated = _CumulatedActuals(panel, live)
    groups = _groups(panel, live, pipeline)
    compared = []
    for span, sums in pd.concat(stored).groupby(["first", "instant"]):
        first, last = calendar.positions(np.array(span)).tolist()
        if last > panel.origins.max():
            continue
        of_series = cumulated.between(first, last)
        of_group = pd.concat(
            [pd.Series(np.bincount(codes, of_series), names) for codes, names in groups.values()]
        )
        actual = of_group.reindex(sums["series"]).to_numpy(np.float64)
        compared.append(sums.assign(actual=significant(actual)))
    if not compared:
        return []
    level_of = {name: level for level, (_, names) in groups.items() for name in names}
    over = pd.concat(compared).dropna(subset="actual")
    by_level = over.groupby(over["series"].map(level_of))
    return [_score(str(level), sums) for level, sums in by_level]


class _CumulatedActuals:
    """Sums of the actual values of series over any span of time."""

    def __init__(self, panel: Panel, live: ServingVersion) -> None:
        status = np.array(panel.status)
        with_closed = with_fixed(panel, fixed_of(live.fitted, panel))
        ended = (status == "ended")[panel.series_of_slots]
        values = np.where(ended, 0.0, np.nan)
        values = np.where(with_closed.observed, with_closed.values, values)
        # long doubles, as differences of cumulated sums lose digits
        self._total = np.append(0, np.cumsum(np.nan_to_num(values).astype(np.longdouble)))
        self._unknown = np.append(0, np.cumsum(np.isnan(values)))
        self._panel = panel
        self._series = _summed(panel)

    def between(self, first: int, last: int) -> Numbers:
        """The sum of each series over grid positions; NaN if one of its values is missing."""
        panel = self._panel
        series = self._series
        steps = np.array([[first], [last + 1]]) - panel.starts[series]
        begin, end = panel.offsets[series] + np.clip(steps, 0, panel.lengths[series])
        sums = self._total[end] - self._total[begin]
        unknown = self._unknown[end] > self._unknown[begin]
        return np.where(unknown, np.nan, sums).astype(np.float64)


def _summed(panel: Panel) -> Integers:
    return np.flatnonzero(np.array(panel.status) != "missing")


def _groups(
    panel: Panel, live: ServingVersion, pipeline: Pipeline
) -> dict[str, tuple[Integers, list[str]]]:
    """By level of sums, the group of each series [series], and the names of the groups."""
    groups = {}
    for totals in pipeline.totals:
        for level in levels_of(totals.sums, live.schema):
            keys = keys_of(panel, live.schema, _summed(panel), level.by)
            names = np.array([series_text((level.name, *key)) for key in keys], object)
            codes, different = pd.factorize(names)
            groups[level.name] = (codes, different.tolist())
    return groups


def _score(level: str, sums: pd.DataFrame) -> dict[str, Any]:
    """The scores of the sums of one level; errors are shares of the actual sums."""
    actual = sums["actual"]
    error = sums["forecast"] - actual
    size = float(actual.abs().sum())
    score: dict[str, Any] = {"level": level, "sums": len(sums)}
    score["error"] = float(error.abs().sum()) / size if size else None
    score["bias"] = float(error.sum()) / size if size else None
    for end in ("80", "95"):
        inside = actual.between(sums[f"lo_{end}"], sums[f"hi_{end}"])
        score[f"coverage_{end}"] = float(inside.mean())
    return score
