"""Train on a table and save the forecaster."""

from forecast.cli._command import ARTIFACT, RUN, Command, Option, options_of, table_argument
from forecast.settings import ClusterSettings, StoreSettings, TableSettings, TextSettings, TrainSettings

command = Command(
    "fit",
    """Train on DATA, and save the forecaster as the live version of a store.

    DATA is a CSV, .csv.gz, .xlsx, .ods or Parquet file, a folder of Parquet files, - for stdin, or synth:KIND.
    """,
    [
        table_argument("data"),
        TableSettings,
        TextSettings,
        TrainSettings,
        *options_of(StoreSettings, "keep", "wait"),
        *options_of(ClusterSettings, "cluster"),
        ARTIFACT,
        Option("--resume", "continue a fit of the same data and settings that was stopped", RUN),
        Option("--dry-run", "say what a fit would do and take; train and write nothing", RUN),
        Option("--json", "with --dry-run: print one JSON object", RUN, name="as_json", first=False),
    ],
    "forecast fit sales.csv",
    "forecast fit sales.csv --id shop --target units --horizon 28",
    "forecast fit sales.csv --known price --holidays DE --artifact shops",
    "forecast fit sales.csv --budget 600",
)
