"""Read a pipeline file: the settings of a job, as TOML."""

import difflib
import inspect
import json
import os
import re
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, time
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import BeforeValidator, Field, PrivateAttr

from forecast import settings
from forecast.artifacts.store import check_apart
from forecast.ensemble.names import check_models
from forecast.errors import ForecastError, NoInput, Setting, UsageError, as_flag
from forecast.jobs import sinks, sources
from forecast.jobs.checks.finding import Limits
from forecast.jobs.checks.limits import (
    ActualCheckSettings,
    JobCheckSettings,
    OutputCheckSettings,
    OwnCheckSettings,
)
from forecast.jobs.ledger import KEEP, LEDGER_TABLES
from forecast.jobs.monitoring import MonitoringSettings
from forecast.jobs.sinks import OrdersSettings, SinkSettings, TotalsSettings
from forecast.jobs.sources import SourceSettings
from forecast.logs import MASK, Redactor
from forecast.settings import PATH_MARK, Facts, SettingsGroup, find_settings, parse_duration
from forecast.tables.reading import SYNTHETIC
from forecast.tables.writing import check_output

SQLITE = "sqlite:///"
SUMS_SECTION = "[[totals]]"
ORDERS_SECTION = "[orders]"
OWNERS_TABLE = "forecast_owners"  # database table: which job writes the rows of which series
MAX_PIPELINE_LENGTH = 1_000_000  # characters of a pipeline file
REFIT_RULE = re.compile("never|daily|weekly|when worse|every [1-9][0-9]{0,3} days?")
VARIABLE = re.compile(r"\$\{(\w+)\}")


def _refit_text(value: object) -> object:
    text = f"every {value} days" if type(value) is int else value
    if not isinstance(text, str) or not REFIT_RULE.fullmatch(text):
        raise ValueError(
            "it is never, daily, weekly, 'when worse', or 'every N days' with N from 1"
        )
    return text


class JobSettings(settings.StoreSettings):
    """Name and store of a job, and when it fits."""

    name: str | None = Field(
        default=None, max_length=1_000, description="name of the job; default the file's name"
    )
    refit: Annotated[str, BeforeValidator(_refit_text)] = Field(
        default="weekly",
        description="when to fit: never, daily, weekly, 'every N days' or 'when worse'; "
        "the first run always fits",
    )
    as_of: str | None = Field(
        default=None, description="the time as of which the job runs; default now"
    )
    ledger: Literal["store", "sink"] = Field(
        default="store",
        description="where runs and scores are recorded: STORE.runs/ledger.db, "
        "or the database of the sink",
    )


class Pipeline(JobSettings):
    """The settings of a job."""

    totals: tuple[TotalsSettings, ...] = Field(
        default=(), description="sums of the forecasts, and where they go"
    )
    orders: OrdersSettings = Field(
        default=OrdersSettings(), description="what to order of items, and where that goes"
    )
    source: SourceSettings = Field(description="where the table comes from")
    table: settings.TableSettings = Field(
        default=settings.TableSettings(), description="how it becomes series"
    )
    train: settings.TrainSettings = Field(
        default=settings.TrainSettings(), description="what is trained"
    )
    output: settings.OutputSettings = Field(
        default=settings.OutputSettings(), description="what a table of forecasts contains"
    )
    sink: SinkSettings = Field(description="where the forecasts go")
    checks: JobCheckSettings = Field(
        default=JobCheckSettings(), description="checks of the table and of forecasts"
    )
    monitoring: MonitoringSettings = Field(
        default=MonitoringSettings(), description="where the gauges of the job go"
    )

    # periods that are summed, also if other sinks replace those of the sums
    _periods: settings.PeriodNames = PrivateAttr(())
    _file: str = PrivateAttr("")
    _hidden: Redactor = PrivateAttr(default_factory=Redactor)

    def model_post_init(self, context: object) -> None:
        self._periods = tuple(every for totals in self.totals for every in totals.every)

    @property
    def file(self) -> str:
        """Path of the pipeline file; "" for a pipeline made in Python."""
        return self._file

    @property
    def shown_name(self) -> str:
        """The name of the job as messages show it."""
        return self.hidden(self.name or "job")

    @property
    def hidden(self) -> Redactor:
        """What removes the secrets of the job from messages."""
        return self._hidden

    @property
    def sinks(self) -> dict[str, SinkSettings]:
        """The sinks of forecasts, of sums and of orders, by their tables in the file, in this order."""
        sums = {
            f"{SUMS_SECTION} {number}": totals.sink(self.sink)
            for number, totals in enumerate(self.totals, start=1)
        }
        orders = {} if self.orders.items is None else {ORDERS_SECTION: self.orders.sink(self.sink)}
        return {"[sink]": self.sink, **sums, **orders}


SECTIONS = {
    name: cast("type[SettingsGroup]", field.annotation)
    for name, field in Pipeline.model_fields.items()
    if name not in JobSettings.model_fields
}
SECTIONS["totals"] = TotalsSettings
_HEADS = {section: f"[{section}]" for section in SECTIONS} | {"totals": SUMS_SECTION}
_HOMES = {
    **dict.fromkeys(OutputCheckSettings.model_fields, "[checks.output]"),
    **dict.fromkeys(ActualCheckSettings.model_fields, "[checks.actual]"),
    **dict.fromkeys(Limits.model_fields, "[checks.output.NAME] or [checks.actual.NAME]"),
    **{key: _HEADS[name] for name, group in SECTIONS.items() for key in group.model_fields},
}
_KEYS = {"sum_by": "by", "sum_every": "every"}  # settings that have another name in a file


def read_pipeline(path: str) -> Pipeline:
    """Read and check a pipeline file; relative paths in it start at its folder.

    Raises `NoInput` if there is no such file; `UsageError` if it is not TOML, a key is unknown (the
    message names the nearest key of all tables), a value is out of bounds, or an environment
    variable, the source or the sink is missing.
    """
    file = Path(path)
    hidden = Redactor()
    reader = _Reader(file.resolve().parent, hidden)
    with hidden.kept_out():
        content = _toml(path)
        pipeline: Pipeline = reader.settings(Pipeline, content, f"{path}: ")
        pipeline = pipeline.model_copy(update={"name": pipeline.name or file.stem})
        pipeline._file = path
        pipeline._hidden = hidden
        _check_together(pipeline, f"{path}: ")
    return pipeline


def _toml(path: str) -> Facts:
    try:
        with open(path, encoding="utf-8-sig") as file:
            text = file.read(MAX_PIPELINE_LENGTH + 1)
        if len(text) > MAX_PIPELINE_LENGTH:
            problem = f"has more than {MAX_PIPELINE_LENGTH:,} characters; is it a pipeline file?"
            raise UsageError(problem, place=path)
        return tomllib.loads(text)
    except FileNotFoundError:
        raise NoInput(f"{path} does not exist; give the path of a pipeline file (.toml)") from None
    except OSError as error:
        raise NoInput(f"{path} cannot be opened: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise UsageError("is not UTF-8 text, as TOML must be", place=path) from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"is not valid TOML: {error}", place=path) from None


def files_read(pipeline: Pipeline) -> dict[str, str | None]:
    files: dict[str, str | None] = {"the pipeline file": pipeline.file or None}
    for section in ("source", "table"):
        for key, path in find_settings(getattr(pipeline, section), PATH_MARK).items():
            files[f"the table of [{section}] {key}"] = path
    files["the table of [orders] items"] = pipeline.orders.items
    return files


@dataclass(frozen=True)
class _Reader:
    folder: Path  # relative paths start here
    hidden: Redactor

    def settings(self, group: type[SettingsGroup], content: Facts, where: str) -> Any:
        """The checked settings of a table of the file and its subtables, with absolute paths."""
        values: Facts = {}
        from_variables = []
        for name, value in content.items():
            if name not in group.model_fields:
                schema = "(`forecast run --schema` prints all keys)"
                raise UsageError(f"{where}unknown key '{name}'{_hint(name)} {schema}")
            is_secret = not group.model_fields[name].repr
            nested = self._parse_subtable(group, name, value, where)
            values[name] = self._expand(nested, f"{where}{name}", is_secret)
            if values[name] != nested:
                from_variables.append(name)
            if is_secret and isinstance(values[name], str):
                self.hidden.add(values[name])
        for name, use in (("source", sources.SOURCE_USE), ("sink", sinks.SINK_USE)):
            if group is Pipeline and name not in values:
                raise UsageError(f"{where}the table [{name}] is missing: {use}")
        with _name_place(where):
            checked = group.check(values, hidden=from_variables)
        whole = {
            key: self._whole_path(path, f"{where}{key}")
            for key, path in find_settings(checked, PATH_MARK).items()
        }
        if "url" in values:
            whole["url"] = self._whole_url(values["url"])
        return checked.model_copy(update=whole)

    def _parse_subtable(self, group: type[SettingsGroup], name: str, value: Any, where: str) -> Any:
        """A subtable as settings; any other value is returned unchanged."""
        if group is Pipeline and name == "totals":
            if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
                use = f"write {SUMS_SECTION} on a line of its own for each"
                raise UsageError(f"{where}'totals' is a list of tables: {use}")
            return tuple(
                self.settings(TotalsSettings, item, f"{where}{SUMS_SECTION} {number} ")
                for number, item in enumerate(value, start=1)
            )
        field = group.model_fields[name]
        kind = field.annotation
        if name == "own" and isinstance(value, dict):
            return {
                key: self.settings(
                    OwnCheckSettings, item, f"{where.removesuffix('] ')}.own.{key}] "
                )
                for key, item in value.items()
            }
        if not inspect.isclass(kind) or not issubclass(kind, SettingsGroup):
            return value
        outer = where.removesuffix("] ")
        head = f"{where}[{name}]" if outer == where else f"{outer}.{name}]"
        if not isinstance(value, dict):
            use = f"write it on a line of its own, or {name} = {{...}}"
            raise UsageError(f"{head} is a table of settings: {use}")
        if isinstance(field.default, Limits):  # one of the two limits may be left at its default
            value = field.default.model_dump() | value
        return self.settings(kind, value, f"{head} ")

    def _expand(self, value: Any, where: str, is_secret: bool) -> Any:
        """Replace each ${NAME} by that environment variable, which messages then hide."""
        if isinstance(value, dict):
            return {
                name: self._expand(item, f"{where}.{name}", is_secret)
                for name, item in value.items()
            }
        if isinstance(value, list):
            return [self._expand(item, where, is_secret) for item in value]
        if isinstance(value, date | time):  # TOML has its own dates and times, without quotes
            return value.isoformat()
        if not isinstance(value, str):
            return value
        if "\0" in value:
            problem = "holds a NUL character, which no path, name or address can have; remove it"
            raise UsageError(f"{where}: {problem}")

        def variable(match: re.Match[str]) -> str:
            name = match[1]
            if name not in os.environ:
                raise UsageError(f"{where}: the environment variable {name} is not set")
            replacement = os.environ[name]
            self.hidden.add(replacement, match[0], parts=True)
            return replacement

        text = VARIABLE.sub(variable, value)
        if text != value:
            self.hidden.add(text, MASK if is_secret else value, parts=True)
        return text

    def _whole_path(self, path: str, where: str) -> str:
        if path.startswith(SYNTHETIC) or path == "-":
            return path
        if "://" in path:  # it may contain a password, so no message may show it
            problem = "is a path, and here it is an address; a database belongs to url"
            raise UsageError(f"{where} {problem}")
        try:
            return os.path.normpath(self.folder / Path(path).expanduser())
        except RuntimeError:
            user = path.partition("/")[0]
            problem = f"the home folder of {user} is not known: no such user, or HOME is not set"
            raise UsageError(f"{where}: {problem}; write an absolute path") from None

    def _whole_url(self, url: str) -> str:
        """The address of a database; the relative path of an SQLite file starts at the folder."""
        file = url.removeprefix(SQLITE)
        if file == url or file.startswith(("/", ":")) or Path(file).is_absolute():
            return url
        return f"{SQLITE}{str(self.folder).replace('%', '%25')}/{file}"


def _hint(name: str) -> str:
    """Where a key belongs, or the nearest one."""
    homes = {key: f"in {head}" for key, head in _HOMES.items()}
    homes |= {name: f"at the top level, as a table: {head}" for name, head in _HEADS.items()}
    homes |= dict.fromkeys(JobSettings.model_fields, "at the top, before the first [table]")
    if name in homes:
        return f"; it belongs {homes[name]}"
    near = difflib.get_close_matches(name[:100].lower(), homes, n=1, cutoff=0.5)
    return f"; did you mean '{near[0]}' {homes[near[0]]}?" if near else ""


@contextmanager
def _name_place(place: str) -> Iterator[None]:
    try:
        yield
    except UsageError as error:
        # as text: keys look like Python arguments, not like flags
        raise UsageError(f"{place}{error}") from None


def _check_together(pipeline: Pipeline, where: str) -> None:
    with _name_place(f"{where}[source] "):
        pipeline.source.check_keys()
    with _name_place(f"{where}[train] "):
        check_models(pipeline.train)
    _check_places(pipeline, where)
    if pipeline.ledger == "sink" and pipeline.sink.url is None:
        raise UsageError(f'{where}ledger = "sink" needs the url and table of [sink]')
    warn = pipeline.checks.warn_after
    error = pipeline.checks.error_after
    if warn and error and parse_duration(warn) > parse_duration(error):
        raise UsageError(f"{where}[checks] warn_after {warn} lies beyond error_after {error}")


def _check_places(pipeline: Pipeline, where: str) -> None:
    """Refuse to write files and tables that the job reads, that are the ledger's, or twice."""
    own_tables = (
        {*LEDGER_TABLES, *KEEP, OWNERS_TABLE} if pipeline.ledger == "sink" else {OWNERS_TABLE}
    )
    files = {"[monitoring]": pipeline.monitoring.path}
    if pipeline.orders.items is None and pipeline.orders != OrdersSettings():
        raise UsageError(f"{where}{ORDERS_SECTION} names no items; name a table with items")
    places = []
    for name, sink in pipeline.sinks.items():
        with _name_place(f"{where}{name} "):
            sink.check_keys()
        files[name] = sink.path
        if sink.table is not None:
            if sink.table.rpartition(".")[2].lower() in own_tables:
                problem = f"table {sink.table} is one of the program's own; write to another table"
                raise UsageError(f"{where}{name} {problem}")
            places.append((name, strip_schema(sink.table).lower(), sink.table))
    for name, path in files.items():
        if path is not None:
            with _name_place(f"{where}{name} path "):
                check_apart(path, files_read(pipeline), pipeline.store)
                if name != "[monitoring]":
                    check_output(path)
            places.append((name, os.path.realpath(path), path))
    taken: dict[str, str] = {}
    for name, place, shown in places:
        if place in taken:
            problem = f"{shown} is also written by {taken[place]}; write elsewhere"
            raise UsageError(f"{where}{name} {problem}")
        taken[place] = name


def strip_schema(table: str) -> str:
    """The name of a database table, without that of the default schema."""
    return table.removeprefix("public.").removeprefix("main.")


def as_key(setting: Setting) -> str:
    """A setting as a pipeline file has it: ``horizon = 30 in [train]``; else as a flag."""
    name = _KEYS.get(setting.name, setting.name)
    if name not in _HOMES:
        return as_flag(setting)
    value = "" if setting.value is None else f" = {json.dumps(setting.value, default=str)}"
    return f"{name}{value} in {_HOMES[name]}"


@contextmanager
def keys_in_errors() -> Iterator[None]:
    """Show settings in errors of the block as the pipeline file has them."""
    try:
        yield
    except ForecastError as error:
        raise type(error)(error.render(as_key)) from error
