"""Write a table of forecasts, and say what it lacks."""

from typing import TYPE_CHECKING

from forecast.cli._console import say, say_lines
from forecast.cli._data import write
from forecast.settings import CheckSettings, OutputSettings

if TYPE_CHECKING:
    from forecast.inference.fitted import Fitted
    from forecast.inference.forecasting import Forecasts


def put_forecasts(
    forecasts: "Forecasts", fitted: "Fitted", shape: OutputSettings, checks: CheckSettings, output: str | None
) -> int:
    """Write forecasts to stdout or a file, and report series without one; returns the exit code."""
    from forecast.errors import INCOMPLETE
    from forecast.inference.summary import ranking_of
    from forecast.jobs.checks import without_forecast
    from forecast.panel.naming import series_names
    from forecast.tables.frames import frame_of
    from forecast.tables.writing import guard_formulas

    frame = frame_of(forecasts.columns)
    write(guard_formulas(frame, fitted.config.table.ids) if shape.excel_safe else frame, output)
    if shape.explain:
        say_lines(ranking_of(fitted))
    lost = without_forecast(forecasts.skipped, checks.require_all)
    if lost:
        say(f"{len(lost)} series got no forecast: {series_names(lost, 10)}", "warning")
    return INCOMPLETE if lost else 0
