"""Say what forecasts rest on, and what they are made of."""

from forecast.cli._console import style_options
from forecast.cli._forecasts import CHANGED
from forecast.cli._help import OUTPUT, file_argument, option, with_examples
from forecast.cli._options import Given, settings_options
from forecast.cli._store import Saved, saved_options
from forecast.settings import ExplainSettings, PictureSettings, TableSettings, TextSettings, TrainSettings


@with_examples(
    "forecast explain",
    "forecast explain tonight.csv --artifact shops",
    "forecast explain tonight.csv --series north --json",
)
@file_argument("data", required=False)
@settings_options(
    ExplainSettings,
    TextSettings,
    single={
        "series": PictureSettings,
        **dict.fromkeys(("device", "engine"), TrainSettings),
        **dict.fromkeys((*CHANGED, "events"), TableSettings),
    },
)
@saved_options
@option("--future", metavar="FILE", help="table with the future values of known covariates")
@option("--json", "as_json", heading=OUTPUT, is_flag=True, help="print everything as one JSON object")
@style_options
def command(data: str | None, saved: Saved, future: str | None, as_json: bool, given: Given) -> None:
    """Explain the forecasts of a saved forecaster, of the series of the fit or those of DATA.

    Importance says by how much the mean absolute error of the newest horizons grows without an input. The parts of a
    forecast, level, season, events, known columns and rest, add up to its median.
    """
    for group in (ExplainSettings, TrainSettings, TextSettings, PictureSettings):
        given.of(group)  # refused before any work
    from forecast.cli._explain import explain

    explain(data, saved, future, as_json, given)
