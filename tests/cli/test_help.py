"""What `forecast` says of itself."""

from collections.abc import Callable
from typing import Any


def test_forecast_alone_prints_its_help_on_lines(forecast: Callable[..., Any]) -> None:
    alone = forecast()
    assert (alone.code, alone.err) == (0, "")
    assert "\\n" not in alone.out
    assert "\n  fit       Train on a table and save the forecaster.\n" in alone.out
    assert alone.out == forecast("--help").out
