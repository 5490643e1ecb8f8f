"""A small table as text, and what was read of it."""

from forecast.tables.table import Table

PLAIN = "date,store,y\n2024-01-01,007,5\n2024-01-02,NA,\n"


def rows(table: Table) -> list[list[str]]:
    return [list(table.frame.columns), *table.frame.to_numpy().tolist()]
