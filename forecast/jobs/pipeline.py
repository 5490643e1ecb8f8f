"""Read a pipeline file: the settings of a job, as TOML."""

import os
import re
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, time
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, BeforeValidator, Field, PrivateAttr

from forecast import settings
from forecast.artifacts.store import check_apart
from forecast.checks.limits import (
    ActualCheckSettings,
    JobCheckSettings,
    Limits,
    OutputCheckSettings,
)
from forecast.databases.redaction import MASK, Redactor
from forecast.ensemble.names import check_models
from forecast.errors import ForecastError, NoInput, UsageError, as_flag, did_you_mean
from forecast.jobs.kinds import DATABASE
from forecast.jobs.ping import check_address
from forecast.jobs.sinks import USE as SINK_USE
from forecast.jobs.sinks import SinkSettings, TotalsSettings, sinks_of
from forecast.jobs.sources import USE as SOURCE_USE
from forecast.jobs.sources import SourceSettings, source_of
from forecast.ledger.ledger import KEEP, TABLES
from forecast.settings import FILE, SettingsGroup, marked, seconds_of
from forecast.tables.reading import SYNTHETIC

_SQLITE = "sqlite:///"
SUMS = "[[totals]]"
ROWS = "forecast_owners"  # table of a database: which job writes the rows of which series
MAX_LENGTH = 1_000_000  # characters of a pipeline file
_HOMES = dict.fromkeys(OutputCheckSettings.model_fields, "[checks.output]")
_HOMES |= dict.fromkeys(ActualCheckSettings.model_fields, "[checks.actual]")


def _refit_text(given: object) -> object:
    text = f"every {given} days" if type(given) is int else given
    if not isinstance(text, str) or not re.fullmatch(
        "never|daily|weekly|when worse|every [1-9][0-9]{0,3} days?", text
    ):
        raise ValueError(
            "it is never, daily, weekly, 'when worse', or 'every N days' with N from 1"
        )
    return text


class JobSettings(settings.StoreSettings):
    """Name and store of a job, and when it fits."""

    name: str | None = Field(
        None, max_length=1_000, description="name of the job; default the file's name"
    )
    refit: Annotated[str, BeforeValidator(_refit_text)] = Field(
        "weekly",
        description="when to fit: never, daily, weekly, 'every N days' or 'when worse'; the first run always fits",
    )
    as_of: str | None = Field(None, description="the time as of which the job runs; default now")
    ledger: Literal["store", "sink"] = Field(
        "store",
        description="where runs and scores are recorded: STORE.runs/ledger.db, or the database of the sink",
    )
    ping: Annotated[str, AfterValidator(check_address)] | None = Field(
        None,
        repr=False,
        description="health-check URL, called at start (URL/start), on success and failure (URL/fail)",
    )


class Pipeline(JobSettings):
    """The settings of a job."""

    totals: tuple[TotalsSettings, ...] = Field(
        (), description="sums of the forecasts, and where they go"
    )
    source: SourceSettings = Field(description="where the table comes from")
    table: settings.TableSettings = Field(
        settings.TableSettings(), description="how it becomes series"
    )
    train: settings.TrainSettings = Field(settings.TrainSettings(), description="what is trained")
    output: settings.OutputSettings = Field(
        settings.OutputSettings(), description="what a table of forecasts contains"
    )
    sink: SinkSettings = Field(description="where the forecasts go")
    checks: JobCheckSettings = Field(
        JobCheckSettings(), description="checks of the table and of forecasts"
    )

    _periods: settings.PeriodNames = PrivateAttr(
        ()
    )  # that are summed, where other sinks take their place, too
    _file: str = PrivateAttr("")
    _hidden: Redactor = PrivateAttr(default_factory=Redactor)
    _take_over: bool | None = PrivateAttr(
        False
    )  # what other jobs have written; None: nobody owns the sinks

    def model_post_init(self, context: object) -> None:
        self._periods = tuple(every for totals in self.totals for every in totals.every)

    @property
    def file(self) -> str:
        """Path of the pipeline file; "" for a pipeline made in Python."""
        return self._file

    @property
    def hidden(self) -> Redactor:
        """The secrets of the job, which no message may show."""
        return self._hidden

    @property
    def sinks(self) -> dict[str, SinkSettings]:
        """Where forecasts and their sums go, by the tables of the file that say so: [sink] first."""
        sums = {
            f"{SUMS} {number}": totals.sink(self.sink)
            for number, totals in enumerate(self.totals, start=1)
        }
        return {"[sink]": self.sink, **sums}


_FIELDS = [name for name in Pipeline.model_fields if name not in JobSettings.model_fields]
SECTIONS = {
    name: cast("type[SettingsGroup]", Pipeline.model_fields[name].annotation) for name in _FIELDS
}
SECTIONS["totals"] = TotalsSettings
_HEADS = {section: f"[{section}]" for section in SECTIONS} | {"totals": SUMS}
_HOMES |= dict.fromkeys(Limits.model_fields, "[checks.output.NAME] or [checks.actual.NAME]")
_HOMES |= {
    key: _HEADS[section] for section, group in SECTIONS.items() for key in group.model_fields
}


def read_pipeline(path: str) -> Pipeline:
    """Read and check a pipeline file; relative paths in it start at its folder.

    Raises NoInput if there is no such file; UsageError if it is not TOML, a key is unknown (the message names the
    nearest one of all tables), a value is out of bounds, or a variable, the source or the sink is missing.
    """
    file, where, hidden = Path(path), f"{path}: ", Redactor()
    try:
        with file.open(encoding="utf-8-sig") as opened:
            text = opened.read(MAX_LENGTH + 1)
        if len(text) > MAX_LENGTH:
            raise UsageError(
                f"{where}has more than {MAX_LENGTH:,} characters; is it a pipeline file?"
            )
        given = tomllib.loads(text)
    except FileNotFoundError:
        raise NoInput(f"{path} does not exist; give the path of a pipeline file (.toml)") from None
    except OSError as error:
        raise NoInput(f"{path} cannot be opened: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{where}is not UTF-8 text, as TOML must be") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{where}is not valid TOML: {error}") from None
    with hidden.kept_out():
        pipeline: Pipeline = _checked(Pipeline, given, where, file.resolve().parent, hidden)
        pipeline = pipeline.model_copy(update={"name": pipeline.name or file.stem})
        pipeline._file, pipeline._hidden = path, hidden
        _check_together(pipeline, where)
    return pipeline


def files_read(pipeline: Pipeline) -> dict[str, str | None]:
    files: dict[str, str | None] = {"the pipeline file": pipeline.file or None}
    for what, section in (("table", "source"), ("plan", "train"), ("events", "table")):
        marks = marked(getattr(pipeline, section), FILE)
        files |= {f"the {what} of [{section}] {key}": path for key, path in marks.items()}
    return files


def _checked(
    group: type[SettingsGroup], given: dict[str, Any], where: str, folder: Path, hidden: Redactor
) -> Any:
    """The settings of a table of the file and of the tables in it, checked, with whole paths."""
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name not in group.model_fields:
            raise UsageError(
                f"{where}unknown key '{name}'{_hint(name)} (`forecast run --schema` prints all keys)"
            )
        usual = group.model_fields[name].default
        kind = (
            SECTIONS.get(name)
            if group is Pipeline
            else type(usual)
            if isinstance(usual, SettingsGroup)
            else None
        )
        head = f"{where.removesuffix('] ')}.{name}]" if where.endswith("] ") else f"{where}[{name}]"
        if kind is TotalsSettings:
            if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
                raise UsageError(
                    f"{where}'totals' is a list of tables: write {SUMS} on a line of its own for each"
                )
            places = enumerate(value, start=1)
            value = tuple(
                _checked(kind, each, f"{where}{SUMS} {number} ", folder, hidden)
                for number, each in places
            )
        elif kind is not None and not isinstance(value, dict):
            raise UsageError(
                f"{head} is a table of settings: write it on a line of its own, or {name} = {{...}}"
            )
        elif kind is not None:
            fields = kind.model_fields.items() if isinstance(usual, kind) else ()
            needed = {key: getattr(usual, key) for key, field in fields if field.is_required()}
            value = _checked(kind, needed | value, f"{head} ", folder, hidden)
        values[name] = value
    for name, use in (("source", SOURCE_USE), ("sink", SINK_USE)) if group is Pipeline else ():
        if name not in values:
            raise UsageError(f"{where}the table [{name}] is missing: {use}")
    secret = {name for name in values if not group.model_fields[name].repr}
    expanded = {
        name: _expanded(value, f"{where}{name}", hidden, name in secret)
        for name, value in values.items()
    }
    for value in (expanded[name] for name in secret if isinstance(expanded[name], str)):
        hidden.add(value)
    with _placed(where):
        checked = group.check(
            expanded, hidden=[name for name in values if expanded[name] != values[name]]
        )
    paths = {
        key: _whole_path(path, folder, f"{where}{key}")
        for key, path in marked(checked, FILE).items()
    }
    urls = {key: _whole_url(url, folder) for key, url in marked(checked, DATABASE).items()}
    return checked.model_copy(update=paths | urls)


def _hint(name: str) -> str:
    homes = {section: f"as a table: {head}" for section, head in _HEADS.items()}
    homes |= {key: f"in {head}" for key, head in _HOMES.items()}
    homes |= dict.fromkeys(JobSettings.model_fields, "at the top, before the first [table]")
    if name in homes:
        return f"; it belongs {homes[name].replace('as a table', 'to the file as a table')}"
    hint = did_you_mean(name, list(homes))
    return f"{hint.removesuffix('?')} {homes[hint.split(chr(39))[1]]}?" if hint else ""


def _expanded(value: Any, where: str, hidden: Redactor, secret: bool) -> Any:
    """Replace each ${NAME} by the environment variable of that name, which no message may show."""
    if isinstance(value, dict):
        return {
            name: _expanded(item, f"{where}.{name}", hidden, secret) for name, item in value.items()
        }
    if isinstance(value, list):
        return [_expanded(item, where, hidden, secret) for item in value]
    if isinstance(value, date | time):  # TOML has its own dates and times, written without quotes
        return value.isoformat()
    if not isinstance(value, str):
        return value
    if "\0" in value:
        raise UsageError(
            f"{where}: holds a NUL character, which no path, name or address can have; remove it"
        )

    def variable(match: re.Match[str]) -> str:
        if match[1] not in os.environ:
            raise UsageError(f"{where}: the environment variable {match[1]} is not set")
        hidden.add(os.environ[match[1]], match[0], parts=True)
        return os.environ[match[1]]

    text = re.sub(r"\$\{(\w+)\}", variable, value)
    if text != value:
        hidden.add(text, MASK if secret else value, parts=True)
    return text


@contextmanager
def _placed(place: str) -> Iterator[None]:
    try:
        yield
    except UsageError as error:
        raise UsageError(
            f"{place}{error}"
        ) from None  # as text: keys look like Python arguments, not like flags


def _check_together(pipeline: Pipeline, where: str) -> None:
    for section, check in (("source", source_of), ("train", check_models)):
        with _placed(f"{where}[{section}] "):
            check(getattr(pipeline, section))
    _check_places(pipeline, where)
    if pipeline.ledger == "sink" and pipeline.sink.url is None:
        raise UsageError(f'{where}ledger = "sink" needs the url and table of [sink]')
    for key, value in pipeline.output.model_dump(include={"joint", "shard"}).items():
        if value and pipeline.totals:
            problem = (
                f"sums of {SUMS} are of all series, and have intervals of their own; leave it out"
            )
            raise UsageError(f"{where}[output] {key} = {value}: {problem}")
    warn, error = pipeline.checks.warn_after, pipeline.checks.error_after
    if warn and error and seconds_of(warn) > seconds_of(error):
        raise UsageError(f"{where}[checks] warn_after {warn} lies beyond error_after {error}")


def _check_places(pipeline: Pipeline, where: str) -> None:
    """Refuse files and tables that are read, that are of the ledger, or that would be written twice."""
    taken = dict[str, str]()
    for name, sink in pipeline.sinks.items():
        with _placed(f"{where}{name} "):
            sinks_of(sink)
        for key, path in marked(sink, FILE).items():
            with _placed(f"{where}{name} {key} "):
                check_apart(path, files_read(pipeline), pipeline.store)
        own = {*TABLES, *KEEP, ROWS} if pipeline.ledger == "sink" else {ROWS}
        if (sink.table or "").rpartition(".")[2].lower() in own:
            raise UsageError(
                f"{where}{name} table {sink.table} is one of the program's own; write to another table"
            )
        places = {os.path.realpath(path): path for path in marked(sink, FILE).values()}
        places |= {target_of(sink.table).lower(): sink.table} if sink.table is not None else {}
        for place, shown in places.items():
            if place in taken:
                raise UsageError(
                    f"{where}{name} {shown} is also written by {taken[place]}; write elsewhere"
                )
            taken[place] = name


def target_of(table: str) -> str:
    """A table of a database, without the name of the usual schema."""
    return table.removeprefix("public.").removeprefix("main.")


def _whole_path(given: str, folder: Path, where: str) -> str:
    if given.startswith(SYNTHETIC) or given == "-":
        return given
    if "://" in given:  # it may hold a password, so that no message shows it
        raise UsageError(f"{where} is a path, and here it is an address; a database belongs to url")
    try:
        return os.path.normpath(folder / Path(given).expanduser())
    except RuntimeError:
        problem = f"the home folder of {given.partition('/')[0]} is not known: no such user, or HOME is not set"
        raise UsageError(f"{where}: {problem}; write an absolute path") from None


def _whole_url(given: str, folder: Path) -> str:
    file = given.removeprefix(_SQLITE)
    stays = not given.startswith(_SQLITE) or file.startswith(("/", ":")) or Path(file).is_absolute()
    return given if stays else f"{_SQLITE}{str(folder).replace('%', '%25')}/{file}"


@contextmanager
def keys_named() -> Iterator[None]:
    """Add to errors of the block that name flags of the command line the keys of a pipeline file that mean the same."""
    try:
        yield
    except ForecastError as error:
        message = error.render(as_flag)
        flags = [
            flag.replace("-", "_") for flag in re.findall(r"--(?:sum-)?([a-z][a-z-]+)", message)
        ]
        keys = [f"{flag} in {_HOMES[flag]}" for flag in dict.fromkeys(flags) if flag in _HOMES]
        raise type(error)(
            f"{message} (in a pipeline file: {', '.join(keys)})" if keys else message
        ) from error
