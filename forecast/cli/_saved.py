"""How the values beside a saved table of forecasts are read."""

from forecast.cli._command import Request
from forecast.cli._data import text_settings
from forecast.errors import ForecastError
from forecast.inference.forecasting import load_fitted
from forecast.panel.schema import Schema
from forecast.settings import STORE, TableSettings, TextSettings
from forecast.tables.table import Table

AS_AT_FIT = ("date_format", "timezone", "dst", "missing")  # settings of the fit that also apply to the actual values


def actual_settings(artifact: str | None, forecasts: Table, request: Request) -> tuple[TextSettings, TableSettings]:
    """The settings by which a table of values is read: as the fit did if the forecasts have the columns of its store.

    Parameters
    ----------
    artifact : the store; None if the user did not name it
    """
    schema = _fitted(artifact, forecasts)
    if schema is None:
        return request.of(TextSettings), request.of(TableSettings)
    as_at_fit = {name: getattr(schema, name) for name in AS_AT_FIT}
    return text_settings(request, schema.reading), request.of(TableSettings, as_at_fit)


def _fitted(artifact: str | None, forecasts: Table) -> Schema | None:
    """How the fit in a store read its table; None where a store that the user did not name has other forecasts."""
    try:
        schema = load_fitted(artifact or STORE.store).config.table
    except ForecastError:
        if artifact is not None:
            raise
        return None
    columns = [*schema.keys, "forecast"]
    return schema if artifact is not None or forecasts.names[: len(columns)] == columns else None
