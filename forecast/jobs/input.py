"""Read the tables of a job: its source, and what is known in advance."""

from typing import Any

from forecast.jobs.pipeline import Pipeline
from forecast.jobs.sources import source_of
from forecast.panel.schema import Schema
from forecast.reading.normalising import normalised
from forecast.settings import TableSettings, TextSettings
from forecast.tables.files import load_future, settings_as_at_fit
from forecast.tables.table import Table


def read_source(pipeline: Pipeline, text: TextSettings) -> tuple[Table, dict[str, Any]]:
    """Read the table of a job, and the table settings that come with it, if any."""
    kind, source = source_of(pipeline.source)
    table, defaults = kind.read(source, text)
    return normalised(table), defaults


def text_settings(pipeline: Pipeline, fitted: Schema | None) -> TextSettings:
    """How the file is read: as the pipeline says, and otherwise as an earlier fit read its own file."""
    given = pipeline.source.text()
    return given if fitted is None else settings_as_at_fit(fitted.reading, given.model_dump(exclude_defaults=True))


def table_settings(pipeline: Pipeline, fitted: Schema | None, defaults: dict[str, Any]) -> TableSettings:
    """How a fit reads the table: as the pipeline and its source say, and otherwise as an earlier fit did.

    What is inferred could change with the data, if a column is missing one night; a job must not begin to forecast
    something else because of it.
    """
    given = pipeline.table.model_copy(update=defaults)
    if fitted is None:
        return given
    return TableSettings.check({**fitted.knobs(), **given.model_dump(exclude_unset=True)})


def read_future(pipeline: Pipeline, text: TextSettings) -> Table | None:
    """The table of columns known in advance; None if the job has none."""
    future = pipeline.source.future
    return None if future is None else load_future(future, text)
