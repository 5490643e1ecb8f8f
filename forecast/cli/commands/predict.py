"""Forecast with a saved forecaster."""

from forecast.cli._command import ARTIFACT, AS_OF, FUTURE, OUTPUT, VERSION, Command, Option, options_of, table_argument
from forecast.settings import CheckSettings, ClusterSettings, OutputSettings, TableSettings, TextSettings, TrainSettings

command = Command(
    "predict",
    """Forecast the series of the fit, or those of DATA, which may have new ids.

    Nothing is trained, and nothing in the store changes.
    """,
    [
        table_argument("data", required=False),
        ARTIFACT,
        VERSION,
        Option("--output FILE", "write a .csv or .parquet file, with --shards a folder; default stdout", OUTPUT),
        Option("--origin TIME", "forecast from this time of DATA; later values are not used"),
        FUTURE,
        AS_OF,
        Option("--horizon", "number of steps, fewer than at fit", OutputSettings.heading, setting=True, type=int),
        OutputSettings,
        CheckSettings,
        TextSettings,
        ClusterSettings,
        *options_of(TrainSettings, "jobs", "device", "engine"),
        *options_of(TableSettings, "strict", "on_duplicate", "date_format", "events"),
    ],
    "forecast predict --output forecasts.csv",
    "forecast predict tonight.csv --artifact shops",
    "forecast predict --future prices.csv --levels 80 --integer",
    "forecast predict s3://sales/2026/ --shards 64 --output s3://forecasts/2026",
)
