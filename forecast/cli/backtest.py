"""Forecast from rolling origins in the past, and compare with the actual values."""

from dataclasses import replace
from typing import Any

from forecast.cli._command import Request, build_predict_command
from forecast.cli._console import fold_bar, log, log_lines, suggest, using_cluster
from forecast.cli._data import check_outputs, load, load_later, write
from forecast.cli._forecasts import Saved
from forecast.cli.score import LEVEL, SCORE_TABLES, put_measures
from forecast.engine.backtest import Backtest, BacktestRequest, backtest
from forecast.engine.fit import read_to_fit
from forecast.engine.requests import Callbacks, FitRequest, TableFile
from forecast.ensemble.names import check_names
from forecast.errors import INCOMPLETE, Setting
from forecast.inference.forecasting import reading_to_forecast
from forecast.metrics.metrics import row_columns
from forecast.report.sections import BacktestTables, describe_accuracy
from forecast.settings import (
    AFTER_FIT,
    BacktestSettings,
    OutputSettings,
    TableSettings,
    TextSettings,
    TrainSettings,
    names_in,
)
from forecast.tables.writing import check_output

# training settings that may be given for a fitted forecaster, which is tested as it is
AS_IT_IS = {"model", "jobs", "device", "engine", *AFTER_FIT}


def run(request: Request) -> int:
    models: Any = names_in(request.values.get("model", ""))
    if models:
        request.values["model"] = models[0]
    if request.by == LEVEL and request.sums is None:
        request.refuse("no sums are asked for", f"add {Setting('sum_by')}", "by")
    check_outputs(request, request.forecasts, request.output, store=request.artifact)
    check_output(request.forecasts)
    check_output(request.output, ".json")
    check_names(request.read_group(TrainSettings), models)
    asked = _of_table(request) if request.artifact is None else _request_saved_forecaster(request)
    if request.by not in SCORE_TABLES.values():
        row_columns(request.by, asked.reading.schema)
    with using_cluster(request.cluster), fold_bar() as (on_fold, on_step):
        callbacks = Callbacks(on_fold=on_fold, on_step=on_step)
        asked = replace(
            asked,
            models=models,
            callbacks=callbacks,
            sums=request.sums,
            quantiles=request.read_group(OutputSettings).quantiles,
        )
        result = backtest(asked)

    _log_origins(result, asked)
    if request.forecasts is not None:
        columns = list(result.by_series)
        ids = columns[: columns.index("model")] if request.excel_safe else None
        write(result.forecasts, request.forecasts, ids)
    facts = {
        "horizon": int(result.by_step["step"].max()),
        "season": result.season,
        "origins": list(result.origins),
        "seen": result.seen,
    }
    records = put_measures(result, request, facts)
    log(f"result   {describe_accuracy(BacktestTables(records | facts, 'backtest'))}")
    if result.missing:
        return INCOMPLETE
    if request.artifact is None:
        suggest(*request.fit_words())
    else:
        suggest(*build_predict_command(request.artifact, asked.reading.schema.known))
    return 0


def _of_table(request: Request) -> BacktestRequest:
    request.refuse("a version of a store", "name it with --artifact", "version")
    train = request.read_group(TrainSettings)
    text = request.read_group(TextSettings)
    how = request.read_group(TableSettings)
    to_read = FitRequest(
        TableFile(request.data, text),
        train,
        how,
        future=load_later(request.future, text),
        callbacks=Callbacks(on_read=log_lines),
    )
    return BacktestRequest(
        read_to_fit(to_read),
        train,
        request.read_group(BacktestSettings),
        season_given=bool(how.season),
    )


def _request_saved_forecaster(request: Request) -> BacktestRequest:
    """A backtest of a saved forecaster, which is not fitted again."""
    fixed = {*TableSettings.model_fields, *TrainSettings.model_fields, "refit"} - AS_IT_IS
    request.refuse("--artifact tests a forecaster as it is", "leave one of the two out", *fixed)
    saved = Saved(request)
    table = load(request.data, saved.text)
    later = load_later(request.future, saved.text)
    chosen = {"device", "engine", *({"jobs"} & request.values.keys())}
    where = request.read_group(TrainSettings).model_dump(include=chosen)
    settings = saved.fitted.settings().model_copy(update=saved.fitted.run | where)
    return BacktestRequest(
        reading_to_forecast(saved.fitted, table, later),
        settings,
        request.read_group(BacktestSettings),
        predictor=saved.predictor,
    )


def _log_origins(result: Backtest, asked: BacktestRequest) -> None:
    times = [str(time).removesuffix(" 00:00:00") for time in result.origins]
    fits = "one at each" if asked.rolling.refit else "one at the oldest"
    if asked.predictor is not None:
        fits = "none"
    span = f"{len(times)}, {times[0]} to {times[-1]}"
    log(f"origins  {span}; fits: {fits}; season of mase: {result.season}")
