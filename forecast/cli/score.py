"""Measure saved forecasts against the values that came."""

from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from forecast.cli._console import say, style_options
from forecast.cli._data import artifact_option, load
from forecast.cli._measures import put_out, table_options
from forecast.cli._options import Given, settings_options
from forecast.settings import TableSettings, TextSettings

if TYPE_CHECKING:
    from forecast.panel.schema import Schema
    from forecast.tables.table import Table

AS_AT_FIT = ("date_format", "timezone", "dst", "missing")  # settings of the fit that hold for the values that came


@click.command()
@click.argument("forecast")
@click.argument("actual")
@artifact_option
@table_options
@style_options
@settings_options(TableSettings, TextSettings)
@click.pass_context
def command(
    context: click.Context,
    forecast: str,
    actual: str,
    artifact: str,
    by: str | None,
    output: str | None,
    as_json: bool,
    given: Given,
) -> int:
    """Measure FORECAST, a table that predict wrote, against ACTUAL, a table of the values that came.

    Ids and times are found in ACTUAL by the names they have in FORECAST. The values of ACTUAL before the first
    forecast give MASE its unit and seasonal naive its forecasts, so ACTUAL is best the whole history. ACTUAL is read
    with the flags that the fit in the store was given, where FORECAST has the columns of that store's forecasts.
    """
    from forecast.jobs.apart import check_apart
    from forecast.results import score

    check_apart(output, {"the table of forecasts": forecast, "the table of what came": actual}, artifact)
    text, settings = given.of(TextSettings), given.of(TableSettings)
    made = load(forecast, TextSettings())[0]
    schema = _fitted(artifact, made, context.get_parameter_source("artifact") is not ParameterSource.DEFAULT)
    if schema is not None:
        text = given.reading(schema.reading)
        settings = given.of(TableSettings, {name: getattr(schema, name) for name in AS_AT_FIT})
    found = score(made, load(actual, text)[0], settings)
    say(f"scored   {found.values:,} forecasts; a season is {found.season} steps")
    put_out(found, by, output, as_json, {"season": found.season, "values": found.values})
    return 3 if found.missing else 0


def _fitted(artifact: str, made: "Table", named: bool) -> "Schema | None":
    """How the fit in a store read its table; None where a store that the user did not name has other forecasts."""
    from forecast.engine import load_engine
    from forecast.errors import ForecastError

    try:
        schema = load_engine(artifact).fitted.config.table
    except ForecastError:
        if named:
            raise
        return None
    columns = made.names
    own = [*schema.keys, "forecast"]
    return schema if named or columns[: len(own)] == own else None
