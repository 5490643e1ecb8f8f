"""Whether the version that serves was fitted as the pipeline file says."""

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
    """A digest of the settings that decide what a fit gives; a setting that a later release adds leaves it the same."""
    used = {
        "table": pipeline.table.model_dump(mode="json", exclude_defaults=True),
        "train": pipeline.train.model_dump(mode="json", exclude_defaults=True, exclude={"jobs", "device"}),
    }
    if reading := pipeline.source.text().model_dump(mode="json", exclude_defaults=True):
        used["reading"] = reading
    return hashlib.sha256(json.dumps(used, sort_keys=True).encode()).hexdigest()


def settings_changed(pipeline: Pipeline, version: str, config: Config, fits: list[FitEntry]) -> str | None:
    """Why the settings of a file ask for a new fit; None where the job has fitted with them.

    Parameters
    ----------
    version, config : of the fit that serves
    fits : those of the job, oldest first
    """
    last = fits[-1] if fits else None
    if last is not None and last.settings != settings_digest(pipeline):
        return "the settings changed"
    found = "" if last is not None and last.version == version else differences(pipeline, config)
    if not found:
        return None
    if last is not None and last.version > version:  # a gate or a person has decided for the older one
        log.warning("%s still forecasts, which was fitted with other settings than the file's: %s", version, found)
        return None
    return f"{version} was fitted with other settings than the file's: {found}"


def refuse_other_settings(pipeline: Pipeline, version: str, config: Config, fits: list[FitEntry]) -> None:
    """Refuse to forecast by a fit with other settings, where the file forbids a new one.

    Raises
    ------
    UsageError
        With the settings that differ.
    """
    last = fits[-1] if fits else None
    if last is not None and last.version == version and last.settings == settings_digest(pipeline):
        return
    found = differences(pipeline, config)
    if found:
        raise UsageError(
            f"{pipeline.store}: {version} was fitted with other settings than the file's ({found}), and refit is "
            "never; correct the file, allow a refit, or promote a version that was fitted so"
        )


def differences(pipeline: Pipeline, config: Config) -> str:
    """The settings that the file gives and that a fit was made without, in words; "" where there are none."""
    found = []
    for group, settings, fitted in (
        ("train", pipeline.train, _trained(config)),
        ("table", pipeline.table, _read(config.table)),
    ):
        given = settings.model_dump(exclude_unset=True)
        for name, value in given.items():
            if name == "freq" and value is not None:
                same = _on_grid(value, config.table)
            else:
                same = name not in fitted or _plain(name, value) == _plain(name, fitted[name])
            if not same:
                there = config.table.calendar.name if name == "freq" else _text(fitted[name])
                found.append(f"{name} in [{group}] is {_text(value)}, and was {there}")
    return "; ".join(found)


def _trained(config: Config) -> dict[str, Any]:
    """Settings of [train] as a fit used them."""
    used = {**TrainSettings.check(config.settings).model_dump(), "horizon": config.horizon, "lookback": config.lookback}
    return {name: value for name, value in used.items() if name not in RUN_ONLY}


def _read(schema: Schema) -> dict[str, Any]:
    """Settings of [table] as a fit used them, what was inferred included."""
    used = {
        **schema.knobs(),
        "date_format": schema.date_format or schema.time_format.pattern,
        "timezone": schema.timezone or schema.time_format.zone,
        "target": (schema.target,) if schema.target is not None else schema.series,
    }
    return {name: value for name, value in used.items() if name not in {*AT_PREDICT, "freq"}}


def _plain(name: str, value: Any) -> Any:
    """A value for comparison."""
    many = isinstance(value, tuple | list)
    return tuple(value) if many and name in ORDERED else frozenset(value) if many else value


def _text(value: Any) -> str:
    many = isinstance(value, tuple | list)
    return ", ".join(map(str, value)) or "none" if many else "not given" if value is None else str(value)


def _on_grid(freq: str, schema: Schema) -> bool:
    """Whether the grid of a fit is one that `freq` can mean."""
    told, grid = parse_frequency(freq), schema.calendar
    if (told.kind, told.every) != (grid.kind, grid.every):
        return False
    if told.end is not None and grid.kind == "months" and told.end != (grid.day < 0):
        return False
    if told.anchor is None:
        return True
    if grid.kind == "months":
        return grid.anchor == told.anchor % grid.every
    return grid.name.endswith(WEEKDAYS[told.anchor])
