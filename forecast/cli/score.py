"""Compare saved forecasts with the actual values."""

import click
from click.core import ParameterSource

from forecast.cli._console import say, say_next, style_options
from forecast.cli._data import load
from forecast.cli._help import file_argument, with_examples
from forecast.cli._measures import Wanted, put_out, table_options
from forecast.cli._options import Given, settings_options
from forecast.cli._saved import reading_of_actual
from forecast.cli._store import artifact_option
from forecast.settings import TableSettings, TextSettings


@with_examples(
    "forecast score forecasts.csv sales.csv",
    "forecast score forecasts.csv sales.csv --by series --output scores.csv",
)
@file_argument("forecast")
@file_argument("actual")
@settings_options(TableSettings, TextSettings)
@artifact_option
@table_options
@style_options
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
    from forecast.jobs.output_guard import check_apart
    from forecast.results import score

    check_apart(wanted.output, {"the table of forecasts": forecast, "the table of actual values": actual}, artifact)
    given.of(TextSettings), given.of(TableSettings)  # refused before any work
    made = load(forecast, TextSettings())[0]
    named = context.get_parameter_source("artifact") is not ParameterSource.DEFAULT
    text, settings = reading_of_actual(artifact, made, given, named)
    found = score(made, load(actual, text)[0], settings)
    say(f"scored   {found.values:,} forecasts; a season is {found.season} steps")
    put_out(found, wanted, {"season": found.season, "values": found.values})
    if found.missing:
        return INCOMPLETE
    say_next("plot", actual, "--forecast", forecast, *given.words(TableSettings, TextSettings))
    return 0
