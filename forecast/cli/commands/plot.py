"""Draw history, forecasts and actual values."""

from dataclasses import dataclass

from forecast.cli._command import (
    ARTIFACT,
    FUTURE,
    OUTPUT,
    VERSION,
    Command,
    Grouped,
    Option,
    options_of,
    table_argument,
)
from forecast.settings import OutputSettings, PictureSettings, TableSettings, TextSettings, TrainSettings

SHAPE = ("levels", "point", "min", "max", "joint", "integer")  # settings of forecasts that a picture can show


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


command = Command(
    "plot",
    """Draw the series of the fit and their forecasts, or those of DATA.

    Without a store, DATA is forecast as `forecast now` does. --output names a file; else the terminal gets the picture.
    """,
    [
        table_argument("data", required=False),
        Grouped(
            "files",
            Files,
            (
                Option("--actual FILE", "table with the values that came; default those of DATA"),
                Option("--output FILE", "write a .png, .svg, .pdf or .html file; default the terminal", OUTPUT),
                Option("--terminal", "draw in the terminal, with --output too", OUTPUT),
            ),
        ),
        Grouped(
            "source",
            Source,
            (
                Option("--forecast FILE", "draw this table of forecasts, which predict wrote, beside DATA"),
                Option("--now", "draw the forecasts of `forecast now`, even where there is a store"),
                FUTURE,
                Option("--origin TIME", "forecast from this time of DATA, and draw what came after it"),
            ),
        ),
        ARTIFACT,
        VERSION,
        PictureSettings,
        TableSettings,
        TextSettings,
        *options_of(TrainSettings, "horizon", "device", "engine"),
        *options_of(OutputSettings, *SHAPE),
    ],
    "forecast plot sales.csv",
    "forecast plot --artifact shops --series north --output north.png",
    "forecast plot sales.csv --origin 2026-01-31 --output worst.html",
    "forecast plot sales.csv --forecast forecasts.csv --output f.svg",
)
