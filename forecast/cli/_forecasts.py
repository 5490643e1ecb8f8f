"""Forecast by a saved forecaster or at once, write a table of forecasts, and say what it lacks."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from forecast.cli._console import say, say_lines, steps_bar
from forecast.cli._data import load, write, write_all
from forecast.cli._options import Given
from forecast.errors import UsageError
from forecast.settings import CheckSettings, OutputSettings, TableSettings, TextSettings, TrainSettings

if TYPE_CHECKING:
    from forecast.inference.fitted import Fitted
    from forecast.inference.forecasting import Forecasts, Wanted
    from forecast.inference.predictor import Predictor
    from forecast.panel.panel import Panel
    from forecast.panel.schema import Schema
    from forecast.tables.table import Table

    Look = Callable[[int, Schema], None]  # grid position of the newest value, and how the table was read
    Choose = Callable[[Panel], Wanted]

CHANGED = ("strict", "on_duplicate", "date_format")  # settings of a table that a saved forecaster accepts
COVARIATES = ("known", "past", "static")  # which a network would have to learn


@dataclass(frozen=True)
class Continued:
    """What a saved forecaster continues.

    Attributes
    ----------
    data : the table; None for the series of the fit
    future : the table with future values of known covariates
    origin : the time of the table to forecast from
    horizon : fewer steps than at fit
    """

    data: str | None
    future: str | None
    origin: str | None
    horizon: int | None


def schema_as_fitted(predictor: "Predictor", given: Given) -> "tuple[Schema, TextSettings]":
    """How a saved forecaster reads a table, and a text."""
    changed = set(CHANGED) & set(given.values)
    how = given.of(TableSettings).model_dump(include=changed)
    schema = predictor.fitted.config.table.model_copy(update=how)
    return schema, given.reading(schema.reading)


def read_as_fitted(
    predictor: "Predictor", data: str | None, future: str | None, given: Given
) -> "tuple[Schema, Table | None, Table | None]":
    """How a saved forecaster reads, the table to forecast, and that of future values; None where none is named."""
    from forecast.reading.tidying import tidied
    from forecast.tables.files import load_future

    schema, text = schema_as_fitted(predictor, given)
    table = None if data is None else load(data, text)[0]
    return schema, table, None if future is None else tidied(load_future(future, text))


def predicted(
    predictor: "Predictor",
    source: Continued,
    given: Given,
    shape: OutputSettings,
    look: "Look | None" = None,
    choose: "Choose | None" = None,
) -> "Forecasts":
    """Forecasts of a saved forecaster.

    Parameters
    ----------
    look : is called before anything is forecast
    choose : says what is forecast of the panel; default all
    """
    from forecast.inference.forecasting import forecast_table

    schema, table, later = read_as_fitted(predictor, source.data, source.future, given)

    def see(panel: "Panel") -> "Wanted | None":
        if look is not None:
            look(panel.newest, schema)
        return None if choose is None else choose(panel)

    with steps_bar("forecasts", "series") as predictor.on_windows:
        return forecast_table(
            predictor,
            table,
            schema=schema,
            future=later,
            origin=source.origin,
            horizon=source.horizon,
            output=shape,
            on_panel=see,
        )


def predict_and_write(
    predictor: "Predictor",
    source: Continued,
    given: Given,
    shape: OutputSettings,
    checks: CheckSettings,
    look: "Look",
    output: str | None,
) -> int:
    """Forecast by a saved forecaster, write the forecasts, and say what they lack; returns the exit code.

    A large table goes part by part, unless something is wrong with it: read as a whole, it is refused with all that is
    to be said, or makes up for it.
    """
    from forecast.errors import BadData, Unavailable

    trouble: BadData | UsageError | None = None
    try:
        skipped = _write_in_parts(predictor, source, given, shape, look, output)
    except (BadData, UsageError) as error:
        skipped, trouble = None, error
    if skipped is not None:
        return say_written(skipped, predictor.fitted, shape, checks)
    try:
        forecasts = predicted(predictor, source, given, shape, look)
    except Unavailable:
        if trouble is not None:
            raise trouble from None  # the whole does not fit into memory
        raise
    return put_forecasts(forecasts, predictor.fitted, shape, checks, output)


def _write_in_parts(
    predictor: "Predictor", source: Continued, given: Given, shape: OutputSettings, look: "Look", output: str | None
) -> "dict[tuple[str, ...], str] | None":
    """Forecast a large table part by part; returns the series without forecasts, or None if it goes only as a whole."""
    from forecast.inference.large import large_forecasts
    from forecast.tables.frames import frames_of
    from forecast.tables.writing import guard_formulas

    if source.data is None or source.future is not None or source.origin is not None:
        return None
    schema, text = schema_as_fitted(predictor, given)
    found = large_forecasts(predictor, source.data, text, schema, source.horizon, shape)
    if found is None:
        return None
    look(found.work.newest, schema)
    with steps_bar("forecasts", "series") as predictor.on_windows:
        frames = frames_of(found.columns(), found.work.table.name)
        write_all((guard_formulas(each, schema.ids) for each in frames) if shape.excel_safe else frames, output)
    return found.skipped


def at_once(
    data: str, given: Given, shape: OutputSettings, look: "Look | None" = None, choose: "Choose | None" = None
) -> "tuple[Forecasts, Fitted]":
    """Forecasts of the pretrained network and the quick baselines, and what they are made of.

    Parameters
    ----------
    look : is called before anything is forecast
    choose : says what is forecast of the panel; default all
    """
    from forecast.engine.stages import fit_panel
    from forecast.ensemble.names import PRETRAINED
    from forecast.inference.forecasting import forecast_table
    from forecast.inference.predictor import Predictor
    from forecast.inference.summary import describe_fit
    from forecast.reading.reading import check_to_fit, describe_reading, read
    from forecast.tables.writing import output_columns

    for name in COVARIATES:
        if given.values.get(name):
            raise UsageError(f"--{name}: nothing is learned here; `forecast fit` uses covariates")
    settings = given.of(TrainSettings, {"model": PRETRAINED})
    table, defaults = load(data, given.of(TextSettings))
    how = given.of(TableSettings, defaults)
    reading = read(table, how, horizon=settings.horizon, reserved=output_columns(shape))
    check_to_fit(reading)
    say_lines(describe_reading(reading))
    if look is not None:
        look(reading.panel.newest, reading.schema)
    predictor = Predictor(fit_panel(reading.panel, reading.schema, settings, reading.name), settings.device)
    with steps_bar("forecasts", "series") as predictor.on_windows:
        forecasts = forecast_table(predictor, output=shape, on_panel=choose)
    say_lines(describe_fit(predictor.fitted))
    return forecasts, predictor.fitted


def put_forecasts(
    forecasts: "Forecasts", fitted: "Fitted", shape: OutputSettings, checks: CheckSettings, output: str | None
) -> int:
    """Write forecasts to stdout or a file, and report series without one; returns the exit code."""
    from forecast.tables.frames import frame_of
    from forecast.tables.writing import guard_formulas

    frame = frame_of(forecasts.columns)
    write(guard_formulas(frame, fitted.config.table.ids) if shape.excel_safe else frame, output)
    return say_written(forecasts.skipped, fitted, shape, checks)


def say_written(
    skipped: dict[tuple[str, ...], str], fitted: "Fitted", shape: OutputSettings, checks: CheckSettings
) -> int:
    """Report what forecasts were made of where that is asked for, and series without one; returns the exit code."""
    from forecast.errors import INCOMPLETE
    from forecast.inference.summary import ranking_of
    from forecast.jobs.checks import without_forecast
    from forecast.panel.naming import series_names

    if shape.explain:
        say_lines(ranking_of(fitted))
    lost = without_forecast(skipped, checks.require_all)
    if lost:
        say(f"{len(lost)} series got no forecast: {series_names(lost, 10)}", "warning")
    return INCOMPLETE if lost else 0
