"""Turn command lines into questions to a forecaster, and write the answers as tables."""

from dataclasses import replace
from os.path import realpath
from pathlib import Path

from forecast.cli._command import Request
from forecast.cli._console import log, log_lines, steps_bar
from forecast.cli._data import load_later, text_settings, write
from forecast.engine.forecast import forecast
from forecast.engine.requests import Forecast, ForecastRequest, TableFile
from forecast.errors import INCOMPLETE, Setting
from forecast.inference.fitted import rank_candidates
from forecast.inference.forecasting import load_predictor, update_tables
from forecast.jobs.checks.age import find_unforecast_series
from forecast.panel.panel import series_names
from forecast.settings import (
    AFTER_FIT,
    CheckSettings,
    OutputSettings,
    TableSettings,
    TrainSettings,
)
from forecast.tables.writing import build_frame, build_frames
from forecast.totals.periods import key_columns
from forecast.totals.sums import Totals, log_notes


def build_question(request: Request) -> ForecastRequest:
    """The question of a command line to a forecaster, without its table.

    Options that exclude each other are refused before any work.
    """
    values = request.values
    question = ForecastRequest(
        origin=values.get("origin"),
        horizon=values.get("horizon"),
        output=request.read_group(OutputSettings),
        sums=request.sums,
        paths=values.get("paths"),
        overrides=values.get("overrides"),
        orders=values.get("orders"),
        sheet=values.get("override_sheet") is not None,
    )
    output = values.get("output")
    totals = values.get("totals")
    if output is None:
        cure = f"name a file with {Setting('output')}"
        request.refuse("they are written beside the forecasts", cure, "paths")
    if question.sums is None:
        cure = f"add {Setting('sum_by')} or {Setting('sum_every')}"
        request.refuse("no sums are asked for", cure, "totals")
    if totals is not None and output is not None and realpath(totals) == realpath(output):
        request.refuse("the series are written there", "name another file", "totals")
    question.check()
    return question


def path_file(request: Request) -> str | None:
    if request.paths is None or request.output is None:
        return None
    return str(Path(request.output).with_suffix(".paths.parquet"))


class Saved:
    """A saved forecaster that a command names, and how tables and text files are read for it."""

    def __init__(self, request: Request) -> None:
        where = request.read_group(TrainSettings)
        tables = request.read_group(TableSettings)
        predictor = load_predictor(request.store, request.version, where.device, where.engine)
        changed = tables.model_dump(include=set(AFTER_FIT) & set(request.values))
        self.predictor = update_tables(predictor, tables.events, tables.successors, changed)
        self.fitted = self.predictor.fitted
        self.schema = self.fitted.schema
        self.text = text_settings(request, self.schema.reading)

    def add_tables(self, question: ForecastRequest, request: Request) -> ForecastRequest:
        """The question, about the tables that the command names."""
        source = None if request.data is None else TableFile(request.data, self.text)
        return replace(question, source=source, future=load_later(request.future, self.text))

    def forecast(self, question: ForecastRequest) -> Forecast:
        """The answer to a question; its tables are read as a whole."""
        with steps_bar("forecasts", "series") as on_series:
            question = replace(question, in_parts=False, on_series=on_series)
            return forecast(self.predictor, question)


def put_forecast(answer: Forecast, request: Request) -> int:
    """Write forecasts to stdout or a file, and their sums and paths; returns the exit code."""
    ids = answer.fitted.schema.ids if request.excel_safe else None
    totals = answer.totals
    paths = path_file(request)
    frames = build_frames((part.columns for part in answer.parts), answer.name)
    if answer.orders is not None:
        frames = iter([build_frame(answer.orders)])
    if totals is None or request.totals is not None:
        write(frames, request.output, ids)
    else:
        for _ in answer.parts:
            pass
    if totals is not None:
        put_sums(totals, request)
    if answer.sheet is not None:
        write(build_frame(answer.sheet), request.override_sheet, ids)
    if paths is not None:
        write(map(build_frame, answer.paths), paths, ids)
    return log_result(answer, request)


def put_sums(totals: Totals, request: Request) -> None:
    ids = ["level", *key_columns(totals.sum_levels, totals.schema)] if request.excel_safe else None
    write(build_frame(totals.columns()), request.totals or request.output, ids)
    log_notes(totals)


def log_result(answer: Forecast, request: Request) -> int:
    """Log which models forecast, if that is asked for, and which series have no forecast.

    Returns the exit code.
    """
    if request.read_group(OutputSettings).explain:
        log_lines(rank_candidates(answer.fitted))
    lost = find_unforecast_series(answer.skipped, request.read_group(CheckSettings).require_all)
    if lost:
        log(f"{len(lost)} series got no forecast: {series_names(lost, 10)}", "warning")
    return INCOMPLETE if lost else 0
