"""Draw history, forecasts and actual values."""

import sys
from collections.abc import Callable
from functools import partial

from rich.console import Console

from forecast.artifacts.store import Store
from forecast.cli._command import Request, named
from forecast.cli._console import echo, log, suggest
from forecast.cli._data import check_outputs, load
from forecast.cli._forecasts import Saved
from forecast.cli.commands import ON_SAVED, SHAPE, WHERE
from forecast.cli.now import at_once, read_to_forecast
from forecast.cli.score import actual_table
from forecast.engine.requests import Forecast, ForecastRequest
from forecast.errors import BadData, NoInput, UsageError
from forecast.inference.forecasting import ForecastOptions
from forecast.panel.panel import Panel
from forecast.panel.schema import Schema
from forecast.reading.reading import read_as
from forecast.reading.saved import missing_series, read_saved
from forecast.report.chart import (
    Chart,
    chart_of,
    plot_of_forecasts,
    plot_of_table,
    series_to_draw,
)
from forecast.report.sum_charts import chart_of_sums
from forecast.report.terminal import terminal_lines
from forecast.report.vega import check_chart_file, write_chart
from forecast.settings import (
    OutputSettings,
    PictureSettings,
    SumSettings,
    TableSettings,
    TextSettings,
)
from forecast.totals.periods import levels_of
from forecast.totals.sums import log_notes

# says which series of a panel are drawn; None is all
Choose = Callable[[Panel], ForecastOptions | None] | None


def run(request: Request) -> None:
    settings, store, data = request.of(PictureSettings), request.store, request.data
    check_outputs(request, request.output, store=store)
    if request.output is not None:
        check_chart_file(request.output)
    actual = request.actual or (data if request.origin is not None else None)
    # the errors of all tell which are the largest
    all_matter = request.sums is not None or (actual is not None and not settings.series)
    choose = None if all_matter else partial(series_to_draw, settings=settings)
    after: tuple[str | None, ...] = ("predict", data, *named(store))
    if request.forecast is not None:
        draw, schema, text = _read(request)
        after = (
            "score",
            request.forecast,
            data,
            *request.words(TableSettings, TextSettings, more=("artifact",)),
        )
    elif request.now or (request.artifact is request.version is None and Store(store).empty):
        draw, schema, text = _at_once(request, choose)
        after = request.fit_words()
    else:
        draw, schema, text = _predicted(store, request, choose)
    actuals = None if actual is None else read_as(load(actual, text)[0], schema, horizon=0).panel
    chart = draw(settings, actuals, actual or "")
    if chart.total > len(chart.series) and not settings.series:
        which = "those with the largest errors" if chart.worst else "the first of the table"
        shown = f"{len(chart.series)} of {chart.total:,}"
        log(f"series   {shown}, {which}; --series names others, --count draws more")
    if request.output is not None:
        write_chart(chart, request.output)
        log(f"written  {request.output}")
    if request.output is None or request.terminal:
        _print(chart)
    suggest(*after)


def _read(request: Request) -> tuple[partial[Chart], Schema, TextSettings]:
    data, forecast, why = request.data, request.forecast, "--forecast draws a table as it is"
    if data is None:
        raise UsageError(
            "--forecast: name the table with the history, too: forecast plot DATA --forecast FILE"
        )
    request.refuse(
        why, "leave it out", "now", "version", "future", "origin", *SumSettings.model_fields
    )
    request.refuse(why, "leave one of the two out", *WHERE, *SHAPE)
    forecasts = load(forecast, TextSettings())[0]
    table, how = actual_table(data, request)
    reading, saved = read_saved(forecasts, table, how)
    panel = read_as(reading, reading.schema, horizon=saved.numbers.shape[1]).panel
    missing_series(saved, panel, forecasts.name, table.name)
    log(f"drawn    the forecasts of {forecast}")
    return (
        partial(chart_of, plot_of_table(panel, reading.schema, saved)),
        reading.schema,
        table.reading,
    )


def _at_once(request: Request, choose: Choose) -> tuple[partial[Chart], Schema, TextSettings]:
    if request.data is None and not request.now:
        raise NoInput(
            "there is no store here; name a table, forecast plot DATA, or run `forecast fit` first"
        )
    if request.data is None:
        raise UsageError("--now: name the table to forecast: forecast plot DATA --now")
    request.refuse("nothing is learned here", "leave it out", "future", "origin")
    reading = read_to_forecast(request)
    _check_sums(request, reading.schema)
    question = ForecastRequest(
        output=request.of(OutputSettings), sums=request.sums, on_panel=choose
    )
    answer = at_once(reading, request, question)
    log(
        "drawn    the forecasts of `forecast now`"
        + ("" if request.now else ", as there is no store here")
    )
    return (
        _drawing(answer, request, reading.panel),
        reading.schema,
        request.of(TextSettings),
    )


def _predicted(
    store: str, request: Request, choose: Choose
) -> tuple[partial[Chart], Schema, TextSettings]:
    names, cure = TableSettings.model_fields.keys() - {*ON_SAVED}, "leave it out, or pass --now"
    request.refuse(f"{store} reads tables as its fit did", cure, *names)
    saved = Saved(request)
    _check_sums(request, saved.schema)
    try:
        question = ForecastRequest(
            origin=request.origin,
            horizon=request.horizon,
            output=request.of(OutputSettings),
            sums=request.sums,
            on_panel=choose,
        )
        answer = saved.forecast(saved.asked(question, request))
    except BadData as error:
        error.cure = (
            error.cure
            or f"if {store} was fitted to another table, pass --now, or another --artifact"
        )
        raise
    log(f"drawn    the forecasts of {store}")
    return (
        _drawing(answer, request, answer.whole.panel),
        saved.fitted.config.table,
        saved.text,
    )


def _check_sums(request: Request, schema: Schema) -> None:
    """Refuse, before any work, sums that a table does not have."""
    if request.sums is not None:
        levels_of(request.sums, schema)


def _drawing(answer: Forecast, request: Request, past: Panel) -> partial[Chart]:
    if answer.totals is None:
        levels = request.of(OutputSettings).levels
        return partial(chart_of, plot_of_forecasts(answer.whole, answer.fitted, levels))
    log_notes(answer.totals)
    return partial(chart_of_sums, answer.totals, past)


def _print(chart: Chart) -> None:
    """Write a chart to stdout as characters; a terminal gets colours, and lines as wide as it is, up to 120."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 100)
    unicode = (sys.stdout.encoding or "").lower().startswith("utf")
    with console.capture() as captured:
        for line in terminal_lines(chart, min(console.width, 120), unicode):
            console.print(line, soft_wrap=True)
    echo(captured.get().removesuffix("\n"))
