"""The command `plot`."""

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from rich.console import Console

from forecast.artifacts.store import Store
from forecast.cli._command import Request, name_artifact
from forecast.cli._console import echo, log, suggest
from forecast.cli._data import check_outputs, load
from forecast.cli._forecasts import Saved, build_question
from forecast.cli.commands import ON_SAVED, SHAPE, WHERE
from forecast.cli.now import at_once, read_to_forecast
from forecast.cli.score import actual_table
from forecast.engine.requests import Forecast
from forecast.errors import BadData, NoInput
from forecast.panel.infer import read_as
from forecast.panel.panel import Integers, Panel
from forecast.panel.saved import missing_series, read_saved_forecasts
from forecast.panel.schema import Schema
from forecast.report.chart import (
    Chart,
    build_chart,
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
from forecast.totals.sums import log_notes

# a function that chooses the series of a panel to draw; it returns None for all
Choose = Callable[[Panel], Integers]

Draw = Callable[[PictureSettings, Panel | None, str], Chart]
"""Draws by the settings, with actual values of a panel, and what messages call that."""


def run(request: Request) -> None:
    settings = request.read_group(PictureSettings)
    data = request.data
    check_outputs(request, request.output, store=request.store)
    if request.output is not None:
        check_chart_file(request.output)
    actual = request.actual or (data if request.origin is not None else None)
    choose: Choose | None = partial(series_to_draw, settings=settings)
    # sums contain all series, and the largest errors are found among those of all series
    if request.sums is not None or (actual is not None and not settings.series):
        choose = None

    if request.forecast is not None:
        draw, schema, text = _saved_table(request)
        words = request.words(TableSettings, TextSettings, more=("artifact",))
        after: tuple[str | None, ...] = ("score", request.forecast, data, *words)
    elif request.now or (
        request.artifact is request.version is None and Store(request.store).empty
    ):
        draw, schema, text = _at_once(request, choose)
        after = request.fit_words()
    else:
        draw, schema, text = _predict(request, choose)
        after = ("predict", data, *name_artifact(request.store))
    actuals = None
    if actual is not None:
        actuals = read_as(load(actual, text), schema, horizon=0).panel
    chart = draw(settings, actuals, actual or "")
    if chart.total > len(chart.series) and not settings.series:
        which = "those with the largest errors" if chart.worst else "the first of the table"
        count = f"{len(chart.series)} of {chart.total:,}"
        log(f"series   {count}, {which}; --series names others, --count draws more")
    if request.output is not None:
        write_chart(chart, request.output)
        log(f"written  {request.output}")
    if request.output is None or request.terminal:
        _put(chart)
    suggest(*after)


def _saved_table(request: Request) -> tuple[Draw, Schema, TextSettings]:
    if request.data is None:
        cure = "forecast plot DATA --forecast FILE"
        request.refuse("name the table with the history, too", cure, "forecast")
    others = ("now", "version", "future", "origin", *SumSettings.model_fields, *WHERE, *SHAPE)
    request.refuse("--forecast draws a table as it is", "leave it out", *others)
    forecasts = load(request.forecast, TextSettings())
    table, settings = actual_table(request.data, request)
    reading, saved = read_saved_forecasts(forecasts, table, settings)
    schema = reading.schema
    panel = read_as(reading, schema, horizon=saved.numbers.shape[1]).panel
    missing_series(saved, panel, forecasts.name, table.name)
    log(f"drawn    the forecasts of {request.forecast}")
    return partial(build_chart, plot_of_table(panel, schema, saved)), schema, table.reading


def _at_once(request: Request, choose: Choose | None) -> tuple[Draw, Schema, TextSettings]:
    if request.data is None:
        request.refuse("name the table to forecast", "forecast plot DATA --now", "now")
        cure = "name a table, forecast plot DATA, or run `forecast fit` first"
        raise NoInput(f"there is no store here; {cure}")
    request.refuse("nothing is learned here", "leave it out", "future", "origin")
    reading = read_to_forecast(request)
    answer = at_once(reading, request, replace(build_question(request), choose=choose))
    reason = "" if request.now else ", as there is no store here"
    log(f"drawn    the forecasts of `forecast now`{reason}")
    draw = _draw(answer, request, reading.panel)
    return draw, reading.schema, request.read_group(TextSettings)


def _predict(request: Request, choose: Choose | None) -> tuple[Draw, Schema, TextSettings]:
    store = request.store
    names = TableSettings.model_fields.keys() - {*ON_SAVED}
    cure = "leave it out, or pass --now"
    request.refuse(f"{store} reads tables as its fit did", cure, *names)
    saved = Saved(request)
    try:
        question = replace(build_question(request), choose=choose)
        answer = saved.forecast(saved.add_tables(question, request))
    except BadData as error:
        cure = f"if {store} was fitted to another table, pass --now, or another --artifact"
        error.cure = error.cure or cure
        raise
    log(f"drawn    the forecasts of {store}")
    draw = _draw(answer, request, answer.whole.panel)
    return draw, saved.schema, saved.text


def _draw(answer: Forecast, request: Request, past: Panel) -> Draw:
    if answer.totals is None:
        output = request.read_group(OutputSettings)
        return partial(build_chart, plot_of_forecasts(answer.whole, answer.fitted, output))
    log_notes(answer.totals)
    return partial(chart_of_sums, answer.totals, past)


def _put(chart: Chart) -> None:
    """Write a chart to stdout as characters.

    A terminal gets colours, and lines of its own width, up to 120 characters.
    """
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 100)
    with console.capture() as captured:
        for line in terminal_lines(chart, min(console.width, 120)):
            console.print(line, soft_wrap=True)
    echo(captured.get().removesuffix("\n"))
