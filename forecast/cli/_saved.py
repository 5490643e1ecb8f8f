"""How the values beside a saved table of forecasts are read."""

from typing import TYPE_CHECKING

from forecast.cli._options import Given
from forecast.settings import TableSettings, TextSettings

if TYPE_CHECKING:
    from forecast.panel.schema import Schema
    from forecast.tables.table import Table

AS_AT_FIT = ("date_format", "timezone", "dst", "missing")  # settings of the fit that also apply to the actual values


def reading_of_actual(artifact: str, made: "Table", given: Given, named: bool) -> tuple[TextSettings, TableSettings]:
    """The settings by which a table of values is read: as the fit did if the forecasts have the columns of its store.

    Parameters
    ----------
    artifact : the store
    made : the table of forecasts
    named : whether the user named the store
    """
    schema = _fitted(artifact, made, named)
    if schema is None:
        return given.of(TextSettings), given.of(TableSettings)
    as_at_fit = {name: getattr(schema, name) for name in AS_AT_FIT}
    return given.reading(schema.reading), given.of(TableSettings, as_at_fit)


def _fitted(artifact: str, made: "Table", named: bool) -> "Schema | None":
    """How the fit in a store read its table; None where a store that the user did not name has other forecasts."""
    from forecast.errors import ForecastError
    from forecast.inference.forecasting import load_fitted

    try:
        schema = load_fitted(artifact).config.table
    except ForecastError:
        if named:
            raise
        return None
    columns = made.names
    own = [*schema.keys, "forecast"]
    return schema if named or columns[: len(own)] == own else None
