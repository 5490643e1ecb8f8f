"""When a job fits anew, and which version serves meanwhile."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np

from forecast.artifacts.manifest import saved_at
from forecast.artifacts.store import Store
from forecast.calendar.zones import wall_clock
from forecast.ensemble.ensemble import CHOSEN
from forecast.inference.fitted import Fitted
from forecast.inference.forecasting import load_predictor
from forecast.jobs.gate import ServingVersion, horizons_of, log_ratios, standard_error
from forecast.jobs.instant import STEPS, as_text, on_clock
from forecast.jobs.ledger import ALL_FITS, DayScore, Ledger
from forecast.jobs.pipeline import Pipeline, refit_days
from forecast.jobs.settings_diff import settings_changed, settings_digest
from forecast.panel.schema import calendar_of
from forecast.settings import EngineName

SLACK = 3_600.0  # seconds by which a fit may come early: cron starts a job a little sooner or later each time
WORSE_RATIO = 1.25  # recent error over that of the fit, from which on a fit is due: days differ more than versions do
MIN_SCORES = 30  # scored values that this takes
RECENT_DAYS = 14  # scored days that are recent
DAY = 86_400


@dataclass(frozen=True)
class Refit:
    """Why a fit is due."""

    reason: str
    anew: bool = False  # the file alone says how the table is read; else the new fit reads it as the live version does


FIRST_FIT = Refit("there is no version yet", anew=True)


def serving(
    store: Store, ledger: Ledger, instant: datetime, device: str = "auto", engine: EngineName = "auto"
) -> ServingVersion | None:
    """The version that forecasts as of an instant; None if no version may serve.

    It is the version that an earlier run at that instant took, else the live one, else the newest promoted one; none
    of them may have been fitted to later values.
    """
    if store.empty:
        return None
    versions = {version.id: version for version in store.versions()}
    refused = ledger.refused()
    at = as_text(instant)
    taken = [record.get("version") for when, _, record in ledger.runs(1, at) if when == at and record["settled"]]
    newest = [version for version in reversed(versions) if version not in refused]
    for version in [*taken, store.current(), *newest]:
        if version in versions:
            predictor = load_predictor(str(store.path), version, device, engine)
            if not _sees_later(predictor.fitted, instant):
                return ServingVersion(version, versions[version].hash, predictor)
    return None


def reason_to_fit(pipeline: Pipeline, live: ServingVersion | None, ledger: Ledger, instant: datetime) -> Refit | None:
    """Why a job fits anew at an instant; None where it does not."""
    if live is None:
        return FIRST_FIT
    at = as_text(instant)
    fits = ledger.fits(at)
    if fits and fits[-1].as_of == at:
        return None  # this instant has had its fit
    changed = settings_changed(pipeline, live.version, live.fitted.config, fits)
    if changed is not None:
        return Refit(changed, anew=True)
    if pipeline.refit == "never":
        return None
    if pipeline.refit == "when worse":
        worse = _worse(live.fitted, ledger.days(RECENT_DAYS, before=at))
        return None if worse is None else Refit(worse)
    last = datetime.fromisoformat(fits[-1].as_of) if fits else saved_at(live.version) or instant
    age = (instant - last).total_seconds()
    due = age >= refit_days(pipeline.refit) * DAY - SLACK
    return Refit(f"the last fit is {age / DAY:.1f} days old") if due else None


def changed_since_fit(pipeline: Pipeline, ledger: Ledger) -> bool:
    """Whether the settings of the pipeline changed since its newest fit."""
    fits = ledger.fits(ALL_FITS)
    return bool(fits) and fits[-1].settings != settings_digest(pipeline)


def _sees_later(fitted: Fitted, instant: datetime) -> bool:
    """Whether a forecaster was fitted to values that lie after an instant."""
    schema, history = fitted.config.table, fitted.history
    end = on_clock(instant, schema.time_format)
    if end is None or schema.layout == "rows":
        return False
    return int(calendar_of(schema).times(history.origins.max(keepdims=True))[0]) > end


def _worse(fitted: Fitted, days: list[DayScore]) -> str | None:
    """Why the newest scores of a version ask for a fit; None where they do not.

    Days within a horizon of its fit do not count: the version before it has forecast them, too.
    """
    at_fit, schema = fitted.config.scores.get(CHOSEN), fitted.config.table
    times = calendar_of(schema).times(fitted.history.origins.max() + np.array([0, fitted.config.horizon]))
    steps = schema.time_format.kind == STEPS or schema.layout == "rows"
    ends = times if steps else wall_clock(times, schema.time_format.zone) // DAY
    scores = [
        (date, day.mase, day.count) for day in days if day.mase is not None and (date := _date(day.day)) > ends[1]
    ]
    if not at_fit or fitted.settings().metric != "mase" or sum(count for *_, count in scores) < MIN_SCORES:
        return None
    dates, mase, counts = (np.array(column) for column in zip(*scores, strict=True))
    block = horizons_of(dates, max(int(np.ptp(ends)), 1))
    filled = np.bincount(block, counts) > 0
    recent = np.bincount(block, mase * counts)[filled] / np.bincount(block, counts)[filled]
    ratios = log_ratios(recent, np.array([at_fit]))
    error = standard_error(ratios)
    if ratios.mean() - error <= np.log(WORSE_RATIO):
        return None
    return (
        f"MASE {recent.mean():.4g} over {len(ratios)} horizon(s) of recent days, and {at_fit:.4g} at fit: over "
        f"{100 * (WORSE_RATIO - 1):.0f} % more after one standard error of {100 * error:.0f} %"
    )


def _date(day: str) -> int:
    """A day of the ledger, or a step, as a number."""
    return int(day) if day.isdigit() else int(np.datetime64(day, "D").astype(np.int64))
