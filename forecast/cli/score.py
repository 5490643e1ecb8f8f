"""Compare saved forecasts with the actual values."""

from forecast.cli._command import Request
from forecast.cli._console import log, suggest
from forecast.cli._data import load, text_settings
from forecast.cli._measures import put_measures
from forecast.errors import INCOMPLETE, ForecastError
from forecast.evaluation.scoring import score
from forecast.inference.forecasting import load_fitted
from forecast.jobs.output_guard import check_apart
from forecast.panel.schema import Schema
from forecast.settings import STORE, TableSettings, TextSettings
from forecast.tables.table import Table

AS_AT_FIT = ("date_format", "timezone", "dst", "missing")  # settings of the fit that also apply to the actual values


def run(
    forecast: str,
    actual: str,
    artifact: str | None,
    by: str | None,
    output: str | None,
    as_json: bool,
    request: Request,
) -> int:
    """Compare a table of forecasts with a table of actual values, and write the measures."""
    tables = {"the table of forecasts": forecast, "the table of actual values": actual}
    check_apart(output, tables, artifact or STORE.store)
    request.of(TextSettings), request.of(TableSettings)  # refused before any work
    forecasts = load(forecast, TextSettings())[0]
    text, settings = actual_settings(artifact, forecasts, request)
    found = score(forecasts, load(actual, text)[0], settings)
    log(f"scored   {found.values:,} forecasts; a season is {found.season} steps")
    put_measures(found, by, output, as_json, {"season": found.season, "values": found.values})
    if found.missing:
        return INCOMPLETE
    suggest("plot", actual, "--forecast", forecast, *request.words(TableSettings, TextSettings))
    return 0


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
