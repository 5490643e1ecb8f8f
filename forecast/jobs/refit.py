"""Decide when a job fits anew, and which version forecasts until then."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from forecast.artifacts.format import saved_at
from forecast.artifacts.store import Store
from forecast.calendar.frequency import parse_frequency
from forecast.calendar.spec import STEP_KIND, as_text, on_clock
from forecast.calendar.zones import DAY, wall_clock
from forecast.ensemble.ensemble import CHOSEN
from forecast.errors import UsageError
from forecast.inference.fitted import RUN_SETTINGS, Fitted
from forecast.inference.forecasting import load_predictor
from forecast.jobs.checks.promotion import ServingVersion, log_ratio, number_horizons
from forecast.jobs.ledger import DayScore, FitEntry, Ledger
from forecast.jobs.pipeline import Pipeline
from forecast.jobs.record import CLOCK_TOLERANCE
from forecast.logs import log
from forecast.panel.schema import build_calendar
from forecast.settings import TrainSettings

RECENT_DAYS = 14  # so many of the newest scored days count as recent
# table settings in which a version may differ from the pipeline file
FREE_FIELDS = {"strict", "on_duplicate", "unfinished", "freq"}
# settings that do not change the result of a fit
WITHOUT_EFFECT = {"jobs", "device", "engine", "unfinished", "overrides"}


@dataclass(frozen=True)
class WorsePriors:
    """When recent errors call for a fit; errors of days differ more than those of versions."""

    ratio: float = 1.25  # recent error, divided by that of the fit
    min_scores: int = 30  # fewest scored values


WORSE_PRIORS = WorsePriors()


def serving_version(
    store: Store,
    ledger: Ledger,
    instant: datetime,
    taken: str | None,
    where: TrainSettings,
) -> ServingVersion | None:
    """The serving version of a run, which was not fitted to values after the run; None without one.

    It is the version that an earlier run at the same instant has `taken`, else the live version,
    else the newest promoted version. `where` says on which device and engine it runs.
    """
    if store.empty:
        return None
    versions = {info.id: info for info in store.versions()}
    refused = ledger.list_refusals()
    promoted = [version for version in reversed(versions) if version not in refused]
    for version in (taken, store.current(), *promoted):
        if version not in versions:
            continue
        predictor = load_predictor(str(store.path), version, where.device, where.engine)
        serving = ServingVersion(version, predictor, versions[version].hash)
        schema = serving.schema
        now = on_clock(instant, schema.time_format)
        newest_origin = serving.fitted.history.origins.max(keepdims=True)
        (newest,) = build_calendar(schema).times(newest_origin)
        if now is None or not schema.dated or newest <= now:
            return serving
    return None


def reason_to_fit(
    pipeline: Pipeline, live: ServingVersion | None, ledger: Ledger, instant: datetime
) -> tuple[str, bool]:
    """The reason to fit anew, or ""; and whether the fit reads the table by the file alone."""
    if live is None:
        return "there is no version yet", True
    if instant - datetime.now(UTC) > CLOCK_TOLERANCE:
        return "", False  # a run ahead of its clock is no reason
    at = as_text(instant)
    fits = ledger.fits(at)
    if fits and fits[-1].as_of == at:
        return "", False  # an earlier run at this instant has fitted
    changed = find_setting_changes(pipeline, live.version, live.fitted, fits)
    if changed is not None:
        return changed, True
    if pipeline.refit == "never":
        return "", False
    if pipeline.refit == "when worse":
        return _worse(live.fitted, ledger.days(RECENT_DAYS, before=at)), False

    last = saved_at(live.version) or instant
    if fits:
        last = datetime.fromisoformat(fits[-1].as_of)
    age = (instant - last).total_seconds()
    days = {"daily": 1, "weekly": 7}.get(pipeline.refit) or int(pipeline.refit.split()[1])
    due = age >= days * DAY - CLOCK_TOLERANCE.total_seconds()
    return f"the last fit is {age / DAY:.1f} days old" if due else "", False


def _worse(fitted: Fitted, days: list[DayScore]) -> str:
    """Why recent scores call for a fit, or "".

    The first horizon after the fit does not count, as the version before also forecast it.
    """
    error_at_fit = fitted.ensemble.scores.get(CHOSEN)
    if not error_at_fit or fitted.settings().metric != "mase":
        return ""
    schema = fitted.schema
    steps = fitted.history.origin + np.array([0, fitted.config.horizon])
    ends = build_calendar(schema).times(steps)
    if schema.dated and schema.time_format.kind != STEP_KIND:
        ends = wall_clock(ends, schema.time_format.zone) // DAY
    scores = []
    for day in days:
        date = int(np.datetime64(day.day, "D").astype(int)) if "-" in day.day else int(day.day)
        if day.mase is not None and date > ends[1]:
            scores.append((date, day.mase, day.count))
    if sum(count for *_, count in scores) < WORSE_PRIORS.min_scores:
        return ""

    dates, errors, counts = map(np.array, zip(*scores, strict=True))
    horizon = number_horizons(dates, max(int(np.ptp(ends)), 1))
    total = np.bincount(horizon, counts)
    summed = np.bincount(horizon, errors * counts)
    scored = total > 0
    recent = summed[scored] / total[scored]
    mean, deviation = log_ratio(recent, np.array([error_at_fit]))
    if mean - deviation <= np.log(WORSE_PRIORS.ratio):
        return ""
    least = f"over {100 * (WORSE_PRIORS.ratio - 1):.0f} % more"
    limit = f"{least} after one standard error of {100 * deviation:.0f} %"
    now = f"MASE {recent.mean():.4g} over {len(recent)} horizon(s) of recent days"
    return f"{now}, and {error_at_fit:.4g} at fit: {limit}"


def settings_of_fit(pipeline: Pipeline) -> str:
    """The settings that decide the result of a fit, without those at their default, as JSON."""
    groups = {"table": pipeline.table, "train": pipeline.train, "reading": pipeline.source.text()}
    values = {
        group: settings.model_dump(mode="json", exclude_defaults=True, exclude=WITHOUT_EFFECT)
        for group, settings in groups.items()
    }
    return pipeline.hidden(json.dumps(values, sort_keys=True))


def find_setting_changes(
    pipeline: Pipeline, version: str, serving: Fitted, fits: list[FitEntry]
) -> str | None:
    """Why the settings of a file need another fit, or None; `UsageError` if the file forbids it."""
    never = pipeline.refit == "never"
    last = fits[-1] if fits else None
    if last is not None:
        changed = last.settings != settings_of_fit(pipeline)
        if changed and not never:
            return "the settings changed"
        if not changed and last.version == version:
            return None
    differences = settings_differences(pipeline, serving)
    if not differences:
        return None
    if never:
        problem = f"{version} was fitted with other settings than the file's ({differences})"
        cure = "correct the file, allow a refit, or promote a version with these settings"
        raise UsageError(f"{problem}, and refit is never", place=pipeline.store, cure=cure)
    # the gate or the user has decided for the older version
    if last is not None and last.version > version:
        text = "%s still forecasts, although it was fitted with other settings than the file's: %s"
        log.warning(text, version, differences)
        return None
    return f"{version} was fitted with other settings than the file's: {differences}"


def settings_differences(pipeline: Pipeline, serving: Fitted) -> str:
    """The settings of a file that differ from a fit, as text."""
    config = serving.config
    schema = config.table
    trained = TrainSettings.check(config.settings).model_dump(exclude=set(RUN_SETTINGS))
    trained["horizon"] = config.horizon
    trained["lookback"] = serving.ensemble.lookback
    read_as = schema.table_settings()
    read_as["date_format"] = schema.date_format or schema.time_format.pattern
    read_as["timezone"] = schema.timezone or schema.time_format.zone
    read_as["target"] = schema.series if schema.target is None else (schema.target,)
    if not schema.dated_events:
        read_as["events"] = None  # a file of events may grow from run to run
    for name in FREE_FIELDS & read_as.keys():
        del read_as[name]
    fitted = {"train": trained, "table": read_as}

    changes = []
    for group, settings in (("train", pipeline.train), ("table", pipeline.table)):
        for name, value in settings.model_dump(exclude_unset=True).items():
            if name == "freq" and value is not None:
                freq = parse_frequency(value)
                same = (freq.kind, freq.every) == (schema.calendar.kind, schema.calendar.every)
                before = schema.calendar.name
            elif name in fitted[group]:
                same = _comparable(name, value) == _comparable(name, fitted[group][name])
                before = _text(fitted[group][name])
            else:
                continue
            if not same:
                changes.append(f"{name} in [{group}] is {_text(value)}, and was {before}")
    return "; ".join(changes)


def _comparable(name: str, value: Any) -> Any:
    if not isinstance(value, tuple | list):
        return value
    return tuple(value) if name == "id" else frozenset(value)


def _text(value: Any) -> str:
    if isinstance(value, tuple | list):
        return ", ".join(map(str, value)) or "none"
    return "not given" if value is None else str(value)
