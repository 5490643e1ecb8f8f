"""Forecast a table at once: nothing is trained, and nothing is saved."""

from forecast.calendar.spec import parse_as_of
from forecast.checks.table import age, check_age
from forecast.cli._command import REFUSED, Request
from forecast.cli._console import log_lines, steps_bar, suggest
from forecast.cli._data import check_outputs, load
from forecast.cli._forecasts import Choose, path_file, put_forecasts, sums_asked, sums_of
from forecast.engine.stages import PanelFit
from forecast.ensemble.names import PRETRAINED
from forecast.inference.fitted import describe_fit
from forecast.inference.forecasting import Forecasts, forecast_table
from forecast.inference.predictor import Predictor
from forecast.reading.comparing import require_known
from forecast.reading.reading import Reading, check_to_fit, describe_reading, read
from forecast.settings import (
    CheckSettings,
    OutputSettings,
    SumSettings,
    TableSettings,
    TextSettings,
    TrainSettings,
)
from forecast.tables.writing import output_columns
from forecast.totals.periods import checked_levels, with_next_periods
from forecast.totals.sums import sum_columns


def run(request: Request) -> int:
    checks, instant = request.of(CheckSettings), parse_as_of(request.as_of)
    check_outputs(request, request.output, request.totals, path_file(request))
    sums = sums_asked(request)
    reading = read_to_forecast(request)
    if sums is not None:
        checked_levels(sums, reading.schema, sum_columns(request.of(OutputSettings)))
    check_age(age(reading.panel.newest, reading.schema, instant), checks, request.data)
    forecasts, predictor = at_once(
        reading, request, sums is not None or path_file(request) is not None
    )
    code = put_forecasts(forecasts, predictor.fitted, request, sums_of(predictor, request))
    if code == 0:
        suggest(*request.fit_words())
    return code


def read_to_forecast(request: Request) -> Reading:
    request.refuse("nothing learns from it here", "`forecast fit` uses it", *REFUSED["now"])
    horizon, reserved = (
        request.of(TrainSettings).horizon,
        output_columns(request.of(OutputSettings)),
    )
    table, defaults = load(request.data, request.of(TextSettings))
    reading = read(table, request.of(TableSettings, defaults), horizon=horizon, reserved=reserved)
    check_to_fit(reading)
    if horizon is None:
        reading = with_next_periods(reading, request.of(SumSettings).sum_every)
    log_lines(describe_reading(reading))
    require_known(reading.panel, reading.schema, reading.panel.ahead, reading.name, saved=False)
    return reading


def at_once(
    reading: Reading, request: Request, sums: bool, choose: Choose | None = None
) -> tuple[Forecasts, Predictor]:
    """Forecasts of the pretrained network and the quick baselines, and what makes them."""
    settings = request.of(TrainSettings, {"model": PRETRAINED})
    with steps_bar("compare", "baselines", after=2.0) as on_part:
        fitted = PanelFit(
            reading.panel, reading.schema, settings, reading.name, on_part=on_part, sums=sums
        ).run()
    predictor = Predictor(fitted, settings.device)
    with steps_bar("forecasts", "series") as predictor.on_windows:
        forecasts = forecast_table(predictor, output=request.of(OutputSettings), on_panel=choose)
    log_lines(describe_fit(predictor.fitted))
    return forecasts, predictor
