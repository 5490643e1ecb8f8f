"""Where forecasts go: every file in this folder is a kind of sink, found by listing it."""

from typing import TYPE_CHECKING, Any

from forecast.errors import UsageError
from forecast.jobs.kinds import Results, Sink, joined_keys, kinds_in, named_kinds, shown_keys, ways
from forecast.panel.schema import Schema
from forecast.settings import OutputSettings
from forecast.tables.frames import frame_of
from forecast.tables.table import Table
from forecast.tables.writing import output_columns, refuse_clash

if TYPE_CHECKING:
    from forecast.inference.forecasting import Forecasts
    from forecast.jobs.pipeline import Pipeline

KINDS: list[Sink] = kinds_in(__name__, __path__[0])
USE = f"give it {ways(KINDS)}, or several of these"
_Keys = joined_keys(KINDS)


class SinkSettings(_Keys):  # type: ignore[valid-type,misc]  # its keys stand in the files of the kinds
    """Where the forecasts go."""


def sinks_of(settings: SinkSettings) -> list[tuple[Sink, Any]]:
    """The kinds of sinks that a job names, in the order in which they are written, each with its own settings.

    Raises
    ------
    UsageError
        If it names none, or a key is missing.
    """
    named = named_kinds(settings, KINDS)
    if not named:
        raise UsageError(USE)
    return named


def explained(pipeline: "Pipeline") -> OutputSettings:
    """What the forecasts of a run hold: with model and status where a sink adds columns, and ids as they are."""
    explain = pipeline.output.explain or bool(_added(pipeline))
    return pipeline.output.model_copy(update={"explain": explain, "excel_safe": False})


def reserved_columns(pipeline: "Pipeline") -> list[str]:
    """Columns that the output of a job has beside ids and times."""
    return [*dict.fromkeys([*output_columns(pipeline.output), *_added(pipeline)])]


def check_sink(pipeline: "Pipeline", schema: Schema, table: Table) -> list[str]:
    """Refuse names, types and places that the sinks do not take, before any work; write nothing.

    Returns
    -------
    What was found, a line for each sink.

    Raises
    ------
    UsageError
        If an id or time column has the name of another column of the output, or a sink refuses a name or a type; all
        such names are listed.
    CannotCreate, Unavailable, Busy, StorageFailure
        If a sink cannot be written.
    """
    refuse_clash(schema.keys, reserved_columns(pipeline))
    return [kind.check(sink, schema, table, pipeline.output) for kind, sink in sinks_of(pipeline.sink)]


def write_sink(pipeline: "Pipeline", forecasts: "Forecasts", schema: Schema, version: str) -> dict[str, Any]:
    """Write the forecasts to every sink; returns what the record says of them."""
    record = dict[str, Any]()
    extra = ["model", "status"] if explained(pipeline).explain and not pipeline.output.explain else []
    results = Results(frame_of(forecasts.columns).drop(columns=extra), forecasts, schema, version, pipeline.output)
    for kind, sink in sinks_of(pipeline.sink):
        record |= {key: pipeline.hidden(value) for key, value in shown_keys(sink).items()}
        record |= kind.write(sink, results)
    return record


def places(pipeline: "Pipeline") -> dict[str, str]:
    """The files and tables that a job writes, by their keys in [sink], as the record shows them."""
    return {key: pipeline.hidden(value) for key, value in shown_keys(pipeline.sink).items()}


def _added(pipeline: "Pipeline") -> list[str]:
    return [column for _, sink in sinks_of(pipeline.sink) for column in sink.columns]
