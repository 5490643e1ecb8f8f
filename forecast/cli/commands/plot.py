"""Draw history, forecasts and actual values."""

from dataclasses import dataclass
from typing import Annotated

from forecast.cli._command import (
    ARTIFACT,
    FUTURE,
    OUTPUT,
    VERSION,
    Command,
    Option,
    options_of,
    table_argument,
)
from forecast.settings import OutputSettings, PictureSettings, TableSettings, TextSettings, TrainSettings

SHAPE = ("levels", "point", "min", "max", "joint", "integer")  # settings of forecasts that a chart can show
WHERE = ("horizon", "device", "engine")


@dataclass(frozen=True)
class Files:
    """What is drawn beside the forecasts, and where to."""

    actual: Annotated[str | None, Option("--actual FILE", "table with the actual values; default those of DATA")]
    output: Annotated[
        str | None, Option("--output FILE", "write a .png, .svg, .pdf or .html file; default the terminal", OUTPUT)
    ]
    terminal: Annotated[bool, Option("--terminal", "draw in the terminal, with --output too", OUTPUT)]


@dataclass(frozen=True)
class Source:
    """Which forecasts are drawn."""

    forecast: Annotated[
        str | None, Option("--forecast FILE", "draw this table of forecasts, which predict wrote, beside DATA")
    ]
    now: Annotated[bool, Option("--now", "draw the forecasts of `forecast now`, even where there is a store")]
    future: Annotated[str | None, FUTURE]
    origin: Annotated[
        str | None, Option("--origin TIME", "forecast from this time of DATA, and draw what came after it")
    ]


command = Command(
    "plot",
    """Draw the series of the fit and their forecasts, or those of DATA.

    Without a store, DATA is forecast as `forecast now` does. --output names a file; else the terminal gets the picture.
    """,
    [
        table_argument("data", required=False),
        Files,
        Source,
        ARTIFACT,
        VERSION,
        PictureSettings,
        TableSettings,
        TextSettings,
        *options_of(TrainSettings, *WHERE),
        *options_of(OutputSettings, *SHAPE),
    ],
    "forecast plot sales.csv",
    "forecast plot --artifact shops --series north --output north.png",
    "forecast plot sales.csv --origin 2026-01-31 --output worst.html",
    "forecast plot sales.csv --forecast forecasts.csv --output f.svg",
)
