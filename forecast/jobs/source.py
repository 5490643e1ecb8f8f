"""The tables that a job reads: its source, a file or a query, and what is known in advance."""

from typing import Any

from forecast.jobs import databases
from forecast.jobs.pipeline import Pipeline
from forecast.panel.tidying import tidied
from forecast.settings import TextSettings
from forecast.tables.files import load_future, load_table
from forecast.tables.reading import table_from_frame
from forecast.tables.table import Table


def read_source(pipeline: Pipeline, text: TextSettings) -> tuple[Table, dict[str, Any]]:
    """The table of a job, and the table settings that come with it: those of a synthetic series, else none."""
    source = pipeline.source
    if source.url is not None and source.sql is not None:
        return tidied(table_from_frame(databases.read_query(source.url, source.sql), "the query of [source]")), {}
    table, defaults = load_table(source.path or "", text)
    return tidied(table), defaults


def read_future(pipeline: Pipeline, text: TextSettings) -> Table | None:
    """The table of columns known in advance; None where the job has none."""
    future = pipeline.source.future
    return None if future is None else load_future(future, text)
