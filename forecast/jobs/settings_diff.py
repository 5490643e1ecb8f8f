"""Compare the settings of a pipeline file with those of the fit that forecasts."""

import hashlib
import json
import logging
from typing import Any

from forecast.calendar.frequency import WEEKDAYS, parse_frequency
from forecast.errors import UsageError
from forecast.inference.fitted import RUN_ONLY, Config
from forecast.jobs.ledger import FitEntry
from forecast.jobs.pipeline import Pipeline
from forecast.panel.schema import Schema
from forecast.settings import TrainSettings

log = logging.getLogger("forecast")

AT_PREDICT = {"strict", "on_duplicate"}  # settings of [table] that a run applies without a fit
ORDERED = {"id"}  # lists whose order matters


def settings_digest(pipeline: Pipeline) -> str:
    """A digest of the settings that decide the result of a fit; settings at their defaults do not change it."""
    used = {
        "table": pipeline.table.model_dump(mode="json", exclude_defaults=True),
        "train": pipeline.train.model_dump(mode="json", exclude_defaults=True, exclude={"jobs", "device", "engine"}),
    }
    if reading := pipeline.source.text().model_dump(mode="json", exclude_defaults=True):
        used["reading"] = reading
    return hashlib.sha256(json.dumps(used, sort_keys=True).encode()).hexdigest()


def settings_changed(pipeline: Pipeline, version: str, config: Config, fits: list[FitEntry]) -> str | None:
    """Why the settings of a file need another fit than the version that forecasts; None if they do not.

    Raises UsageError, with the settings that differ, where the file forbids a new fit.
    """
    last, never = fits[-1] if fits else None, pipeline.refit == "never"
    if last is not None and last.settings != settings_digest(pipeline):
        if not never:
            return "the settings changed"
    elif last is not None and last.version == version:
        return None
    changes = differences(pipeline, config)
    if not changes:
        return None
    if never:
        raise UsageError(
            f"{pipeline.store}: {version} was fitted with other settings than the file's ({changes}), and refit is "
            "never; correct the file, allow a refit, or promote a version with these settings"
        )
    if last is not None and last.version > version:  # the gate or the user decided for the older version
        log.warning(
            "%s still forecasts, although it was fitted with other settings than the file's: %s", version, changes
        )
        return None
    return f"{version} was fitted with other settings than the file's: {changes}"


def differences(pipeline: Pipeline, config: Config) -> str:
    """The settings of the file that differ from those of a fit, in words; "" if there are none."""
    schema = config.table
    trained = {**TrainSettings.check(config.settings).model_dump(), "horizon": config.horizon}
    trained = {name: value for name, value in trained.items() if name not in RUN_ONLY}
    groups = (
        ("train", pipeline.train, {**trained, "lookback": config.lookback}),
        ("table", pipeline.table, _table_settings(schema)),
    )
    changes = []
    for group, settings, fitted in groups:
        for name, value in settings.model_dump(exclude_unset=True).items():
            if name == "freq" and value is not None:
                same, before = _same_frequency(value, schema), schema.calendar.name
            else:
                same = name not in fitted or _comparable(name, value) == _comparable(name, fitted[name])
                before = _text(fitted.get(name))
            if not same:
                changes.append(f"{name} in [{group}] is {_text(value)}, and was {before}")
    return "; ".join(changes)


def _table_settings(schema: Schema) -> dict[str, Any]:
    """The settings of [table] that a fit used, including inferred ones."""
    used = {
        **schema.knobs(),
        "date_format": schema.date_format or schema.time_format.pattern,
        "timezone": schema.timezone or schema.time_format.zone,
        "target": (schema.target,) if schema.target is not None else schema.series,
        **({} if schema.dated_events else {"events": None}),  # a file of events may grow from run to run
    }
    return {name: value for name, value in used.items() if name not in {*AT_PREDICT, "freq"}}


def _comparable(name: str, value: Any) -> Any:
    if not isinstance(value, tuple | list):
        return value
    return tuple(value) if name in ORDERED else frozenset(value)


def _text(value: Any) -> str:
    if isinstance(value, tuple | list):
        return ", ".join(map(str, value)) or "none"
    return "not given" if value is None else str(value)


def _same_frequency(freq: str, schema: Schema) -> bool:
    """Whether `freq` can mean the frequency of a fit."""
    given, fitted = parse_frequency(freq), schema.calendar
    if (given.kind, given.every) != (fitted.kind, fitted.every):
        return False
    if given.end is not None and fitted.kind == "months" and given.end != (fitted.day < 0):
        return False
    if given.anchor is None:
        return True
    if fitted.kind == "months":
        return fitted.anchor == given.anchor % fitted.every
    return fitted.name.endswith(WEEKDAYS[given.anchor])
