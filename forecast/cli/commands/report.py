"""Write a report as one page of HTML: a forecaster, its backtest, its job."""

from dataclasses import dataclass
from typing import Annotated

from forecast.cli._command import FUTURE, JOB_OR_STORE, OUTPUT, VERSION, Command, Option, options_of
from forecast.settings import TrainSettings


@dataclass(frozen=True)
class Files:
    """What a report reads beside the store, and where it goes."""

    backtest: Annotated[
        str | None, Option("--backtest FILE", "a .json file that `forecast backtest DATA --output FILE` wrote")
    ]
    future: Annotated[str | None, FUTURE]
    output: Annotated[str, Option("--output FILE", "the .html file to write", OUTPUT, required=True)]


command = Command(
    "report",
    """Write a report on the live forecaster of a store as one page of HTML.

    JOB, a pipeline file, or --artifact names the store; the runs of a JOB are in the report. With --backtest and no
    store the report is on the backtest alone. The page needs no other file and no network.
    """,
    [
        *JOB_OR_STORE,
        VERSION,
        *options_of(TrainSettings, "device", "engine"),
        Files,
    ],
    "forecast report --output report.html",
    "forecast report job.toml --output job.html",
    "forecast report --artifact shops --backtest tests.json --output s.html",
)
