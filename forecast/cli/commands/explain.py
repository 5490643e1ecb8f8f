"""Say what forecasts rest on, and what they are made of."""

from forecast.cli._command import ARTIFACT, FUTURE, OUTPUT, VERSION, Command, Option, options_of, table_argument
from forecast.settings import ExplainSettings, PictureSettings, TableSettings, TextSettings, TrainSettings

command = Command(
    "explain",
    """Explain the forecasts of a saved forecaster, of the series of the fit or those of DATA.

    Importance says by how much the mean absolute error of the newest horizons grows without an input. The parts of a
    forecast, level, season, events, known columns and rest, add up to its median.
    """,
    [
        table_argument("data", required=False),
        ExplainSettings,
        TextSettings,
        *options_of(PictureSettings, "series"),
        *options_of(TrainSettings, "device", "engine"),
        *options_of(TableSettings, "strict", "on_duplicate", "date_format", "events"),
        ARTIFACT,
        VERSION,
        FUTURE,
        Option("--json", "print everything as one JSON object", OUTPUT, name="as_json"),
    ],
    "forecast explain",
    "forecast explain tonight.csv --artifact shops",
    "forecast explain tonight.csv --series north --json",
)
