"""The source of the table of a run: a file, or the rows of a query."""

from dataclasses import replace
from typing import Literal

from pydantic import Field

from forecast.errors import UsageError
from forecast.settings import UNFINISHED_FIELD, FilePath, TextSettings, Unfinished
from forecast.tables.reading import read_table, table_from_frame
from forecast.tables.table import Table

SOURCE_USE = "give either path, or url and sql"


class SourceSettings(TextSettings):
    """Where tonight's table comes from."""

    path: FilePath | None = Field(
        None,
        description="a CSV, JSON or Parquet file, a workbook, a folder of Parquet files, "
        "or synth:KIND",
    )
    sql: str | None = Field(None, description="the query whose rows are the table; needs url")
    url: str | None = Field(
        None,
        repr=False,
        description="a database, as SQLAlchemy writes it: postgresql+psycopg://host/name",
    )
    future: FilePath | None = Field(
        None, description="a file with the columns that are known in advance"
    )
    vintages: Literal["keep", "off"] = Field(
        "keep", description="keep what each run knows in advance for later fits"
    )
    unfinished: Unfinished = UNFINISHED_FIELD

    def text(self) -> TextSettings:
        """How text is read."""
        return TextSettings(**self.model_dump(include=set(TextSettings.model_fields)))

    def check_keys(self) -> None:
        """Refuse what does not name one source."""
        in_file = self.path is not None
        in_database = self.url is not None or self.sql is not None
        if in_file == in_database or (in_database and None in (self.url, self.sql)):
            raise UsageError(SOURCE_USE)

    def read(self, text: TextSettings) -> Table:
        if self.url is not None and self.sql is not None:
            from forecast.tables.databases import read_query

            rows = read_query(self.url, self.sql)
            return replace(table_from_frame(rows, "the query of [source]"), ordered=False)
        return read_table(self.path or "", text, hashed=True)
