"""Compare saved forecasts with the actual values."""

from forecast.cli._command import ARTIFACT, MEASURES, Command, table_argument
from forecast.settings import TableSettings, TextSettings

command = Command(
    "score",
    """Compare FORECAST, a table written by predict, with ACTUAL, a table of the actual values.

    The id and time columns have the same names in both tables. ACTUAL should contain the whole history: the values
    before the first forecast give MASE its unit, and seasonal naive its forecasts. If FORECAST has the columns of the
    store's forecasts, ACTUAL is read with the settings of that fit.
    """,
    [table_argument("forecast"), table_argument("actual"), TableSettings, TextSettings, ARTIFACT, *MEASURES],
    "forecast score forecasts.csv sales.csv",
    "forecast score forecasts.csv sales.csv --by series --output scores.csv",
)
