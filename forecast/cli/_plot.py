"""Forecast, or read forecasts, and draw them to a file or the terminal."""

from functools import partial
from typing import TYPE_CHECKING

from forecast.artifacts.store import Store
from forecast.cli._console import put_chart, say, say_next
from forecast.cli._data import load
from forecast.cli._forecasts import CHANGED, Continued, at_once, predicted
from forecast.cli._options import Given
from forecast.cli._saved import reading_of_actual
from forecast.cli._store import Saved, named
from forecast.cli.plot import SHAPE, WHERE, Files, Source
from forecast.errors import BadData, NoInput, UsageError
from forecast.evaluation.saved import missing_series, read_saved
from forecast.inference.forecasting import load_predictor, with_events
from forecast.jobs.apart import check_apart
from forecast.reading.reading import read_as
from forecast.report.chart import chart_of
from forecast.report.files import check_chart_file, write_chart
from forecast.report.plot_data import PlotData, plot_of_forecasts, plot_of_table, series_without_actuals
from forecast.settings import OutputSettings, PictureSettings, TableSettings, TextSettings, TrainSettings

if TYPE_CHECKING:
    from forecast.cli._forecasts import Choose


def plot(data: str | None, files: Files, source: Source, saved: Saved, given: Given, default: bool) -> None:
    """Draw series and forecasts; `default` says that the user named no store."""
    settings = given.of(PictureSettings)
    tables = {
        "the table that is read": data,
        "the table of forecasts": source.forecast,
        "the table of actual values": files.actual,
        "the table of --future": source.future,
        "the table of --events": given.of(TableSettings).events,
    }
    check_apart(files.output, tables, saved.artifact)
    if files.output is not None:
        check_chart_file(files.output)
    actual = files.actual or (data if source.origin is not None else None)
    all_matter = actual is not None and not settings.series  # the errors of all tell which are the largest
    choose = None if all_matter else partial(series_without_actuals, settings=settings)
    after: tuple[str | None, ...]
    if source.forecast is not None:
        plotted, text = _read(data, source.forecast, source, saved, given, default)
        after = ("score", source.forecast, data, *given.words(TableSettings, TextSettings))
    elif source.now or (default and Store(saved.artifact).empty):
        plotted, text = _at_once(data, source, given, choose)
        after = ("fit", data, *given.words(TableSettings, TextSettings, more=("horizon",)))
    else:
        plotted, text = _predicted(data, source, saved, given, choose)
        after = ("predict", data, *named(saved.artifact))
    actuals = None if actual is None else read_as(load(actual, text)[0], plotted.schema, horizon=0).panel
    chart = chart_of(plotted, settings, actuals, actual or "")
    if chart.total > len(chart.series) and not settings.series:
        which = "those with the largest errors" if chart.worst else "the first of the table"
        shown = f"{len(chart.series)} of {chart.total:,}"
        say(f"series   {shown}, {which}; --series names others, --count draws more")
    if files.output is not None:
        write_chart(chart, files.output)
        say(f"written  {files.output}")
    if files.output is None or files.terminal:
        put_chart(chart)
    say_next(*after)


def _read(
    data: str | None, forecast: str, source: Source, saved: Saved, given: Given, default: bool
) -> tuple[PlotData, TextSettings]:
    """Forecasts of a file, beside DATA."""
    if data is None:
        raise UsageError("--forecast: name the table with the history, too: forecast plot DATA --forecast FILE")
    _refuse(source, "--forecast draws a table as it is", "now", "future", "origin")
    for name in (*WHERE, *SHAPE):
        if name in given.values:
            raise UsageError(f"--{name}: --forecast draws a table as it is; leave one of the two out")
    forecasts = load(forecast, TextSettings())[0]
    text, how = reading_of_actual(saved.artifact, forecasts, given, not default)
    table = load(data, text)[0]
    reading, made = read_saved(forecasts, table, how)
    panel = read_as(reading, reading.schema, horizon=made.numbers.shape[1]).panel
    missing_series(made, panel, forecasts.name, table.name)
    say(f"drawn    the forecasts of {forecast}")
    return plot_of_table(panel, reading.schema, made.ids, made.first, made.numbers, made.intervals), text


def _at_once(data: str | None, source: Source, given: Given, choose: "Choose | None") -> tuple[PlotData, TextSettings]:
    """The forecasts of `forecast now`."""
    if data is None and not source.now:
        raise NoInput("there is no store here; name a table, forecast plot DATA, or run `forecast fit` first")
    if data is None:
        raise UsageError("--now: name the table to forecast: forecast plot DATA --now")
    _refuse(source, "nothing is learned here", "future", "origin")
    shape = given.of(OutputSettings)
    forecasts, fitted = at_once(data, given, shape, choose=choose)
    say("drawn    the forecasts of `forecast now`" + ("" if source.now else ", as there is no store here"))
    return plot_of_forecasts(forecasts, fitted, shape.levels), given.of(TextSettings)


def _predicted(
    data: str | None, source: Source, saved: Saved, given: Given, choose: "Choose | None"
) -> tuple[PlotData, TextSettings]:
    """The forecasts of a saved forecaster."""
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
    return plot_of_forecasts(forecasts, predictor.fitted, shape.levels), text


def _refuse(source: Source, why: str, *names: str) -> None:
    for name in names:
        if getattr(source, name):
            raise UsageError(f"--{name}: {why}; leave it out")
