"""Draw history, forecasts and actual values."""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from forecast.cli._console import put_picture, say, say_next, style_options
from forecast.cli._data import load
from forecast.cli._forecasts import CHANGED, Continued, at_once, predicted
from forecast.cli._help import OUTPUT, file_argument, option, with_examples
from forecast.cli._options import Given, grouped, settings_options
from forecast.cli._saved import reading_of_actual
from forecast.cli._store import Saved, named, saved_options
from forecast.errors import BadData, NoInput, UsageError
from forecast.settings import OutputSettings, PictureSettings, TableSettings, TextSettings, TrainSettings

if TYPE_CHECKING:
    from forecast.cli._forecasts import Choose
    from forecast.panel.panel import Panel
    from forecast.panel.schema import Schema
    from forecast.report.content import Drawable
    from forecast.report.picture import Picture

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
    single={
        "horizon": TrainSettings,
        "device": TrainSettings,
        "engine": TrainSettings,
        **dict.fromkeys(SHAPE, OutputSettings),
    },
)
@click.pass_context
def command(context: click.Context, data: str | None, files: Files, source: Source, saved: Saved, given: Given) -> None:
    """Draw the series of the fit and their forecasts, or those of DATA.

    Without a store, DATA is forecast as `forecast now` does. --output names a file; else the terminal gets the picture.
    """
    wanted, how = given.of(PictureSettings), given.of(TableSettings)  # refused before any work
    given.of(TextSettings), given.of(OutputSettings), given.of(TrainSettings)
    from forecast.artifacts.store import Store
    from forecast.jobs.output_guard import check_apart
    from forecast.report.content import picture_of, series_without_errors

    tables = {
        "the table that is read": data,
        "the table of forecasts": source.forecast,
        "the table of actual values": files.actual,
        "the table of --future": source.future,
        "the table of --events": how.events,
    }
    check_apart(files.output, tables, saved.artifact)
    if files.output is not None:
        from forecast.report.files import check_picture

        check_picture(files.output)
    default = context.get_parameter_source("artifact") is ParameterSource.DEFAULT and saved.version is None
    came = files.actual or (data if source.origin is not None else None)
    choose = None if came is not None and not wanted.series else partial(series_without_errors, settings=wanted)
    if source.forecast is not None:
        drawable, text = _saved_forecasts(data, source, saved, given, default)
        after: tuple[str | None, ...] = ("score", source.forecast, data, *given.words(TableSettings, TextSettings))
    elif source.now or (default and Store(saved.artifact).empty):
        drawable, text = _at_once(data, source, given, choose)
        after = ("fit", data, *given.words(TableSettings, TextSettings, more=("horizon",)))
    else:
        drawable, text = _predicted(data, source, saved, given, choose)
        after = ("predict", data, *named(saved.artifact))
    actual = None if came is None else _panel(came, drawable.schema, text)
    picture = picture_of(drawable, wanted, actual, came or "")
    _say_left_out(picture, wanted)
    _put(picture, files)
    say_next(*after)


def _saved_forecasts(
    data: str | None, source: Source, saved: Saved, given: Given, default: bool
) -> "tuple[Drawable, TextSettings]":
    """Forecasts of a file, beside DATA."""
    from forecast.evaluation.saved import missing_series, read_saved
    from forecast.reading.reading import read_as
    from forecast.report.content import drawable_saved

    if data is None:
        raise UsageError("--forecast: name the table with the history, too: forecast plot DATA --forecast FILE")
    _refuse(source, "--forecast draws a table as it is", "now", "future", "origin")
    for name in ("horizon", "device", "engine", *SHAPE):
        if name in given.values:
            raise UsageError(f"--{name}: --forecast draws a table as it is; leave one of the two out")
    forecasts = load(source.forecast or "", TextSettings())[0]
    text, how = reading_of_actual(saved.artifact, forecasts, given, not default)
    table = load(data, text)[0]
    reading, made = read_saved(forecasts, table, how)
    panel = read_as(reading, reading.schema, horizon=made.horizon).panel
    missing_series(made, panel, forecasts.name, table.name)
    say(f"drawn    the forecasts of {source.forecast}")
    return drawable_saved(made, panel, reading.schema), text


def _at_once(
    data: str | None, source: Source, given: Given, choose: "Choose | None"
) -> "tuple[Drawable, TextSettings]":
    """The forecasts of `forecast now`."""
    from forecast.report.content import drawable_forecasts

    if data is None:
        if not source.now:
            raise NoInput("there is no store here; name a table, forecast plot DATA, or run `forecast fit` first")
        raise UsageError("--now: name the table to forecast: forecast plot DATA --now")
    _refuse(source, "nothing is learned here", "future", "origin")
    shape = given.of(OutputSettings)
    forecasts, fitted = at_once(data, given, shape, choose=choose)
    say("drawn    the forecasts of `forecast now`" + ("" if source.now else ", as there is no store here"))
    return drawable_forecasts(forecasts, fitted, shape.levels), given.of(TextSettings)


def _predicted(
    data: str | None, source: Source, saved: Saved, given: Given, choose: "Choose | None"
) -> "tuple[Drawable, TextSettings]":
    """The forecasts of a saved forecaster."""
    from forecast.inference.forecasting import load_predictor, with_events
    from forecast.report.content import drawable_forecasts

    for name in TableSettings.model_fields.keys() - {*CHANGED, "events"}:
        if name in given.values:
            flag = f"--{name.replace('_', '-')}"
            raise UsageError(f"{flag}: {saved.artifact} reads tables as its fit did; leave it out, or pass --now")
    shape, where = given.of(OutputSettings), given.of(TrainSettings)
    predictor = load_predictor(saved.artifact, saved.version, where.device, where.engine)
    predictor = with_events(predictor, given.of(TableSettings).events)
    continued = Continued(data, source.future, source.origin, given.values.get("horizon"))
    try:
        forecasts = predicted(predictor, continued, given, shape, choose=choose)
    except BadData as error:
        error.cure = error.cure or f"if {saved.artifact} was fitted to another table, pass --now, or another --artifact"
        raise
    say(f"drawn    the forecasts of {saved.artifact}")
    text = given.reading(predictor.fitted.config.table.reading)
    return drawable_forecasts(forecasts, predictor.fitted, shape.levels), text


def _refuse(source: Source, why: str, *names: str) -> None:
    for name in names:
        if getattr(source, name):
            raise UsageError(f"--{name}: {why}; leave it out")


def _panel(table: str, schema: "Schema", text: TextSettings) -> "Panel":
    """The values that came."""
    from forecast.reading.reading import read_as

    return read_as(load(table, text)[0], schema, horizon=0).panel


def _say_left_out(picture: "Picture", wanted: PictureSettings) -> None:
    """Say how many series are not in the picture."""
    left = picture.total - len(picture.series)
    if left > 0 and not wanted.series:
        which = "those with the largest errors" if picture.worst else "the first of the table"
        say(f"series   {len(picture.series)} of {picture.total:,}, {which}; --series names others, --count draws more")


def _put(picture: "Picture", files: Files) -> None:
    if files.output is not None:
        from forecast.report.files import write_picture

        write_picture(picture, files.output)
        say(f"written  {files.output}")
    if files.output is None or files.terminal:
        put_picture(picture)
