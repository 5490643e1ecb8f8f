"""The command `explain`: the parts that forecasts consist of."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.cli._command import Request, name_artifact
from forecast.cli._console import log, put_json, put_numbers, suggest
from forecast.cli._data import load, load_later
from forecast.cli._forecasts import Saved
from forecast.inference.forecasting import panel_to_forecast
from forecast.panel.panel import series_name
from forecast.report.explanation import FORECAST_PARTS, Explanation, explain_panel
from forecast.settings import PictureSettings

LEAST_SHOWN = 1e-6  # a number below this share of the largest one is shown as 0


def run(request: Request) -> None:
    data = request.data
    future = request.future
    names = request.read_group(PictureSettings).series
    saved = Saved(request)
    table = None if data is None else load(data, saved.text)
    panel = panel_to_forecast(saved.fitted, table, load_later(future, saved.text))
    shown = None if request.as_json and not names else names
    source = future or data or "the saved table"
    explanation = explain_panel(saved.predictor, panel, source, shown)
    if request.as_json:
        put_json({"parts": explanation.parts.to_dict("records")}, indent=1)
        return
    series = int((~panel.skipped).sum())
    _put_parts(explanation, saved.schema.time)
    if series > 1 and not names:
        log(f"series   1 of {series:,}; --series names others, --json has all")
    suggest("plot", data, *name_artifact(request.store))


def _put_parts(explanation: Explanation, time: tuple[str, ...]) -> None:
    """Print a table for each series, with a row for each step."""
    horizon = len(explanation.parts) // len(explanation.ids)
    for number, ids in enumerate(explanation.ids):
        rows = explanation.parts[number * horizon : (number + 1) * horizon]
        numbers = rows[list(FORECAST_PARTS)].to_numpy()
        cells = _cells(rows[list(time)], numbers)
        put_numbers((*time, *FORECAST_PARTS), len(time), cells, series_name(ids))


def _cells(texts: Any, numbers: NDArray[Any]) -> list[list[str]]:
    """Rows of texts and numbers; a number that is tiny beside the largest is shown as 0."""
    least = LEAST_SHOWN * np.abs(numbers).max()
    rows = []
    for words, values in zip(texts.itertuples(index=False), numbers, strict=True):
        shown = [f"{value:.5g}" if abs(value) > least else "0" for value in values]
        rows.append([*map(str, words), *shown])
    return rows
