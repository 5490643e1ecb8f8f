"""Forecast a table at once: nothing is trained, and nothing is saved."""

from forecast.cli._command import AS_OF, WRITE_TABLE, Command, options_of, table_argument
from forecast.settings import CheckSettings, OutputSettings, TableSettings, TextSettings, TrainSettings

command = Command(
    "now",
    """Forecast DATA by the pretrained network and the quick baselines, weighed on the past of DATA.

    DATA is a CSV, .csv.gz, .xlsx, .ods or Parquet file, a folder of Parquet files, - for stdin, or synth:KIND.
    Nothing is trained or saved; `forecast fit` does both, and takes covariates.
    """,
    [
        table_argument("data"),
        WRITE_TABLE,
        AS_OF,
        OutputSettings,
        CheckSettings,
        TableSettings,
        TextSettings,
        *options_of(TrainSettings, "horizon"),
    ],
    "forecast now sales.csv --output forecasts.csv",
    "forecast now sales.csv --horizon 14 --levels 50,90",
    "forecast now synth:seasonal",
)
