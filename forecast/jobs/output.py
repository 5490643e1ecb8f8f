"""Check and write the sinks of a job."""

from typing import Any

from forecast.inference.forecasting import Forecasts
from forecast.jobs.kinds import Results, shown_keys
from forecast.jobs.pipeline import Pipeline
from forecast.jobs.sinks import sinks_of
from forecast.panel.schema import Schema
from forecast.settings import OutputSettings
from forecast.tables.frames import frame_of
from forecast.tables.table import Table
from forecast.tables.writing import output_columns, refuse_clash


def explained(pipeline: Pipeline) -> OutputSettings:
    """What the forecasts of a run hold: with model and status where a sink adds columns, and ids as they are."""
    explain = pipeline.output.explain or bool(_added(pipeline))
    return pipeline.output.model_copy(update={"explain": explain, "excel_safe": False})


def reserved_columns(pipeline: Pipeline) -> list[str]:
    """Columns that the output of a job has beside ids and times."""
    return [*dict.fromkeys([*output_columns(pipeline.output), *_added(pipeline)])]


def check_sink(pipeline: Pipeline, schema: Schema, table: Table) -> list[str]:
    """Refuse names, types and places that the sinks do not take, before any work; returns a line for each sink."""
    refuse_clash(schema.keys, reserved_columns(pipeline))
    return [kind.check(sink, schema, table, pipeline.output) for kind, sink in sinks_of(pipeline.sink)]


def write_sink(pipeline: Pipeline, forecasts: Forecasts, schema: Schema, version: str) -> dict[str, Any]:
    """Write the forecasts to every sink; returns what the record says of them."""
    extra = ["model", "status"] if explained(pipeline).explain and not pipeline.output.explain else []
    results = Results(frame_of(forecasts.columns).drop(columns=extra), forecasts, schema, version, pipeline.output)
    record: dict[str, Any] = {**places(pipeline)}
    for kind, sink in sinks_of(pipeline.sink):
        record |= kind.write(sink, results)
    return record


def places(pipeline: Pipeline) -> dict[str, str]:
    """The files and tables that a job writes, by their keys in [sink], as the record shows them."""
    return {key: pipeline.hidden(value) for key, value in shown_keys(pipeline.sink).items()}


def _added(pipeline: Pipeline) -> list[str]:
    return [column for _, sink in sinks_of(pipeline.sink) for column in sink.columns]
