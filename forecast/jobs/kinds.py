"""Kinds of sources and sinks: what a file of each holds, how it is found, and which ones a job names."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Protocol, TypeVar, cast

from pydantic import Field, create_model

from forecast.errors import UsageError
from forecast.panel.panel import Integers
from forecast.panel.schema import Names, Schema
from forecast.settings import OutputSettings, SettingsGroup, TextSettings
from forecast.tables.table import Table

if TYPE_CHECKING:
    import pandas as pd


DATABASE = "the URL of a database"  # marks a key: the path of an SQLite file in it starts at the pipeline file's folder
DatabaseUrl = Annotated[str, DATABASE]


class Source(Protocol):
    """What a file in `sources/` holds: its keys in [source], and how a job that gives one of them reads."""

    Settings: type[SettingsGroup]

    def read(self, source: Any, text: TextSettings) -> tuple[Table, dict[str, Any]]:
        """Read the table, with the sha256 of its bytes where it has some, and the table settings that come with it."""


class SinkKeys(SettingsGroup):
    """Base of the keys of a sink."""

    columns: ClassVar[tuple[str, ...]] = ()  # that it adds to ids, time and numbers


@dataclass(frozen=True)
class Results:
    """The forecasts of a run, or sums of them."""

    frame: "pd.DataFrame"  # as [output] asks for it
    explained: "pd.DataFrame"  # the same, of forecasts with the columns model and status where a sink adds columns
    times: Integers  # [rows], timestamps, of sums of the starts of their periods
    origins: Integers  # [rows], timestamps of the newest known values
    schema: Schema  # of the version that forecast; of sums, with their ids
    version: str
    output: OutputSettings


class Sink(Protocol):
    """What a file in `sinks/` holds: its keys in [sink], and how a job that gives one of them writes."""

    Settings: type[SinkKeys]

    def check(
        self,
        sink: Any,
        schema: Schema,
        table: Table,
        output: OutputSettings,
        ids: Names = (),
        texts: Names = (),
    ) -> str:
        """Refuse, before any work, an input by which `write` would fail; returns the finding.

        Sums have other `ids`; `texts` are further columns.
        """

    def write(self, sink: Any, results: Results, *beside: tuple[Any, Results]) -> dict[str, Any]:
        """Write all rows or none, with sums `beside` them; returns what the record says, such as the number of rows."""


Kind = TypeVar("Kind", Source, Sink)


def joined_keys(kinds: list[Any], secrets: bool = True) -> type[SettingsGroup]:
    """One group with the keys of all kinds, with or without secret ones; none of them has to be given."""
    fields: dict[str, Any] = {}
    for name, field in sorted(
        item for kind in kinds for item in kind.Settings.model_fields.items()
    ):
        annotation: Any = (
            Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
        )
        if secrets or field.repr:
            fields[name] = (
                annotation | None,
                Field(None, description=field.description, repr=field.repr),
            )
    return cast("type[SettingsGroup]", create_model("Keys", __base__=SettingsGroup, **fields))


def named_kinds(settings: SettingsGroup, kinds: list[Kind]) -> list[tuple[Kind, Any]]:
    """The kinds of which a job gives a key, each with its own settings; one that lacks keys is refused."""
    found = []
    for kind in kinds:
        given = {
            name: value
            for name in kind.Settings.model_fields
            if (value := getattr(settings, name)) is not None
        }
        if given and not given.keys() >= set(_required(kind)):
            raise UsageError(f"{' and '.join(_required(kind))} go together")
        found += [(kind, kind.Settings.check(given))] if given else []
    return found


def ways(kinds: list[Any]) -> str:
    """The keys that each kind needs, for messages: path, or url and table."""
    return ", or ".join(sorted(" and ".join(_required(kind)) for kind in kinds))


def _required(kind: Any) -> list[str]:
    return [name for name, field in kind.Settings.model_fields.items() if field.is_required()]


def shown_keys(settings: SettingsGroup) -> dict[str, str]:
    """The keys of a source or sink that are given, without secrets."""
    fields = type(settings).model_fields.items()
    return {
        name: str(value)
        for name, field in fields
        if field.repr and (value := getattr(settings, name)) is not None
    }
