"""Forecast what comes next, by a saved forecaster."""

from typing import TYPE_CHECKING

import click

from forecast.cli._console import say, say_lines, style_options
from forecast.cli._data import artifact_option, load, write
from forecast.cli._options import Given, settings_options
from forecast.settings import CheckSettings, OutputSettings, TableSettings, TextSettings, TrainSettings

if TYPE_CHECKING:
    from forecast.panel.panel import Panel


@click.command()
@click.argument("data", required=False)
@artifact_option
@click.option("--version", metavar="ID", help="a version of the store; default the live one")
@click.option("--output", metavar="FILE", help="a .csv or .parquet file, replaced all at once; default stdout")
@click.option("--horizon", type=int, help="fewer steps than at fit")
@click.option("--origin", metavar="TIME", help="forecast from this time of DATA; later values are not used")
@click.option("--future", metavar="FILE", help="table of the columns that are known in advance")
@click.option("--as-of", metavar="TIME", help="the instant that the age of the data is told at  [default: now]")
@style_options
@settings_options(
    OutputSettings,
    CheckSettings,
    TextSettings,
    single={
        "device": TrainSettings,
        "strict": TableSettings,
        "on_duplicate": TableSettings,
        "date_format": TableSettings,
    },
)
def command(
    data: str | None,
    artifact: str,
    version: str | None,
    output: str | None,
    horizon: int | None,
    origin: str | None,
    future: str | None,
    as_of: str | None,
    given: Given,
) -> int:
    """Forecast what comes after the series seen at fit, or after those of DATA, new ids included.

    Nothing is trained, and the store is only read.
    """
    shape, checks = given.of(OutputSettings), given.of(CheckSettings)
    from forecast.engine import load_engine
    from forecast.inference.forecasting import forecast_table
    from forecast.inference.summary import ranking_of
    from forecast.jobs.apart import check_apart
    from forecast.jobs.checks import age, check_age, without_forecast
    from forecast.jobs.instant import parse_as_of
    from forecast.panel.tidying import tidied
    from forecast.tables.files import load_future
    from forecast.tables.frames import frame_of
    from forecast.tables.writing import guard_formulas

    instant = parse_as_of(as_of)
    given.of(TextSettings)  # refused before any work
    check_apart(output, {"the table that is read": data, "the table of --future": future}, artifact)
    engine = load_engine(artifact, version, given.of(TrainSettings).device)
    changed = {"strict", "on_duplicate", "date_format"} & set(given.values)
    schema = engine.fitted.config.table.model_copy(update=given.of(TableSettings).model_dump(include=changed))
    text = given.reading(schema.reading)
    table = None if data is None else load(data, text)[0]
    later = None if future is None else tidied(load_future(future, text))

    def look(panel: "Panel") -> None:
        check_age(age(panel, schema, instant), checks, data or artifact)

    forecasts = forecast_table(
        engine,
        table,
        schema=schema,
        future=later,
        origin=origin,
        horizon=horizon,
        output=shape,
        on_panel=look,
    )
    frame = frame_of(forecasts.columns)
    write(guard_formulas(frame, schema.ids) if shape.excel_safe else frame, output)
    if shape.explain:
        say_lines(ranking_of(engine.fitted))
    lost = without_forecast(forecasts.skipped, checks.require_all)
    if lost:
        from forecast.panel.naming import series_names

        say(f"{len(lost)} series got no forecast: {series_names(lost, 10)}", "warning")
    return 3 if lost else 0
