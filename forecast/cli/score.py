"""Compare saved forecasts with the actual values."""

from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from forecast.cli._console import say, style_options
from forecast.cli._data import load
from forecast.cli._measures import Wanted, put_out, table_options
from forecast.cli._options import Given, settings_options
from forecast.cli._store import artifact_option
from forecast.settings import TableSettings, TextSettings

if TYPE_CHECKING:
    from forecast.panel.schema import Schema
    from forecast.tables.table import Table

AS_AT_FIT = ("date_format", "timezone", "dst", "missing")  # settings of the fit that also apply to the actual values


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
    wanted: Wanted,
    given: Given,
) -> int:
    """Compare FORECAST, a table written by predict, with ACTUAL, a table of the actual values.

    The id and time columns have the same names in both tables. ACTUAL should contain the whole history: the values
    before the first forecast give MASE its unit, and seasonal naive its forecasts. If FORECAST has the columns of the
    store's forecasts, ACTUAL is read with the settings of that fit.
    """
    from forecast.errors import INCOMPLETE
    from forecast.jobs.apart import check_apart
    from forecast.results import score

    check_apart(wanted.output, {"the table of forecasts": forecast, "the table of actual values": actual}, artifact)
    text, settings = given.of(TextSettings), given.of(TableSettings)
    made = load(forecast, TextSettings())[0]
    schema = _fitted(artifact, made, context.get_parameter_source("artifact") is not ParameterSource.DEFAULT)
    if schema is not None:
        text = given.reading(schema.reading)
        settings = given.of(TableSettings, {name: getattr(schema, name) for name in AS_AT_FIT})
    found = score(made, load(actual, text)[0], settings)
    say(f"scored   {found.values:,} forecasts; a season is {found.season} steps")
    put_out(found, wanted, {"season": found.season, "values": found.values})
    return INCOMPLETE if found.missing else 0


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
