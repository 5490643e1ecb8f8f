"""Forecast a table at once: nothing is trained, and nothing is saved."""

from forecast.artifacts.store import check_apart
from forecast.calendar.spec import parse_as_of
from forecast.checks.table import age, check_age
from forecast.cli._command import REFUSED, Request
from forecast.cli._console import log_lines, steps_bar, suggest
from forecast.cli._data import load
from forecast.cli._forecasts import Choose, put_forecasts
from forecast.cli._sums import path_file, sums_asked, sums_of
from forecast.engine.stages import PanelFit
from forecast.ensemble.names import PRETRAINED
from forecast.errors import UsageError
from forecast.inference.fitted import describe_fit
from forecast.inference.forecasting import Forecasts, forecast_table
from forecast.inference.predictor import Predictor
from forecast.reading.comparing import require_known
from forecast.reading.reading import Reading, check_to_fit, describe_reading, read, read_as
from forecast.settings import CheckSettings, OutputSettings, SumSettings, TableSettings, TextSettings, TrainSettings
from forecast.tables.writing import output_columns
from forecast.totals.periods import checked_levels, horizon_of_next
from forecast.totals.sums import sum_columns

PATIENCE = 2.0  # seconds without a sign of progress
LEAST_PAST = 2  # horizons that the past has where sums over periods make the horizon longer


def run(request: Request) -> int:
    data, checks, _ = request.data, request.of(CheckSettings), request.of(TextSettings)
    shape, events = request.of(OutputSettings), request.of(TableSettings).events  # refused before any work
    instant = parse_as_of(request.as_of)
    for file in (request.output, request.totals, path_file(request)):
        check_apart(file, {"the table that is read": data, "the table of --events": events})
    sums = sums_asked(request)
    reading = read_to_forecast(request, shape)
    if sums is not None:
        checked_levels(sums, reading.schema, sum_columns(shape))
    check_age(age(reading.panel.newest, reading.schema, instant), checks, data)
    forecasts, predictor = at_once(reading, request, shape, sums=sums is not None or path_file(request) is not None)
    totals = sums_of(predictor, reading.schema, request)
    code = put_forecasts(forecasts, predictor.fitted, request, totals)
    if code == 0:
        suggest(*request.fit_words())
    return code


def read_to_forecast(request: Request, shape: OutputSettings) -> Reading:
    """A table that is forecast at once, as it is read."""
    for name in REFUSED["now"]:
        if request.values.get(name):
            raise UsageError(f"--{name}: nothing learns from it here; `forecast fit` uses it")
    horizon = request.of(TrainSettings).horizon
    table, defaults = load(request.data, request.of(TextSettings))
    reading = read(table, request.of(TableSettings, defaults), horizon=horizon, reserved=output_columns(shape))
    check_to_fit(reading)
    every = request.of(SumSettings).sum_every
    if horizon is None and every:
        wanted = horizon_of_next(reading.schema, int(reading.panel.origins.max()), every)
        if reading.panel.ahead < wanted <= reading.panel.lengths.max() // LEAST_PAST:
            reading = read_as(reading, reading.schema, horizon=wanted, lookback=reading.lookback)
    log_lines(describe_reading(reading))
    require_known(reading.panel, reading.schema, reading.panel.ahead, reading.name, saved=False)
    return reading


def at_once(
    reading: Reading, request: Request, shape: OutputSettings, choose: Choose | None = None, sums: bool = False
) -> tuple[Forecasts, Predictor]:
    """Forecasts of the pretrained network and the quick baselines, and what makes them."""
    settings = request.of(TrainSettings, {"model": PRETRAINED})
    with steps_bar("compare", "baselines", PATIENCE) as on_part:
        fitted = PanelFit(reading.panel, reading.schema, settings, reading.name, on_part=on_part, sums=sums).run()
    predictor = Predictor(fitted, settings.device)
    with steps_bar("forecasts", "series") as predictor.on_windows:
        forecasts = forecast_table(predictor, output=shape, on_panel=choose)
    log_lines(describe_fit(predictor.fitted))
    return forecasts, predictor
