"""A table whose time column is parsed: once, before anything else looks at its rows."""

import re
from dataclasses import dataclass, replace

from forecast.calendar.frequency import parse_frequency
from forecast.calendar.inference import looks_like_times
from forecast.calendar.parsing import ParsedTimes, parse_times
from forecast.calendar.spec import TimeSettings
from forecast.calendar.zones import Flags
from forecast.errors import BadData, Setting, UsageError, Words
from forecast.panel.schema import Schema
from forecast.reading.normalising import normalised
from forecast.reading.time_column import resolve_names, time_columns
from forecast.settings import TableSettings
from forecast.tables.headers import refuse_missing
from forecast.tables.table import Table

# fields of a schema by which times are parsed
TIME_FIELDS = ("time", "time_format", "date_format", "timezone", "dst", "aggregate")


@dataclass(frozen=True)
class DatedTable:
    """A table and the times of its rows."""

    table: Table
    time: tuple[str, ...]  # the columns that hold the time; () where each row is a series
    times: ParsedTimes | None  # of the rows; None where each row is a series
    settings: TableSettings | Schema  # by which they were parsed
    instant: int | None = None  # on the clock of the table, up to which a run knows what becomes available
    vintages: "DatedTable | None" = None  # all rows, where `table` has one for each series and time

    @property
    def name(self) -> str:
        return self.table.name

    def rows(self, chosen: Flags) -> "DatedTable":
        times = None if self.times is None else self.times.rows(chosen)
        return replace(self, table=self.table.rows(chosen), times=times)

    def times_by(self, schema: Schema) -> ParsedTimes | None:
        """The times, if a schema reads the same; None where they have to be parsed by that schema."""
        if self.times is None or self.times.needs_series:
            return None
        settings = self.settings
        if self.times.format == schema.time_format and settings.dst == schema.dst:
            return self.times
        same = isinstance(settings, Schema) and all(getattr(settings, f) == getattr(schema, f) for f in TIME_FIELDS)
        return self.times if same else None


def dated_table(table: Table, settings: TableSettings | Schema) -> DatedTable:
    """Parse the times of a table, as the settings of a fit say or as the schema of an earlier fit does."""
    table = normalised(table)
    if settings.strict and table.skipped:
        raise BadData(table.skipped, place=table.name, cure=Words("remove them, or leave out ", Setting("strict")))
    if isinstance(settings, Schema):
        time, how = () if settings.layout == "rows" else settings.time, settings.time_settings
    else:
        settings = settings.model_copy(update={"time": resolve_names(table, settings.time)})
        _check_settings(table, settings)
        by_rows = settings.layout or ("rows" if not settings.time and _looks_like_rows(table) else None)
        time = () if by_rows == "rows" else settings.time or time_columns(table, settings)
        how = TimeSettings.at_fit(settings)
    return DatedTable(table, time, parse_times(table, time, how) if time else None, settings)


def _check_settings(table: Table, settings: TableSettings) -> None:
    """Refuse missing columns, columns with two roles, and flags that do not go together."""
    roles = {name: getattr(settings, name) for name in ("time", "id", "target", "known", "past", "static")}
    refuse_missing(table, (*(column for columns in roles.values() for column in columns), *settings.categorical))
    seen: dict[str, str] = {}
    for role, columns in roles.items():
        for column in columns:
            if column in seen:
                both = (Setting(seen[column]), " and by ", Setting(role))
                raise UsageError(Words(f"column '{column}' is named by ", *both), cure="name it once")
            seen[column] = role
    for column in settings.categorical:
        if seen.get(column) not in ("known", "past", "static"):
            roles_of = (Setting("known"), ", ", Setting("past"), " or ", Setting("static"))
            problem = Words("name the column with ", *roles_of, ", too")
            raise UsageError(problem, setting=Setting("categorical", column))
    if settings.freq is not None:
        parse_frequency(settings.freq)
    if settings.aggregate and not settings.freq:
        setting = Setting("aggregate", settings.aggregate)
        raise UsageError(Words("pass the ", Setting("freq"), " to bring the table to"), setting=setting)


def _looks_like_rows(table: Table) -> bool:
    """Whether each row is surely a series: ids, then columns that are only numbered, and no time column."""
    first, *others = table.names
    # under row numbers a 0, 1, 2 is a series, as pandas names the columns of an array
    numbered = r"[Vv]\d+" if first == table.numbering else r"[Vv]?\d+"
    if len(others) < 2 or not all(re.fullmatch(numbered, column) for column in others):
        return False
    return first == table.numbering or not looks_like_times(table, first)
