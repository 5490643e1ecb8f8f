"""When a job fits anew, and whether what it fitted may go live."""

import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from forecast.artifacts.manifest import saved_at
from forecast.artifacts.store import Store
from forecast.ensemble.baseline_forecasts import base_name
from forecast.ensemble.ensemble import CHOSEN
from forecast.ensemble.names import is_baseline
from forecast.errors import BadData, ForecastError, as_flag
from forecast.forecaster import Forecaster
from forecast.jobs.agreement import refuse_other_settings, settings_changed, settings_digest
from forecast.jobs.instant import as_text, on_clock
from forecast.jobs.ledger import DayScore, FitEntry, Ledger
from forecast.jobs.pipeline import Pipeline, refit_days
from forecast.panel.building import calendar_of
from forecast.panel.detection import check_schema, infer_schema
from forecast.panel.naming import series_names
from forecast.settings import TableSettings, TextSettings
from forecast.tables.files import settings_as_at_fit
from forecast.tables.table import Table

log = logging.getLogger("forecast")

SLACK = 3_600.0  # seconds by which a fit may come early: cron starts a job a little sooner or later each time
WORSE, LEAST = 1.25, 30  # recent error over that of the fit from which on it is worse; values that this takes
DAYS = 14  # scored days that are recent
TOLERANCE = 1.01  # error over that of another which still counts as no worse
DAY = 86_400.0


@dataclass(frozen=True)
class Live:
    """A version and the forecaster that it holds."""

    version: str
    hash: str
    forecaster: Forecaster


def serving(store: Store, ledger: Ledger, instant: datetime, device: str = "auto") -> Live | None:
    """The version that forecasts as of an instant: the one that a run at that instant took, else the live one, else
    the newest promoted one; none of them may have been fitted to later values.

    Parameters
    ----------
    device : where its networks are to run

    Returns
    -------
    None where there is none.

    Raises
    ------
    ArtifactRefused
        If a version that would serve is damaged.
    """
    if store.empty:
        return None
    versions = {one.id: one for one in store.versions()}
    refused = {one.version for one in ledger.fits("9") if not one.promoted}
    at = as_text(instant)
    taken = [record.get("version") for found, _, record in ledger.runs(1, at) if found == at and record["settled"]]
    newest = [one for one in reversed(versions) if one not in refused]
    for version in [*taken, store.current(), *newest]:
        if version in versions:
            found = Live(version, versions[version].hash, Forecaster.load(str(store.path), version, device))
            if not _sees_later(found.forecaster, instant):
                return found
    return None


def reason_to_fit(pipeline: Pipeline, live: Live | None, ledger: Ledger, instant: datetime) -> str | None:
    """Why a job is to fit anew at an instant; None where it is not.

    Raises
    ------
    UsageError
        If the file asks for other settings than those of the live fit, and for no refit.
    """
    at = as_text(instant)
    fits = ledger.fits(at)
    if live is None:
        return "there is no version yet"
    if fits and fits[-1].as_of == at:
        return None  # this instant has had its fit
    config = live.forecaster.fitted_.config
    if pipeline.refit == "never":
        refuse_other_settings(pipeline, live.version, config, fits)
        return None
    changed = settings_changed(pipeline, live.version, config, fits)
    if changed is not None:
        return changed
    if pipeline.refit == "when worse":
        return _worse(live.forecaster, ledger.days(DAYS, before=at))
    days = refit_days(pipeline.refit) or 0.0
    last = datetime.fromisoformat(fits[-1].as_of) if fits else _created(live.version)
    age = (instant - last).total_seconds()
    return f"the last fit is {age / DAY:.1f} days old" if age >= days * DAY - SLACK else None


def reading_settings(pipeline: Pipeline, live: Live | None, ledger: Ledger) -> TextSettings:
    """How the source is read: as the pipeline says, and where it is silent as the live version read its own table."""
    own = pipeline.source.text()
    if live is None or _changed(pipeline, ledger):
        return own
    return settings_as_at_fit(live.forecaster.schema_.reading, own.model_dump(exclude_defaults=True))


def _changed(pipeline: Pipeline, ledger: Ledger) -> bool:
    """Whether the pipeline has other settings than at its newest fit."""
    fits = ledger.fits("9")
    return bool(fits) and fits[-1].settings != settings_digest(pipeline)


def table_settings(
    pipeline: Pipeline, live: Live | None, ledger: Ledger, table: Table, defaults: dict[str, Any]
) -> TableSettings:
    """How a new fit reads the table: as the live version does, unless the pipeline was changed since.

    What is inferred could change with the data, a column that is missing one night say; a job must not begin to
    forecast something else because of it.

    Parameters
    ----------
    defaults : settings that come with the source

    Raises
    ------
    BadData
        If the table cannot be read so, or has another frequency.
    """
    given = pipeline.table.model_copy(update=defaults)
    if live is None or settings_changed(pipeline, live.version, live.forecaster.fitted_.config, ledger.fits("9")):
        return given
    schema = live.forecaster.schema_
    check_schema(schema, table)
    settings = TableSettings.check({**schema.knobs(), **given.model_dump(exclude_unset=True)})
    found = infer_schema(table, settings).calendar.name
    if found != schema.calendar.name:
        raise BadData(
            f"{table.name}: its frequency is {found}, and that of {live.version} is {schema.calendar.name}; bring the "
            "source back to it, or say --freq, as freq in [table], to have a version of the new one"
        )
    return settings


def judge(new: Forecaster, live: Live | None, table: Table, require_all: bool) -> tuple[bool, str]:
    """Whether a new fit may go live: it is no worse than the live version and the baselines on the newest origins.

    Parameters
    ----------
    require_all : a fit without a series of the live version may not, or that series would be forgotten

    Returns
    -------
    The answer, and the reason in words.
    """
    lost = _loses_to_baselines(new)
    if live is None:
        return True, f"it is the first version{f', though {lost}' if lost else ''}"
    if lost is not None:
        return False, lost
    gone = sorted(set(live.forecaster.fitted_.history.ids) - set(new.fitted_.history.ids))
    if gone and require_all:
        return False, f"{len(gone)} series of {live.version} are not in it ({series_names(gone)})"
    try:
        pair = new.against(live.forecaster, table)
    except ForecastError as error:
        return True, f"{live.version} cannot read this table ({error.told(as_flag)})"
    if pair is None:
        return True, f"nothing has come since {live.version} that both could be measured on"
    words = f"{new.metric.upper()} {pair[0]:.4g} on what came since {live.version}, which has {pair[1]:.4g}"
    return pair[0] <= pair[1] * TOLERANCE, words


def entry(pipeline: Pipeline, instant: datetime, version: str, promoted: bool, reason: str) -> FitEntry:
    """The entry of a fit in the ledger."""
    return FitEntry(as_text(instant), version, promoted, reason, settings_digest(pipeline))


def _loses_to_baselines(new: Forecaster) -> str | None:
    """How networks of a new fit lose to a baseline on what it held out; None where they do not."""
    config = new.fitted_.config
    own = config.scores.get(CHOSEN)
    named = {label: score for label, score in config.scores.items() if is_baseline(base_name(label))}
    if own is None or not config.networks or not named:
        return None
    best = min(named, key=named.__getitem__)
    if own <= named[best] * TOLERANCE:
        return None
    return f"{new.metric.upper()} {own:.4g} on held-out values, where {best} has {named[best]:.4g}"


def _sees_later(forecaster: Forecaster, instant: datetime) -> bool:
    """Whether a forecaster was fitted to values that lie after an instant."""
    schema, history = forecaster.fitted_.config.table, forecaster.fitted_.history
    end = on_clock(instant, schema.time_format)
    if end is None or schema.layout == "rows":
        return False
    return int(calendar_of(schema).times(history.origins.max(keepdims=True))[0]) > end


def _worse(forecaster: Forecaster, days: list[DayScore]) -> str | None:
    """Why the newest scores ask for a fit; None where they do not."""
    fitted = forecaster.fitted_.config.scores.get(CHOSEN)
    told = [(one.mase, one.count) for one in days if one.mase is not None]
    count = sum(number for _, number in told)
    if fitted is None or forecaster.metric != "mase" or count < LEAST:
        return None
    recent = sum(mase * number for mase, number in told) / count
    if recent <= WORSE * fitted:
        return None
    return f"MASE {recent:.4g} over the last {len(told)} days, and {fitted:.4g} at fit"


def _created(version: str) -> datetime:
    found = saved_at(version)
    if found is None:
        raise ValueError(f"{version} is no version id")
    return found
