"""Where tonight's table comes from: every file in this folder is a kind of source, found by listing it."""

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from forecast.errors import UsageError
from forecast.jobs.kinds import Source, joined_keys, kinds_in, named_kinds, ways
from forecast.panel.schema import Schema
from forecast.panel.tidying import tidied
from forecast.settings import FilePath, TableSettings, TextSettings
from forecast.tables.files import load_future, settings_as_at_fit
from forecast.tables.table import Table

if TYPE_CHECKING:
    from forecast.jobs.pipeline import Pipeline

KINDS: list[Source] = kinds_in(__name__, __path__[0])
USE = f"give either {ways(KINDS)}"
_Keys = joined_keys(KINDS)


class SourceSettings(_Keys, TextSettings):  # type: ignore[valid-type,misc]  # its keys stand in the files of the kinds
    """Where tonight's table comes from."""

    future: FilePath | None = Field(None, description="a file with the columns that are known in advance")
    unfinished: Literal["warn", "keep", "leave out"] = Field(
        "leave out", description="what to do with a value of a period that is not over, such as today's"
    )

    def text(self) -> TextSettings:
        """How text is read."""
        return TextSettings(**self.model_dump(include=set(TextSettings.model_fields)))


def source_of(settings: SourceSettings) -> tuple[Source, Any]:
    """The kind of source that a job names, and its own settings.

    Raises
    ------
    UsageError
        If it names none or several, or a key is missing.
    """
    named = [kind for kind in KINDS if any(getattr(settings, key) is not None for key in kind.Settings.model_fields)]
    if len(named) != 1:
        raise UsageError(USE)
    return named_kinds(settings, named)[0]


def digest_source(pipeline: "Pipeline") -> str | None:
    """The sha256 of the source of a job; None where it has to be that of the table."""
    kind, source = source_of(pipeline.source)
    return kind.digest(source)


def read_source(pipeline: "Pipeline", text: TextSettings) -> tuple[Table, dict[str, Any]]:
    """Read the table of a job, and the table settings that come with it, if any.

    Raises
    ------
    ForecastError
        As the kind of source does.
    """
    kind, source = source_of(pipeline.source)
    table, defaults = kind.read(source, text)
    return tidied(table), defaults


def text_settings(pipeline: "Pipeline", fitted: Schema | None) -> TextSettings:
    """How the file is read: as the pipeline says, and otherwise as an earlier fit read its own file."""
    given = pipeline.source.text()
    return given if fitted is None else settings_as_at_fit(fitted.reading, given.model_dump(exclude_defaults=True))


def table_settings(pipeline: "Pipeline", fitted: Schema | None, defaults: dict[str, Any]) -> TableSettings:
    """How a fit reads the table: as the pipeline says, and otherwise as an earlier fit did.

    What is inferred could change with the data, if a column is missing one night; a job must not begin to forecast
    something else because of it.

    Parameters
    ----------
    defaults : settings that come with the source
    """
    given = pipeline.table.model_copy(update=defaults)
    if fitted is None:
        return given
    return TableSettings.check({**fitted.knobs(), **given.model_dump(exclude_unset=True)})


def read_future(pipeline: "Pipeline", text: TextSettings) -> Table | None:
    """The table of columns known in advance; None if the job has none."""
    future = pipeline.source.future
    return None if future is None else load_future(future, text)
