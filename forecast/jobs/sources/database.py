"""The rows of a query to a database."""

from dataclasses import replace
from typing import Any

from pydantic import Field

from forecast import databases
from forecast.jobs.kinds import DatabaseUrl
from forecast.settings import SettingsGroup, TextSettings
from forecast.tables.reading import table_from_frame
from forecast.tables.table import Table


class Settings(SettingsGroup):
    """Keys of [source] for a database."""

    url: DatabaseUrl = Field(
        repr=False,
        description="a database, as SQLAlchemy writes it: postgresql+psycopg://host/name",
    )
    sql: str = Field(description="the query whose rows are the table; needs url")


def read(source: Settings, text: TextSettings) -> tuple[Table, dict[str, Any]]:
    table = table_from_frame(databases.read_query(source.url, source.sql), "the query of [source]")
    return replace(table, ordered=False), {}
