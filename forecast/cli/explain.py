"""Say what forecasts rest on, and what they are made of."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.cli._command import Request, named
from forecast.cli._console import log, put_json, put_numbers, steps_bar, suggest
from forecast.cli._data import load, load_later
from forecast.cli._forecasts import Saved
from forecast.inference.forecasting import panel_to_forecast
from forecast.panel.naming import series_name
from forecast.report.explanation import PARTS, explain_panel
from forecast.settings import ExplainSettings, PictureSettings


def run(request: Request) -> None:
    settings = request.of(ExplainSettings)
    data = request.data
    future = request.future
    names = request.of(PictureSettings).series
    saved = Saved(request)
    schema = saved.schema
    table = None if data is None else load(data, saved.text)[0]
    later = load_later(future, saved.text)
    panel = panel_to_forecast(saved.fitted, table, later)
    with steps_bar("explain", "inputs") as on_part:
        place = future or data or "the saved table"
        shown = None if request.as_json and not names else names
        found = explain_panel(
            saved.predictor, panel, settings, place, future is not None, on_part, shown
        )
    horizon = len(found.parts) // len(found.ids)
    if request.as_json:
        parts = found.parts.to_dict("records")
        put_json({"importance": found.importance.to_dict("records"), "parts": parts}, indent=1)
        return
    if len(found.importance):
        texts = found.importance[["input", "kind"]]
        numbers = found.importance[["mean", "std"]].to_numpy()
        title = "all series together" if len(panel) > 1 else ""
        put_numbers(
            ("input", "kind", "error grows by", "+/-"),
            2,
            _cells(texts, numbers, numbers[:, 0], 3),
            title,
        )
    for i, ids in enumerate(found.ids if horizon else ()):
        rows = found.parts[i * horizon : (i + 1) * horizon]
        times = rows[list(schema.time)]
        numbers = rows[list(PARTS)].to_numpy()
        put_numbers(
            (*times, *PARTS), times.shape[1], _cells(times, numbers, numbers, 5), series_name(ids)
        )
    if (count := int((~panel.skipped).sum())) > 1 and horizon and not names:
        log(f"series   1 of {count:,}; --series names others, --json has all")
    suggest("plot", data, *named(request.store))


def _cells(
    texts: Any, numbers: NDArray[Any], largest: NDArray[Any], digits: int
) -> list[list[str]]:
    """Rows of texts and numbers; a number that is tiny beside the largest is 0."""
    least = 1e-6 * np.abs(largest).max()
    cells = list[list[str]]()
    for row, found in zip(texts.itertuples(index=False), numbers, strict=True):
        cells.append(
            [
                *map(str, row),
                *(f"{value:.{digits}g}" if abs(value) > least else "0" for value in found),
            ]
        )
    return cells
