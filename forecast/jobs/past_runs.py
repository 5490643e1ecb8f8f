"""What earlier runs of a job say of a new one: its age, its checks, its interval widths."""

from typing import Any

import numpy as np
import pandas as pd

from forecast.errors import ForecastError, UsageError
from forecast.inference.fitted import Fitted
from forecast.inference.forecasting import Forecasts, load_predictor
from forecast.intervals.corrections import factors_of_levels, interval_factors
from forecast.jobs import inputs
from forecast.jobs.checks import accuracy
from forecast.jobs.checks import age as table_checks
from forecast.jobs.checks.finding import select_reference_runs
from forecast.jobs.checks.promotion import ServingVersion
from forecast.jobs.checks.tonight import Tonight, mark_unknown_events
from forecast.jobs.lag_scores import scores_at_lag
from forecast.jobs.ledger import DAMAGE_ERRORS, MAX_RECORDS, OVERRIDES, TOTALS_TABLE, DayScore
from forecast.jobs.publishing import Run
from forecast.jobs.record import Record
from forecast.jobs.replay import RunInput, unpack_run
from forecast.jobs.sum_scores import compare_sums
from forecast.logs import log
from forecast.panel.panel import Ids, Integers, Numbers, Panel
from forecast.panel.schema import Schema, position_texts
from forecast.panel.successors import refuse_absent
from forecast.totals.sums import Totals


def check_panel(run: Run, serving: ServingVersion, panel: Panel, table: str) -> Ids:
    """Check the age of the values of a panel; the ids of series without a recent value."""
    record = run.record
    refuse_absent(panel, serving.schema, table)
    check_age(run, panel, serving.schema, table)
    end = panel.newest + serving.fitted.config.horizon
    seconds_over = table_checks.age(end, serving.schema, run.instant)
    record.horizon_over = (seconds_over or 0) > 0
    if record.dated_ahead:
        where = "more than a horizon after the newest value"
        if record.ahead_of_clock:
            where = "ahead of its clock"
        text = "the run as of %s is %s, so that later runs learn nothing from it"
        log.warning(text, record.as_of, where)
    return table_checks.find_lagging_series(panel, serving.schema, run.pipeline.checks, table)


def score_earlier(run: Run, serving: ServingVersion, panel: Panel, has_fitted: bool) -> None:
    """Score sums of earlier runs, and forecasts at a lag; a fit has checked the periods already."""
    pipeline = run.pipeline
    record = run.record
    if pipeline.monitoring.lag is not None:
        _score_at_lag(run, serving, panel)
    if not pipeline.totals:
        return
    if not has_fitted:
        horizon = serving.fitted.config.horizon
        inputs.check_periods(pipeline, serving.schema, panel.origin, horizon)
    sums = run.ledger.forecasts(record.as_of, accuracy.NEWEST_RUNS, TOTALS_TABLE)
    record.totals = compare_sums(sums, panel, serving.fitted, pipeline)


def _score_at_lag(run: Run, serving: ServingVersion, panel: Panel) -> None:
    """Score earlier forecasts of the lag of [monitoring]; what cannot be scored stops no run."""
    pipeline = run.pipeline
    asked = pipeline.monitoring
    at = run.record.as_of
    try:
        run.record.at_lag = scores_at_lag(
            run.ledger, panel, serving.fitted, asked, asked.lag_by, pipeline, at
        )
    except UsageError as error:
        log.warning("forecasts are not scored at a lag: %s", error)


def compare_with_past(
    run: Run, serving: ServingVersion, forecasts: Forecasts, totals: list[Totals]
) -> Tonight:
    """What the checks of a run see: its values and forecasts, and the runs before it."""
    ledger = run.ledger
    record = run.record
    panel = forecasts.panel
    fitted = serving.fitted
    schema = serving.schema
    before = ledger.runs(accuracy.NEWEST_RUNS + 1, record.as_of)
    # a run with the same `as_of` is this one, repeated
    runs = [earlier for earlier in before if earlier.as_of < record.as_of]
    overrides = ledger.forecasts(record.as_of, MAX_RECORDS, OVERRIDES)
    added = accuracy.measure_overrides(overrides, panel, schema)
    last = next(ledger.forecasts(record.as_of, 1), None)
    compared: dict[str, Any] = {}
    if last is not None:
        # the last run with forecasts in the ledger, and its record
        at = str(last["as_of"].iloc[0])
        last_run = next((earlier for earlier in runs if earlier.as_of == at), None)
        published = set(accuracy.find_ids(last))
        if last_run is not None and len(published) < last_run.counts.get("series", 0):
            published |= set(fitted.ids)  # of a large run the ledger keeps a sample
        last_input = _load_input(run, last_run, serving)
        with_actual = accuracy.in_panel(last, panel, schema)
        compared = {
            "new": with_actual.dropna(subset="actual"),
            "published": published,
            "before": last_input,
            "earlier": _find_comparable(last, forecasts, fitted, last_input),
        }
        trusted = [run for run in runs if run.settled and not run.dated_ahead]
        usual = [run.actuals for run in trusted]
        record.actuals = accuracy.since_last_run(last, panel, schema, usual)
    if added:
        record.actuals["overrides"] = added
    return Tonight(
        forecasts,
        fitted,
        run.pipeline.output,
        totals,
        past=select_reference_runs(runs),
        runs=runs,
        data_age=record.data_age,
        **compared,
    )


def _find_comparable(
    last: pd.DataFrame, forecasts: Forecasts, fitted: Fitted, before: RunInput | None
) -> accuracy.Earlier:
    """What the last run published, without steps that are touched by events of unknown effect."""
    names, published = accuracy.earlier_forecasts(last, forecasts, fitted.schema)
    panel = forecasts.panel
    first = panel.offsets[forecasts.series] + panel.lengths[forecasts.series]
    slots = first[:, None] + np.arange(published.shape[1])
    known = None if before is None else before.schema
    touched = mark_unknown_events(panel, fitted, known)[slots]
    return names, np.where(touched[..., None], np.nan, published)


def learn_from_past(
    run: Run, serving: ServingVersion, panel: Panel, series: Integers, quantiles: Numbers
) -> tuple[Numbers, list[DayScore]]:
    """The factor of the interval width at each level [levels], and scores of earlier forecasts.

    `quantiles` [series, horizon, levels] are those of the current forecasts.
    """
    record = run.record
    ledger = run.ledger
    levels = serving.fitted.config.levels
    forecasts = ledger.forecasts(record.as_of, accuracy.NEWEST_RUNS)
    past, days = accuracy.compare(forecasts, panel, serving.schema)
    # a settled run that is repeated keeps its factors, as earlier runs may have changed since
    if not record.settled:
        version_of = {run.as_of: run.version for run in ledger.runs(MAX_RECORDS, record.as_of)}
        versions = [version_of.get(time) for time in past.as_of]
        current = accuracy.current_intervals(panel, series, quantiles, levels)
        record.intervals = interval_factors(past, versions, serving.version, current)
    return factors_of_levels(record.intervals, levels), days


def _load_input(run: Run, last_run: Record | None, serving: ServingVersion) -> RunInput | None:
    """What an earlier run forecast from; None if its inputs or its version no longer exist."""
    if last_run is None or last_run.version is None:
        return None
    data = run.ledger.inputs(last_run.as_of)
    if data is None:
        return None
    train = run.pipeline.train
    predictor = serving.predictor
    try:
        if last_run.version != serving.version:
            store = run.pipeline.store
            predictor = load_predictor(store, last_run.version, train.device, train.engine)
        return unpack_run(data, predictor, last_run.version)
    except (ForecastError, *DAMAGE_ERRORS):
        return None


def check_age(run: Run, panel: Panel, schema: Schema, name: str) -> None:
    record = run.record
    limits = run.pipeline.checks
    record.data_age = table_checks.age(panel.newest, schema, run.instant)
    record.data_end = position_texts(schema, np.array([panel.newest]))[0]
    record.limits = {"warn_after": limits.warn_after, "error_after": limits.error_after}
    table_checks.check_age(record.data_age, limits, name)
