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
    """The reason why the settings of a file need a new fit; None if the job has fitted with them.

    Parameters
    ----------
    version, config : of the fit that forecasts
    fits : fits of the job, oldest first
    """
    last = fits[-1] if fits else None
    if last is not None and last.settings != settings_digest(pipeline):
        return "the settings changed"
    changes = "" if last is not None and last.version == version else differences(pipeline, config)
    if not changes:
        return None
    if last is not None and last.version > version:  # the gate or the user decided for the older version
        log.warning(
            "%s still forecasts, although it was fitted with other settings than the file's: %s", version, changes
        )
        return None
    return f"{version} was fitted with other settings than the file's: {changes}"


def refuse_other_settings(pipeline: Pipeline, version: str, config: Config, fits: list[FitEntry]) -> None:
    """Refuse to forecast with a version of other settings if the file forbids a new fit.

    Raises
    ------
    UsageError
        With the settings that differ.
    """
    last = fits[-1] if fits else None
    if last is not None and last.version == version and last.settings == settings_digest(pipeline):
        return
    changes = differences(pipeline, config)
    if changes:
        raise UsageError(
            f"{pipeline.store}: {version} was fitted with other settings than the file's ({changes}), and refit is "
            "never; correct the file, allow a refit, or promote a version with these settings"
        )


def differences(pipeline: Pipeline, config: Config) -> str:
    """The settings of the file that differ from those of a fit, in words; "" if there are none."""
    changes = []
    for group, settings, fitted in (
        ("train", pipeline.train, _trained(config)),
        ("table", pipeline.table, _read(config.table)),
    ):
        given = settings.model_dump(exclude_unset=True)
        for name, value in given.items():
            if name == "freq" and value is not None:
                same = _same_frequency(value, config.table)
            else:
                same = name not in fitted or _plain(name, value) == _plain(name, fitted[name])
            if not same:
                before = config.table.calendar.name if name == "freq" else _text(fitted[name])
                changes.append(f"{name} in [{group}] is {_text(value)}, and was {before}")
    return "; ".join(changes)


def _trained(config: Config) -> dict[str, Any]:
    """The settings of [train] that a fit used."""
    used = {**TrainSettings.check(config.settings).model_dump(), "horizon": config.horizon, "lookback": config.lookback}
    return {name: value for name, value in used.items() if name not in RUN_ONLY}


def _read(schema: Schema) -> dict[str, Any]:
    """The settings of [table] that a fit used, including inferred ones."""
    used = {
        **schema.knobs(),
        "date_format": schema.date_format or schema.time_format.pattern,
        "timezone": schema.timezone or schema.time_format.zone,
        "target": (schema.target,) if schema.target is not None else schema.series,
        **({} if schema.dated_events else {"events": None}),  # a file of events may grow from run to run
    }
    return {name: value for name, value in used.items() if name not in {*AT_PREDICT, "freq"}}


def _plain(name: str, value: Any) -> Any:
    """A value in a form that can be compared."""
    many = isinstance(value, tuple | list)
    return tuple(value) if many and name in ORDERED else frozenset(value) if many else value


def _text(value: Any) -> str:
    many = isinstance(value, tuple | list)
    return ", ".join(map(str, value)) or "none" if many else "not given" if value is None else str(value)


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
