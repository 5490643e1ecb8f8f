"""Forecast from rolling origins in the past, and compare with the actual values."""

from forecast.cli._command import Request, predicting
from forecast.cli._console import fold_bar, log, log_lines, suggest, using_cluster
from forecast.cli._data import load, text_settings, write
from forecast.cli._forecasts import CHANGED
from forecast.cli._measures import put_measures
from forecast.engine.stages import Callbacks
from forecast.ensemble.names import check_names
from forecast.errors import INCOMPLETE, Setting, UsageError
from forecast.evaluation.backtest import Backtest
from forecast.forecaster import Forecaster
from forecast.jobs.output_guard import check_apart
from forecast.report.backtest_sections import TABLES, BacktestTables, verdict_of
from forecast.settings import BacktestSettings, ClusterSettings, TableSettings, TextSettings, TrainSettings


def run(
    data: str,
    artifact: str | None,
    version: str | None,
    forecasts: str | None,
    by: str | None,
    output: str | None,
    as_json: bool,
    request: Request,
) -> int:
    """Backtest a new forecaster or a saved one, and write the measures."""
    models = tuple(name.strip() for name in str(request.values.get("model", "")).split(",") if name.strip())
    if models:
        request.values["model"] = models[0]
    text, rolling = request.of(TextSettings), request.of(BacktestSettings)
    events = request.of(TableSettings).events  # refused before any work
    for file in (forecasts, output):
        check_apart(file, {"the table that is read": data, "the table of --events": events}, artifact)
    check_names(request.of(TrainSettings), models)
    if artifact is None:
        if version is not None:
            raise UsageError("--version: a version of a store; name it with --artifact")
        table, defaults = load(data, text)
        forecaster = Forecaster(
            **request.of(TrainSettings).model_dump(), **request.of(TableSettings, defaults).model_dump()
        )
        after = ("fit", data, *request.words(TableSettings, TextSettings, more=("horizon",)))
    else:
        forecaster = _saved_forecaster(artifact, version, request)
        table = load(data, text_settings(request, forecaster.schema_.reading))[0]
        after = predicting(artifact, forecaster.schema_.known)
    with using_cluster(request.of(ClusterSettings).cluster), fold_bar() as (on_fold, on_step):
        callbacks, frozen = Callbacks(log_lines, on_fold, on_step), artifact is not None
        found = forecaster.backtest(table, **rolling.model_dump(), models=models, frozen=frozen, callbacks=callbacks)
    oldest, newest = (str(found.origins[place]).removesuffix(" 00:00:00") for place in (0, -1))
    origins = f"{len(found.origins)}, {oldest} to {newest}"
    fits = "none" if artifact else "one at each" if rolling.refit else "one at the oldest"
    log(f"origins  {origins}; fits: {fits}; season of mase: {found.season}")
    if forecasts is not None:
        write(found.forecasts, forecasts)
    horizon = int(found.by_step["step"].max())
    more = {"horizon": horizon, "season": found.season, "origins": list(found.origins), "seen": found.seen}
    put_measures(found, by, output, as_json, more)
    log(f"result   {_result(found)}")
    if found.missing:
        return INCOMPLETE
    suggest(*after)
    return 0


def _result(found: Backtest) -> str:
    tables = {name: getattr(found, name).to_dict("records") for name in TABLES}
    return verdict_of(BacktestTables({**tables, "origins": list(found.origins), "seen": found.seen}, "backtest"))


def _saved_forecaster(artifact: str, version: str | None, request: Request) -> Forecaster:
    """The forecaster of a store, with the settings that it takes after the fit."""
    fixed = {*TableSettings.model_fields, *TrainSettings.model_fields, "refit"}
    for name in fixed - {"model", "jobs", "device", "engine", *CHANGED}:
        if name in request.values:
            problem = "--artifact tests a forecaster as it is"
            raise UsageError(problem, setting=Setting(name), cure="leave one of the two out")
    where = request.of(TrainSettings)
    forecaster = Forecaster.load(artifact, version, where.device, where.engine)
    return forecaster.set_params(**{name: request.values[name] for name in {*CHANGED, "jobs"} & request.values.keys()})
