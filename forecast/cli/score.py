"""Compare saved forecasts with the actual values."""

from forecast.cli._command import Request
from forecast.cli._console import log, suggest
from forecast.cli._data import load
from forecast.cli._measures import put_measures
from forecast.cli._saved import actual_settings
from forecast.errors import INCOMPLETE
from forecast.evaluation.scoring import score
from forecast.jobs.apart import check_apart
from forecast.settings import STORE, TableSettings, TextSettings


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
