"""Write a report as one page of HTML: a forecaster, its backtest, its job."""

from dataclasses import dataclass

from forecast.cli._console import style_options
from forecast.cli._help import OUTPUT, option, with_examples
from forecast.cli._options import Given, grouped, settings_options
from forecast.cli._store import Place, store_options, version_option
from forecast.settings import TrainSettings


@dataclass(frozen=True)
class Files:
    """What a report reads beside the store, and where it goes."""

    backtest: str | None
    future: str | None
    output: str


@with_examples(
    "forecast report --output report.html",
    "forecast report job.toml --output job.html",
    "forecast report --artifact shops --backtest tests.json --output s.html",
)
@store_options
@version_option
@settings_options(single=dict.fromkeys(("device", "engine"), TrainSettings))
@grouped(
    "files",
    Files,
    option("--backtest", metavar="FILE", help="a .json file that `forecast backtest DATA --output FILE` wrote"),
    option("--future", metavar="FILE", help="table with the future values of known covariates"),
    option("--output", heading=OUTPUT, required=True, metavar="FILE", help="the .html file to write"),
)
@style_options
def command(place: Place, version: str | None, given: Given, files: Files) -> None:
    """Write a report on the live forecaster of a store as one page of HTML.

    JOB, a pipeline file, or --artifact names the store; the runs of a JOB are in the report. With --backtest and no
    store the report is on the backtest alone. The page needs no other file and no network.
    """
    where = given.of(TrainSettings)
    from forecast.cli._report import write_report

    write_report(place, version, where, files)
