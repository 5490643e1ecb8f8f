"""Forecast from rolling origins in the past, and compare with the actual values."""

from forecast.cli._command import MEASURES, OUTPUT, Command, Option, options_of, table_argument
from forecast.settings import (
    BacktestSettings,
    ClusterSettings,
    StoreSettings,
    TableSettings,
    TextSettings,
    TrainSettings,
)

command = Command(
    "backtest",
    """Forecast DATA from rolling origins in its past, and compare with the actual values.

    The first measure is skill, the error reduction against seasonal naive. --model takes several names, also of
    baselines: --model segrnn,lstm,theta. --budget limits each fit.
    """,
    [
        table_argument("data"),
        BacktestSettings,
        TableSettings,
        TextSettings,
        TrainSettings,
        *options_of(ClusterSettings, "cluster"),
        Option("--artifact DIR", "test the live forecaster of this store, without a fit", StoreSettings.heading),
        Option("--version ID", "a version of that store; default the live one", StoreSettings.heading, first=False),
        Option("--forecasts FILE", "write all forecasts and actual values to a .csv or .parquet file", OUTPUT),
        *MEASURES,
    ],
    "forecast backtest sales.csv",
    "forecast backtest sales.csv --horizon 7 --model auto,theta,drift",
    "forecast backtest sales.csv --artifact shops --by series",
)
