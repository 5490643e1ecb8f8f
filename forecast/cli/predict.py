"""Forecast with a saved forecaster."""

from typing import TYPE_CHECKING

from forecast.cli._cluster import put_sharded, refuse_sharded, shards_of
from forecast.cli._console import say_next, style_options
from forecast.cli._forecasts import Continued, predict_and_write
from forecast.cli._help import OUTPUT, file_argument, option, with_examples
from forecast.cli._options import Given, settings_options
from forecast.cli._store import Saved, named, saved_options
from forecast.errors import UsageError
from forecast.settings import (
    CheckSettings,
    ClusterSettings,
    OutputSettings,
    TableSettings,
    TextSettings,
    TrainSettings,
)

if TYPE_CHECKING:
    from forecast.panel.schema import Schema


@with_examples(
    "forecast predict --output forecasts.csv",
    "forecast predict tonight.csv --artifact shops",
    "forecast predict --future prices.csv --levels 80 --integer",
    "forecast predict s3://sales/2026/ --shards 64 --output s3://forecasts/2026",
)
@file_argument("data", required=False)
@saved_options
@option(
    "--output",
    heading=OUTPUT,
    metavar="FILE",
    help="write a .csv or .parquet file, with --shards a folder; default stdout",
)
@option("--horizon", heading=OutputSettings.heading, type=int, help="number of steps, fewer than at fit")
@option("--origin", metavar="TIME", help="forecast from this time of DATA; later values are not used")
@option("--future", metavar="FILE", help="table with the future values of known covariates")
@option("--as-of", first=False, metavar="TIME", help="time at which the age of the data is measured  [default: now]")
@style_options
@settings_options(
    OutputSettings,
    CheckSettings,
    TextSettings,
    ClusterSettings,
    single={
        "jobs": TrainSettings,
        "device": TrainSettings,
        "engine": TrainSettings,
        "strict": TableSettings,
        "on_duplicate": TableSettings,
        "date_format": TableSettings,
        "events": TableSettings,
    },
)
def command(
    data: str | None,
    saved: Saved,
    output: str | None,
    horizon: int | None,
    origin: str | None,
    future: str | None,
    as_of: str | None,
    given: Given,
) -> int:
    """Forecast the series of the fit, or those of DATA, which may have new ids.

    Nothing is trained, and nothing in the store changes.
    """
    shape, checks = given.of(OutputSettings), given.of(CheckSettings)
    from forecast.inference.forecasting import load_predictor, with_events
    from forecast.jobs.checks import age, check_age
    from forecast.jobs.instant import parse_as_of
    from forecast.jobs.output_guard import check_apart

    instant = parse_as_of(as_of)
    reading = given.of(TextSettings).model_dump(exclude_defaults=True)  # refused before any work
    if reading and data is None and future is None:
        flags = ", ".join(f"--{name}" for name in reading)
        raise UsageError(f"{flags}: it says how a table is read, and no table is; name DATA, or leave it out")
    events = given.of(TableSettings).events
    tables = {"the table that is read": data, "the table of --future": future, "the table of --events": events}
    check_apart(output, tables, saved.artifact)
    source, shards = Continued(data, future, origin, horizon), shards_of(given)
    if shards is not None:
        refuse_sharded(source, output, shape)
    where = given.of(TrainSettings)
    predictor = with_events(load_predictor(saved.artifact, saved.version, where.device, where.engine), events)

    def look(newest: int, schema: "Schema") -> None:
        check_age(age(newest, schema, instant), checks, data or saved.artifact)

    if shards is not None and output is not None:
        return put_sharded(predictor, source, given, shape, output, instant)
    code = predict_and_write(predictor, source, given, shape, checks, look, output)
    if code == 0:
        more = {"--version": saved.version, "--future": future, "--origin": origin}
        again = [word for flag, value in more.items() if value is not None for word in (flag, value)]
        say_next("plot", data, *named(saved.artifact), *again, *given.words(TableSettings, TextSettings))
    return code
