"""Forecast from rolling origins in the past, and compare with the actual values."""

from forecast.cli._command import Request, predicting
from forecast.cli._console import fold_bar, log, log_lines, suggest, using_cluster
from forecast.cli._data import check_outputs, load, load_later, text_settings, write
from forecast.cli.score import LEVEL, put_measures
from forecast.engine.requests import Callbacks
from forecast.ensemble.names import check_names
from forecast.errors import INCOMPLETE, Setting, UsageError, Words
from forecast.forecaster import Forecaster
from forecast.report.sections import BacktestTables, verdict_of
from forecast.settings import (
    AFTER_FIT,
    BacktestSettings,
    SumSettings,
    TableSettings,
    TextSettings,
    TrainSettings,
)


def run(request: Request) -> int:
    data = request.data
    artifact = request.artifact
    models = tuple(
        name.strip() for name in str(request.values.get("model", "")).split(",") if name.strip()
    )
    if models:
        request.values["model"] = models[0]
    text = request.of(TextSettings)
    rolling = request.of(BacktestSettings)
    sums = request.of(SumSettings).model_dump(exclude_defaults=True)
    if request.by == LEVEL and not sums:
        raise UsageError(
            "no sums are asked for",
            setting=Setting("by", LEVEL),
            cure=Words("add ", Setting("sum_by")),
        )
    check_outputs(request, request.forecasts, request.output, store=artifact)
    check_names(train := request.of(TrainSettings), models)
    if artifact is None:
        if request.version is not None:
            raise UsageError("--version: a version of a store; name it with --artifact")
        table, defaults = load(data, text)
        forecaster = Forecaster(
            **train.model_dump(), **request.of(TableSettings, defaults).model_dump()
        )
        after = request.fit_words()
    else:
        fixed = {*TableSettings.model_fields, *TrainSettings.model_fields, "refit"}
        fixed -= {"model", "jobs", "device", "engine", *AFTER_FIT}
        request.refuse("--artifact tests a forecaster as it is", "leave one of the two out", *fixed)
        forecaster = Forecaster.load(artifact, request.version, train.device, train.engine)
        after_fit = {*AFTER_FIT, "jobs"} & request.values.keys()
        forecaster.set_params(**{name: request.values[name] for name in after_fit})
        table = load(data, text := text_settings(request, forecaster.schema_.reading))[0]
        after = predicting(artifact, forecaster.schema_.known)
    with using_cluster(request.cluster), fold_bar() as (on_fold, on_step):
        tables = (table, load_later(request.future, text))
        options = {**rolling.model_dump(), "sums": sums}
        options |= {
            "frozen": artifact is not None,
            "callbacks": Callbacks(log_lines, on_fold, on_step),
        }
        found = forecaster.backtest(tables, **options, models=models)
    origins = list(found.origins)
    oldest, newest = (str(origins[index]).removesuffix(" 00:00:00") for index in (0, -1))
    fits = "none" if artifact else "one at each" if rolling.refit else "one at the oldest"
    log(
        f"origins  {len(origins)}, {oldest} to {newest}; fits: {fits}; season of mase: {found.season}"
    )
    if request.forecasts is not None:
        names = list(found.by_series)
        write(
            found.forecasts,
            request.forecasts,
            names[: names.index("model")] if request.excel_safe else None,
        )
    more = {
        "horizon": int(found.by_step["step"].max()),
        "season": found.season,
        "origins": origins,
        "seen": found.seen,
    }
    records = put_measures(found, request, more)
    log(f"result   {verdict_of(BacktestTables(records | more, 'backtest'))}")
    if found.missing:
        return INCOMPLETE
    suggest(*after)
    return 0
