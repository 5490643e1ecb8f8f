"""The sums that a job writes: checked before any work, made from its forecasts, compared with those of the actuals."""

import logging
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from forecast.checks.promotion import ServingVersion
from forecast.events.closed import with_fixed
from forecast.inference.forecasting import Forecasts
from forecast.inference.predictor import Predictor, fixed_of
from forecast.jobs.kinds import Results
from forecast.jobs.pipeline import Pipeline
from forecast.jobs.sinks import sinks_of
from forecast.ledger.accuracy import MAX_CELLS
from forecast.ledger.cells import PUBLISHED, SUM_COLUMNS
from forecast.ledger.ledger import series_text
from forecast.panel.panel import Panel
from forecast.panel.schema import Schema, calendar_of
from forecast.settings import INTERVALS
from forecast.tables.table import Table
from forecast.tables.writing import frame_of, refuse_clash
from forecast.totals.periods import key_columns, keys_of, levels_of, longest, whole_periods
from forecast.totals.sums import Totals, log_notes, significant, sum_columns

log = logging.getLogger("forecast")

SOMETIMES = "%d steps do not always reach the end of a %s, and a run without a sum ends with exit code 2; %d always do"


def check_totals(pipeline: Pipeline, schema: Schema, table: Table) -> list[str]:
    """Refuse, before any work, sums that the table does not have, and names and places that their sinks do not take."""
    lines = []
    for totals, place in zip(pipeline.totals, list(pipeline.sinks.values())[1:], strict=True):
        ids = ("level", *key_columns(levels_of(totals.sums, schema), schema))
        for kind, sink in sinks_of(place):
            refuse_clash((*ids, *schema.time), [*sum_columns(pipeline.output), *sink.columns[:2]], "sums")
            lines.append(kind.check(sink, schema, table, pipeline.output, ids))
    return lines


def check_periods(pipeline: Pipeline, schema: Schema, origin: int, horizon: int) -> None:
    """Refuse a horizon in which no period ends, and warn of one in which sometimes none does."""
    for totals in pipeline.totals:
        whole_periods(schema, origin, horizon, totals.every or (None,))
    for every in dict.fromkeys(every for totals in pipeline.totals for every in totals.every):
        if horizon < (needed := longest(schema, every)):
            log.warning(SOMETIMES, horizon, every, needed)


def totals_of(pipeline: Pipeline, predictor: Predictor, schema: Schema, forecasts: Forecasts) -> list[Totals]:
    """The sums of forecasts that a job writes."""
    made = []
    for asked in pipeline.totals:
        totals = Totals(predictor, schema, asked.sums, pipeline.output, None)
        totals.add(forecasts)
        log_notes(totals)
        made.append(totals)
    return made


def sums_of(totals: Totals, forecasts: Forecasts, version: str) -> Results:
    """The table of sums, as sinks write it."""
    frame, calendar = frame_of(totals.columns()), calendar_of(totals.schema)
    origins = np.full(len(frame), calendar.times(forecasts.panel.origins.max(keepdims=True))[0])
    schema = totals.schema.model_copy(update={"ids": ("level", *key_columns(totals.levels, totals.schema))})
    return Results(frame, frame, totals.starts, origins, schema, version, totals.output)


def to_keep(made: Iterable[Totals], forecasts: Forecasts) -> pd.DataFrame:
    """Sums for the ledger: a row for each, with the first and the last time of its period."""
    parts = []
    for totals in made:
        calendar, rows = calendar_of(totals.schema), list[tuple[Any, ...]]()
        for groups in totals.groups:
            last = forecasts.panel.origins.max() + groups.periods.edges[1:]
            first = np.concatenate([[groups.periods.first], last[:-1] + 1])
            spans = np.column_stack([np.arange(len(last)) + 1, calendar.times(first), calendar.times(last)]).tolist()
            rows += [(series_text((groups.level.name, *key)), *span) for key in groups.ordered() for span in spans]
        frame = pd.DataFrame(rows, columns=SUM_COLUMNS[:4])
        parts.append(pd.concat([frame, frame_of(totals.columns(INTERVALS))[PUBLISHED]], axis=1))
    return pd.concat(parts).drop_duplicates(["series", "step"])[:MAX_CELLS].astype({"series": "category"})


def compare(
    runs: Iterable[tuple[str, pd.DataFrame]], panel: Panel, live: ServingVersion, pipeline: Pipeline
) -> list[dict[str, Any]]:
    """Compare sums of earlier runs with those of the actuals: scores by level, errors in shares of the actual sums.

    A sum counts once its period is over and all of its cells are known; a series that ended has none after that.
    """
    schema, status, calendar = live.schema, np.array(panel.status), calendar_of(live.schema)
    # series without dates have ends of their own
    stored = [sums.astype({"series": object}) for _, sums in runs] if schema.dated else []
    known, ended = with_fixed(panel, fixed_of(live.fitted, panel)), np.repeat(status == "ended", np.diff(panel.offsets))
    values = np.where(known.observed, known.values, np.where(ended, 0.0, np.nan))
    total, gaps = (
        np.append(0, np.cumsum(part)) for part in (np.nan_to_num(values).astype(np.longdouble), values != values)
    )
    series, groups, compared = np.flatnonzero(status != "missing"), dict[str, tuple[Any, Any]](), list[pd.DataFrame]()
    for level in (level for totals in pipeline.totals for level in levels_of(totals.sums, schema)):
        names = [series_text((level.name, *key)) for key in keys_of(panel, schema, series, level.by)]
        groups[level.name] = pd.factorize(np.array(names, object))
    for span, sums in pd.concat(stored).groupby(["first", "instant"]) if stored else ():
        first, last = calendar.positions(np.array(span)).tolist()
        if last <= panel.origins.max():
            ends = np.clip(np.array([[first], [last + 1]]) - panel.starts[series], 0, panel.lengths[series])
            low, high = panel.offsets[series] + ends
            own = np.where(gaps[high] > gaps[low], np.nan, total[high] - total[low]).astype(np.float64)
            found = pd.concat([pd.Series(np.bincount(codes, own), names) for codes, names in groups.values()])
            compared.append(sums.assign(actual=significant(found.reindex(sums["series"]).to_numpy(np.float64))))
    level_of = {name: level for level, (_, names) in groups.items() for name in names}
    over = pd.concat(compared).dropna(subset="actual") if compared else pd.DataFrame({"series": []})
    return [_score(str(level), sums) for level, sums in over.groupby(over["series"].map(level_of))]


def _score(level: str, sums: pd.DataFrame) -> dict[str, Any]:
    """The scores of sums of a level, beside their actual sums."""
    actual, error = sums["actual"], sums["forecast"] - sums["actual"]
    size = actual.abs().sum() or np.nan
    errors = {"error": error.abs().sum() / size, "bias": error.sum() / size} if size == size else {}
    held = {f"coverage_{end}": float(actual.between(sums[f"lo_{end}"], sums[f"hi_{end}"]).mean()) for end in (80, 95)}
    return {"level": level, "sums": len(sums), "error": None, "bias": None, **errors, **held}
