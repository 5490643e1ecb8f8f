"""Forecast from rolling origins in the past, and compare with the actual values."""

from typing import TYPE_CHECKING, Any

from forecast.cli._cluster import in_use
from forecast.cli._console import fold_bar, say, say_lines, say_next, style_options
from forecast.cli._data import load, write
from forecast.cli._help import OUTPUT, file_argument, option, with_examples
from forecast.cli._measures import Wanted, put_out, table_options
from forecast.cli._options import Given, settings_options
from forecast.cli._store import predicting
from forecast.errors import UsageError
from forecast.settings import (
    BacktestSettings,
    ClusterSettings,
    StoreSettings,
    TableSettings,
    TextSettings,
    TrainSettings,
)

if TYPE_CHECKING:
    from forecast.forecaster import Forecaster
    from forecast.results import Backtest
    from forecast.tables.table import Table

READING = {"strict", "on_duplicate", "date_format"}  # settings of a table that a saved forecaster accepts


@with_examples(
    "forecast backtest sales.csv",
    "forecast backtest sales.csv --horizon 7 --model auto,theta,drift",
    "forecast backtest sales.csv --artifact shops --by series",
)
@file_argument("data")
@settings_options(BacktestSettings, TableSettings, TextSettings, TrainSettings, single={"cluster": ClusterSettings})
@option(
    "--artifact",
    heading=StoreSettings.heading,
    metavar="DIR",
    help="test the live forecaster of this store, without a fit",
)
@option(
    "--version",
    heading=StoreSettings.heading,
    first=False,
    metavar="ID",
    help="a version of that store; default the live one",
)
@option(
    "--forecasts",
    heading=OUTPUT,
    metavar="FILE",
    help="write all forecasts and actual values to a .csv or .parquet file",
)
@table_options
@style_options
def command(
    data: str,
    artifact: str | None,
    version: str | None,
    forecasts: str | None,
    wanted: Wanted,
    given: Given,
) -> int:
    """Forecast DATA from rolling origins in its past, and compare with the actual values.

    The first measure is skill, the error reduction against seasonal naive. --model takes several names, also of
    baselines: --model segrnn,lstm,theta. --budget limits each fit.
    """
    models = tuple(name.strip() for name in str(given.values.get("model", "")).split(",") if name.strip())
    if models:
        given.values["model"] = models[0]
    text, rolling = given.of(TextSettings), given.of(BacktestSettings)
    from forecast.ensemble.names import check_names
    from forecast.errors import INCOMPLETE
    from forecast.jobs.output_guard import check_apart

    events = given.of(TableSettings).events  # refused before any work
    for file in (forecasts, wanted.output):
        check_apart(file, {"the table that is read": data, "the table of --events": events}, artifact)
    check_names(given.of(TrainSettings), models)
    if artifact is None:
        if version is not None:
            raise UsageError("--version: a version of a store; name it with --artifact")
        table, defaults = load(data, text)
        forecaster = _new_forecaster(given, defaults)
    else:
        forecaster = _saved_forecaster(artifact, version, given)
        table = load(data, given.reading(forecaster.schema_.reading))[0]
    with in_use(given):
        found = _run(forecaster, table, rolling, models, artifact is not None)
    oldest, newest = (str(found.origins[place]).removesuffix(" 00:00:00") for place in (0, -1))
    origins = f"{len(found.origins)}, {oldest} to {newest}"
    fits = "none" if artifact else "one at each" if rolling.refit else "one at the oldest"
    say(f"origins  {origins}; fits: {fits}; season of mase: {found.season}")
    more = {
        "horizon": int(found.by_step["step"].max()),
        "season": found.season,
        "origins": list(found.origins),
        "seen": found.seen,
    }
    if forecasts is not None:
        write(found.forecasts, forecasts)
    put_out(found, wanted, more)
    say(f"result   {_result(found)}")
    if found.missing:
        return INCOMPLETE
    again = ("fit", data, *given.words(TableSettings, TextSettings, more=("horizon",)))
    say_next(*(again if artifact is None else predicting(artifact, forecaster.schema_.known)))
    return 0


def _result(found: "Backtest") -> str:
    from forecast.report.measured import TABLES, Measured, verdict_of

    tables = {name: getattr(found, name).to_dict("records") for name in TABLES}
    return verdict_of(Measured.of({**tables, "origins": list(found.origins), "seen": found.seen}, "backtest"))


def _new_forecaster(given: Given, defaults: dict[str, Any]) -> "Forecaster":
    from forecast.forecaster import Forecaster

    return Forecaster(**given.of(TrainSettings).model_dump(), **given.of(TableSettings, defaults).model_dump())


def _saved_forecaster(artifact: str, version: str | None, given: Given) -> "Forecaster":
    from forecast.forecaster import Forecaster

    own = {*TableSettings.model_fields, *TrainSettings.model_fields, "refit"}
    for name in own - {"model", "jobs", "device", "engine", *READING}:
        if name in given.values:
            flag = "-p" if name == "params" else f"--{name.replace('_', '-')}"
            raise UsageError(f"{flag}: --artifact tests a forecaster as it is; leave one of the two out")
    where = given.of(TrainSettings)
    forecaster = Forecaster.load(artifact, version, where.device, where.engine)
    return forecaster.set_params(**{name: given.values[name] for name in {*READING, "jobs"} & given.values.keys()})


def _run(
    forecaster: "Forecaster",
    table: "Table",
    rolling: BacktestSettings,
    models: tuple[str, ...],
    frozen: bool,
) -> "Backtest":
    from forecast.engine.stages import Callbacks

    with fold_bar() as (on_fold, on_step):
        return forecaster.backtest(
            table,
            windows=rolling.windows,
            step=rolling.step,
            refit=rolling.refit,
            models=models,
            frozen=frozen,
            callbacks=Callbacks(say_lines, on_fold, on_step),
        )
