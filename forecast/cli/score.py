"""Measure saved forecasts against the values that came."""

import click

from forecast.cli._console import say, style_options
from forecast.cli._data import load
from forecast.cli._measures import put_out, table_options
from forecast.cli._options import Given, settings_options
from forecast.settings import TableSettings, TextSettings


@click.command()
@click.argument("forecast")
@click.argument("actual")
@table_options
@style_options
@settings_options(TableSettings, TextSettings)
def command(forecast: str, actual: str, by: str | None, output: str | None, as_json: bool, given: Given) -> int:
    """Measure FORECAST, a table that predict wrote, against ACTUAL, a table of the values that came.

    Ids and times are found in ACTUAL by the names they have in FORECAST. The values of ACTUAL before the first
    forecast give MASE its unit and seasonal naive its forecasts, so ACTUAL is best the whole history.
    """
    from forecast.evaluation.scoring import score

    text, settings = given.of(TextSettings), given.of(TableSettings)
    made = load(forecast, TextSettings())[0]
    found = score(made, load(actual, text)[0], settings)
    say(f"scored   {found.values:,} forecasts; a season is {found.season} steps")
    put_out(found, by, output, as_json, {"season": found.season, "values": found.values})
    return 3 if found.missing else 0
