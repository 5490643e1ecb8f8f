"""Show a saved forecaster, or how a table would be read."""

from forecast.cli._command import ARTIFACT, OUTPUT, VERSION, Command, Option, options_of, table_argument
from forecast.settings import TableSettings, TextSettings, TrainSettings

command = Command(
    "inspect",
    """Show the live forecaster of a store; with DATA, show how that table would be read, without fitting.

    DATA may also be a pipeline file (.toml), which names the store of its job.
    """,
    [
        table_argument("data", required=False),
        TableSettings,
        TextSettings,
        *options_of(TrainSettings, "horizon", "lookback"),
        ARTIFACT,
        VERSION,
        Option("--json", "print one JSON object", OUTPUT, name="as_json"),
    ],
    "forecast inspect sales.csv",
    "forecast inspect --artifact shops",
    "forecast inspect --json",
)
