"""The command `now`: forecast a table at once, without training or saving anything."""

from dataclasses import replace

from forecast.calendar.spec import parse_as_of
from forecast.cli._command import REFUSED, Request
from forecast.cli._console import log_lines, steps_bar, suggest
from forecast.cli._data import check_outputs, load_later
from forecast.cli._forecasts import build_question, path_file, put_forecast
from forecast.engine.fit import fit, read_to_fit
from forecast.engine.forecast import forecast
from forecast.engine.requests import Callbacks, FitRequest, Forecast, ForecastRequest, TableFile
from forecast.ensemble.names import PRETRAINED
from forecast.inference.fitted import describe_fit
from forecast.inference.predictor import Predictor
from forecast.jobs.checks.age import age, check_age
from forecast.panel.comparing import require_known
from forecast.panel.infer import Reading
from forecast.settings import (
    CheckSettings,
    OutputSettings,
    SumSettings,
    TableSettings,
    TextSettings,
    TrainSettings,
)
from forecast.tables.writing import check_output, output_columns
from forecast.totals.periods import checked_levels
from forecast.totals.sums import sum_columns


def run(request: Request) -> int:
    checks = request.read_group(CheckSettings)
    instant = parse_as_of(request.as_of)
    check_outputs(
        request, request.output, request.totals, request.override_sheet, path_file(request)
    )
    check_output(request.output)
    check_output(request.totals)
    question = build_question(request)
    reading = read_to_forecast(request)
    check_age(age(reading.panel.newest, reading.schema, instant), checks, request.data)
    code = put_forecast(at_once(reading, request, question), request)
    if code == 0:
        suggest(*request.fit_words())
    return code


def read_to_forecast(request: Request) -> Reading:
    request.refuse("nothing learns from it here", "`forecast fit` uses it", *REFUSED["now"])
    text = request.read_group(TextSettings)
    asked = FitRequest(
        TableFile(request.data, text),
        _settings(request),
        request.read_group(TableSettings),
        reserved=tuple(output_columns(request.read_group(OutputSettings))),
        periods=request.read_group(SumSettings).sum_every,
        future=load_later(request.future, text),
        callbacks=Callbacks(on_read=log_lines),
        saves=False,
    )
    reading = read_to_fit(asked)
    require_known(reading.panel, reading.schema, reading.panel.ahead, reading.name, saved=False)
    if request.sums is not None:  # before any work
        checked_levels(
            request.sums, reading.schema, sum_columns(request.read_group(OutputSettings))
        )
    return reading


def at_once(reading: Reading, request: Request, question: ForecastRequest) -> Forecast:
    """Forecast by the pretrained network and the quick baselines."""
    settings = _settings(request)
    with steps_bar("compare", "baselines", after=2.0) as on_baseline:
        asked = FitRequest(
            reading,
            settings,
            callbacks=Callbacks(on_baseline=on_baseline),
            sums=any((question.sums, question.paths, question.orders)),
            saves=False,
        )
        fitted = fit(asked)
    predictor = Predictor(fitted, settings.device)
    with steps_bar("forecasts", "series") as on_series:
        answer = forecast(predictor, replace(question, on_series=on_series))
    log_lines(describe_fit(fitted))
    return answer


def _settings(request: Request) -> TrainSettings:
    return request.read_group(TrainSettings, {"model": PRETRAINED})
