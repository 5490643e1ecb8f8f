"""Draw history, forecasts and actual values."""

from dataclasses import dataclass

import click
from click.core import ParameterSource

from forecast.cli._console import style_options
from forecast.cli._help import OUTPUT, file_argument, option, with_examples
from forecast.cli._options import Given, grouped, settings_options
from forecast.cli._store import Saved, saved_options
from forecast.settings import OutputSettings, PictureSettings, TableSettings, TextSettings, TrainSettings

SHAPE = ("levels", "point", "min", "max", "joint", "integer")  # settings of forecasts that a chart can show
WHERE = ("horizon", "device", "engine")


@dataclass(frozen=True)
class Source:
    """Which forecasts are drawn."""

    forecast: str | None
    now: bool
    future: str | None
    origin: str | None


@dataclass(frozen=True)
class Files:
    """What is drawn beside them, and where to."""

    actual: str | None
    output: str | None
    terminal: bool


@with_examples(
    "forecast plot sales.csv",
    "forecast plot --artifact shops --series north --output north.png",
    "forecast plot sales.csv --origin 2026-01-31 --output worst.html",
    "forecast plot sales.csv --forecast forecasts.csv --output f.svg",
)
@file_argument("data", required=False)
@grouped(
    "files",
    Files,
    option("--actual", metavar="FILE", help="table with the values that came; default those of DATA"),
    option(
        "--output", heading=OUTPUT, metavar="FILE", help="write a .png, .svg, .pdf or .html file; default the terminal"
    ),
    option("--terminal", heading=OUTPUT, is_flag=True, help="draw in the terminal, with --output too"),
)
@grouped(
    "source",
    Source,
    option("--forecast", metavar="FILE", help="draw this table of forecasts, which predict wrote, beside DATA"),
    option("--now", is_flag=True, help="draw the forecasts of `forecast now`, even where there is a store"),
    option("--future", metavar="FILE", help="table with the future values of known covariates"),
    option("--origin", metavar="TIME", help="forecast from this time of DATA, and draw what came after it"),
)
@saved_options
@style_options
@settings_options(
    PictureSettings,
    TableSettings,
    TextSettings,
    single={**dict.fromkeys(WHERE, TrainSettings), **dict.fromkeys(SHAPE, OutputSettings)},
)
@click.pass_context
def command(context: click.Context, data: str | None, files: Files, source: Source, saved: Saved, given: Given) -> None:
    """Draw the series of the fit and their forecasts, or those of DATA.

    Without a store, DATA is forecast as `forecast now` does. --output names a file; else the terminal gets the picture.
    """
    for group in (PictureSettings, TableSettings, TextSettings, OutputSettings, TrainSettings):
        given.of(group)  # refused before any work
    from forecast.cli._plot import plot

    default = context.get_parameter_source("artifact") is ParameterSource.DEFAULT and saved.version is None
    plot(data, files, source, saved, given, default)
