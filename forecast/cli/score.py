"""Compare saved forecasts with the actual values."""

from forecast.artifacts.store import check_apart
from forecast.cli._command import Request
from forecast.cli._console import log, suggest
from forecast.cli._data import load, text_settings
from forecast.cli._measures import put_measures
from forecast.errors import INCOMPLETE, ForecastError
from forecast.evaluation.scoring import score
from forecast.inference.forecasting import load_fitted
from forecast.settings import STORE, TableSettings, TextSettings
from forecast.tables.table import Table
from forecast.totals.comparing import is_totals, score_totals

AS_AT_FIT = ("date_format", "timezone", "dst", "missing")  # settings of the fit that also apply to the actual values


def run(request: Request) -> int:
    forecast, actual, artifact = request.forecast, request.actual, request.artifact
    tables = {"the table of forecasts": forecast, "the table of actual values": actual}
    check_apart(request.output, tables, artifact or STORE.store)
    request.of(TextSettings), request.of(TableSettings)  # refused before any work
    forecasts = load(forecast, TextSettings())[0]
    sums, read = is_totals(forecasts), actual_table(actual, artifact, forecasts, request)
    found = score_totals(forecasts, *read) if sums else score(forecasts, *read)
    log(f"scored   {found.values:,} {'sums' if sums else 'forecasts'}; a season is {found.season} steps")
    put_measures(found, request, {"season": found.season, "values": found.values})
    if found.missing:
        return INCOMPLETE
    if not sums:
        suggest("plot", actual, "--forecast", forecast, *request.words(TableSettings, TextSettings))
    return 0


def actual_table(actual: str, artifact: str | None, forecasts: Table, request: Request) -> tuple[Table, TableSettings]:
    """A table of values, and how it is read: as the fit did if the forecasts have the columns of its store."""
    try:
        schema = load_fitted(artifact or STORE.store).config.table
        named = forecasts.names[is_totals(forecasts) :]
        fits = artifact is not None or named[: len(schema.keys) + 1] == [*schema.keys, "forecast"]
    except ForecastError:
        if artifact is not None:
            raise
        fits = False
    if not fits:
        return load(actual, request.of(TextSettings))[0], request.of(TableSettings)
    table = load(actual, text_settings(request, schema.reading))[0]
    as_at_fit = {name: getattr(schema, name) for name in AS_AT_FIT}
    target = {"target": (schema.target,)} if schema.target in table.names else {}  # a wide table has none
    return table, request.of(TableSettings, as_at_fit | target)
