"""Forecast a table at once: nothing is trained, and nothing is saved."""

import click

from forecast.cli._console import say_lines, style_options
from forecast.cli._data import load
from forecast.cli._forecasts import put_forecasts
from forecast.cli._options import Given, settings_options
from forecast.settings import CheckSettings, OutputSettings, TableSettings, TextSettings, TrainSettings

COVARIATES = ("known", "past", "static")  # which a network would have to learn


@click.command()
@click.argument("data")
@click.option("--output", metavar="FILE", help="write a .csv or .parquet file; default stdout")
@click.option("--as-of", metavar="TIME", help="time at which the age of the data is measured  [default: now]")
@style_options
@settings_options(OutputSettings, CheckSettings, TableSettings, TextSettings, single={"horizon": TrainSettings})
def command(data: str, output: str | None, as_of: str | None, given: Given) -> int:
    """Forecast DATA by the pretrained network and the quick baselines, weighed on the past of DATA.

    DATA is a CSV, .csv.gz, .xlsx, .ods or Parquet file, a folder of Parquet files, - for stdin, or synth:KIND.
    Nothing is trained or saved; `forecast fit` does both, and takes covariates.
    """
    shape, checks, text = given.of(OutputSettings), given.of(CheckSettings), given.of(TextSettings)
    events = given.of(TableSettings).events  # refused before any work
    from forecast.engine import fit_panel
    from forecast.ensemble.names import PRETRAINED
    from forecast.errors import UsageError
    from forecast.inference.forecasting import forecast_table
    from forecast.inference.predictor import Predictor
    from forecast.inference.summary import describe_fit
    from forecast.jobs.apart import check_apart
    from forecast.jobs.checks import age, check_age
    from forecast.jobs.instant import parse_as_of
    from forecast.panel.reading import check_to_fit, describe_reading, read
    from forecast.tables.writing import output_columns

    for name in COVARIATES:
        if given.values.get(name):
            raise UsageError(f"--{name}: nothing is learned here; `forecast fit` uses covariates")
    settings = given.of(TrainSettings, {"model": PRETRAINED})
    instant = parse_as_of(as_of)
    check_apart(output, {"the table that is read": data, "the table of --events": events})
    table, defaults = load(data, text)
    how = given.of(TableSettings, defaults)
    reading = read(table, how, horizon=settings.horizon, reserved=output_columns(shape))
    check_to_fit(reading)
    say_lines(describe_reading(reading))
    check_age(age(reading.panel, reading.schema, instant), checks, data)
    predictor = Predictor(fit_panel(reading.panel, reading.schema, settings, reading.name), settings.device)
    forecasts = forecast_table(predictor, output=shape)
    say_lines(describe_fit(predictor.fitted))
    return put_forecasts(forecasts, predictor.fitted, shape, checks, output)
