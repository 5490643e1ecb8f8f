"""Forecast a table at once: nothing is trained, and nothing is saved."""

from typing import TYPE_CHECKING

from forecast.cli._console import say_next, style_options
from forecast.cli._forecasts import at_once, put_forecasts
from forecast.cli._help import OUTPUT, file_argument, option, with_examples
from forecast.cli._options import Given, settings_options
from forecast.settings import CheckSettings, OutputSettings, TableSettings, TextSettings, TrainSettings

if TYPE_CHECKING:
    from forecast.panel.schema import Schema


@with_examples(
    "forecast now sales.csv --output forecasts.csv",
    "forecast now sales.csv --horizon 14 --levels 50,90",
    "forecast now synth:seasonal",
)
@file_argument("data")
@option("--output", heading=OUTPUT, metavar="FILE", help="write a .csv or .parquet file; default stdout")
@option("--as-of", first=False, metavar="TIME", help="time at which the age of the data is measured  [default: now]")
@style_options
@settings_options(OutputSettings, CheckSettings, TableSettings, TextSettings, single={"horizon": TrainSettings})
def command(data: str, output: str | None, as_of: str | None, given: Given) -> int:
    """Forecast DATA by the pretrained network and the quick baselines, weighed on the past of DATA.

    DATA is a CSV, .csv.gz, .xlsx, .ods or Parquet file, a folder of Parquet files, - for stdin, or synth:KIND.
    Nothing is trained or saved; `forecast fit` does both, and takes covariates.
    """
    shape, checks = given.of(OutputSettings), given.of(CheckSettings)
    given.of(TextSettings)
    events = given.of(TableSettings).events  # refused before any work
    from forecast.jobs.checks import age, check_age
    from forecast.jobs.instant import parse_as_of
    from forecast.jobs.output_guard import check_apart

    instant = parse_as_of(as_of)
    check_apart(output, {"the table that is read": data, "the table of --events": events})

    def look(newest: int, schema: "Schema") -> None:
        check_age(age(newest, schema, instant), checks, data)

    forecasts, fitted = at_once(data, given, shape, look)
    code = put_forecasts(forecasts, fitted, shape, checks, output)
    if code == 0:
        say_next("fit", data, *given.words(TableSettings, TextSettings, more=("horizon",)))
    return code
