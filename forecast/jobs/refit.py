"""When a job fits anew, and which version serves meanwhile."""

import hashlib
import json
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

import numpy as np

from forecast.artifacts.format import saved_at
from forecast.artifacts.store import Store
from forecast.calendar.frequency import WEEKDAYS, parse_frequency
from forecast.calendar.spec import STEPS, as_text, on_clock
from forecast.calendar.zones import DAY, wall_clock
from forecast.checks.promotion import ServingVersion, horizons_of, log_ratio
from forecast.ensemble.ensemble import CHOSEN
from forecast.errors import UsageError
from forecast.inference.fitted import RUN_SETTINGS, Config, Fitted
from forecast.inference.forecasting import load_predictor
from forecast.jobs.pipeline import Pipeline
from forecast.ledger.ledger import DayScore, FitEntry, Ledger
from forecast.ledger.record import CLOCK_TOLERANCE
from forecast.logs import log
from forecast.panel.schema import Schema, calendar_of
from forecast.settings import EngineName, TrainSettings
from forecast.tables.text import given_delimiter

WORSE_RATIO = 1.25  # recent error over that of the fit, from which on a fit is due: days differ more than versions do
MIN_SCORES, RECENT_DAYS = 30, 14  # scored values that this takes, and scored days that are recent


def serving_version(
    store: Store,
    ledger: Ledger,
    instant: datetime,
    taken: str | None,
    device: str,
    engine: EngineName,
) -> ServingVersion | None:
    """The version that forecasts at the time of a run, fitted to no later values; None if there is no version yet.

    It is the version that an earlier run at that instant has `taken`, else the live one, else the newest promoted one.
    """
    if store.empty:
        return None
    versions, refused = {info.id: info for info in store.versions()}, ledger.refused()
    newest = [version for version in reversed(versions) if version not in refused]
    for version in [taken, store.current(), *newest]:
        if version in versions:
            predictor = load_predictor(str(store.path), version, device, engine)
            schema, origins = predictor.fitted.config.table, predictor.fitted.history.origins
            end = None if schema.layout == "rows" else on_clock(instant, schema.time_format)
            if end is None or calendar_of(schema).times(origins.max(keepdims=True))[0] <= end:
                return ServingVersion(version, predictor, versions[version].hash)
    return None


def reason_to_fit(
    pipeline: Pipeline, live: ServingVersion | None, ledger: Ledger, instant: datetime
) -> tuple[str, bool]:
    """Why a job fits anew, "" where it does not, and whether the file alone says how the table is read then."""
    if live is None:
        return "there is no version yet", True
    if instant - datetime.now(UTC) > CLOCK_TOLERANCE:
        return "", False  # a clock that runs ahead is no reason
    at = as_text(instant)
    fits = ledger.fits(at)
    if fits and fits[-1].as_of == at:
        return "", False  # this instant has had its fit
    if (changed := settings_changed(pipeline, live.version, live.fitted.config, fits)) is not None:
        return changed, True
    if pipeline.refit == "never":
        return "", False
    if pipeline.refit == "when worse":
        return _worse(live.fitted, ledger.days(RECENT_DAYS, before=at)), False
    last = datetime.fromisoformat(fits[-1].as_of) if fits else saved_at(live.version) or instant
    age = (instant - last).total_seconds()
    days = {"daily": 1.0, "weekly": 7.0}.get(pipeline.refit) or float(pipeline.refit.split()[1])
    due = age >= days * DAY - CLOCK_TOLERANCE.total_seconds()
    return f"the last fit is {age / DAY:.1f} days old" if due else "", False


def _worse(fitted: Fitted, days: list[DayScore]) -> str:
    """Why scores ask for a fit; the first horizon after the fit does not count: the version before forecast it, too."""
    at_fit, schema = fitted.config.scores.get(CHOSEN), fitted.config.table
    times = calendar_of(schema).times(
        fitted.history.origins.max() + np.array([0, fitted.config.horizon])
    )
    counted_time = schema.time_format.kind == STEPS or schema.layout == "rows"
    ends = times if counted_time else wall_clock(times, schema.time_format.zone) // DAY
    dated = [
        (int(np.datetime64(day.day, "D").astype(int)) if "-" in day.day else int(day.day), day)
        for day in days
    ]
    scores = [
        (date, day.mase, day.count)
        for date, day in dated
        if day.mase is not None and date > ends[1]
    ]
    if (
        not at_fit
        or fitted.settings().metric != "mase"
        or sum(count for *_, count in scores) < MIN_SCORES
    ):
        return ""
    dates, mase, counts = (np.array(column) for column in zip(*scores, strict=True))
    block = horizons_of(dates, max(int(np.ptp(ends)), 1))
    filled = np.bincount(block, counts) > 0
    recent = np.bincount(block, mase * counts)[filled] / np.bincount(block, counts)[filled]
    mean, error = log_ratio(recent, np.array([at_fit]))
    if mean - error <= np.log(WORSE_RATIO):
        return ""
    more = (
        f"over {100 * (WORSE_RATIO - 1):.0f} % more after one standard error of {100 * error:.0f} %"
    )
    return f"MASE {recent.mean():.4g} over {len(recent)} horizon(s) of recent days, and {at_fit:.4g} at fit: {more}"


def settings_of_fit(pipeline: Pipeline) -> str:
    """The settings that decide the result of a fit, but for defaults: their names and digests of their values."""
    left_out = {"jobs", "device", "engine", "unfinished"}
    groups = {"table": pipeline.table, "train": pipeline.train, "reading": pipeline.source.text()}
    digests = dict[str, str]()
    for group, settings in groups.items():
        values = settings.model_dump(mode="json", exclude_defaults=True, exclude=left_out)
        for name, value in values.items():
            digests[f"{group}.{name}"] = hashlib.sha256(
                json.dumps(value, sort_keys=True).encode()
            ).hexdigest()
    return json.dumps(digests)


def _have_changed(before: str, now: str, inferred: Collection[str]) -> bool:
    """Whether settings of a fit have other values now; new ones may say what that fit `inferred`."""
    try:
        of_fit = json.loads(before)
    except ValueError:  # one digest of all, as 0.2.0 stored it
        return True
    of_file = json.loads(now)
    repeated = {
        name for name in of_file.keys() - of_fit.keys() if name.partition(".")[2] in inferred
    }
    return bool(of_fit != {name: value for name, value in of_file.items() if name not in repeated})


def settings_changed(
    pipeline: Pipeline, version: str, config: Config, fits: list[FitEntry]
) -> str | None:
    """Why a file needs another fit than the version that forecasts, if it does; UsageError where it forbids that."""
    last = fits[-1] if fits else None
    never = pipeline.refit == "never"
    changes, same = settings_differences(pipeline, config)
    if last is not None:
        text = pipeline.source.text()
        given = {**text.model_dump(exclude_none=True), "delimiter": given_delimiter(text)}
        same += [
            name
            for name, value in config.table.inferred
            if value is not None and given.get(name) == value
        ]
        changed = _have_changed(last.settings, settings_of_fit(pipeline), same)
        if changed and not never:
            return "the settings changed"
        if not changed and last.version == version:
            return None
    if not changes:
        return None
    if never:
        problem = f"{version} was fitted with other settings than the file's ({changes}), and refit is never"
        cure = "correct the file, allow a refit, or promote a version with these settings"
        raise UsageError(f"{pipeline.store}: {problem}; {cure}")
    other = f"fitted with other settings than the file's: {changes}"
    if (
        last is not None and last.version > version
    ):  # the gate or the user decided for the older version
        log.warning("%s still forecasts, although it was %s", version, other)
        return None
    return f"{version} was {other}"


def settings_differences(pipeline: Pipeline, config: Config) -> tuple[str, list[str]]:
    """The settings of the file that differ from those of a fit, in words, "" if none does; and names of equal ones."""
    schema, changes, equal = config.table, list[str](), list[str]()
    trained = TrainSettings.check(config.settings).model_dump(exclude=set(RUN_SETTINGS))
    trained |= {"horizon": config.horizon, "lookback": config.lookback}
    used = {
        **schema.table_settings(),
        "date_format": schema.date_format or schema.time_format.pattern,
        "timezone": schema.timezone or schema.time_format.zone,
        "target": (schema.target,) if schema.target is not None else schema.series,
        **(
            {} if schema.dated_events else {"events": None}
        ),  # a file of events may grow from run to run
    }
    used = {
        name: value
        for name, value in used.items()
        if name not in ("strict", "on_duplicate", "unfinished", "freq")
    }
    for group, settings, fitted in (
        ("train", pipeline.train, trained),
        ("table", pipeline.table, used),
    ):
        for name, value in settings.model_dump(exclude_unset=True).items():
            if name == "freq" and value is not None:
                same, before = _same_frequency(value, schema), schema.calendar.name
            else:
                same = name not in fitted or _comparable(name, value) == _comparable(
                    name, fitted[name]
                )
                before = _text(fitted.get(name))
            if not same:
                changes.append(f"{name} in [{group}] is {_text(value)}, and was {before}")
            elif name in {*fitted, "freq"}:
                equal.append(name)
    return "; ".join(changes), equal


def _comparable(name: str, value: Any) -> Any:
    return (
        value
        if not isinstance(value, tuple | list)
        else tuple(value)
        if name == "id"
        else frozenset(value)
    )


def _text(value: Any) -> str:
    if isinstance(value, tuple | list):
        return ", ".join(map(str, value)) or "none"
    return "not given" if value is None else str(value)


def _same_frequency(freq: str, schema: Schema) -> bool:
    given, fitted = parse_frequency(freq), schema.calendar
    if (given.kind, given.every) != (fitted.kind, fitted.every):
        return False
    if given.end is not None and fitted.kind == "months" and given.end != (fitted.day < 0):
        return False
    if given.anchor is None or fitted.kind == "months":
        return given.anchor is None or fitted.anchor == given.anchor % fitted.every
    return fitted.name.endswith(WEEKDAYS[given.anchor])
