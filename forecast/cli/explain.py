"""Say what forecasts rest on, and what they are made of."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.cli._command import Request, named
from forecast.cli._console import log, put_json, put_numbers, steps_bar, suggest
from forecast.cli._forecasts import read_as_fitted
from forecast.inference.forecasting import load_predictor, panel_to_forecast, with_events
from forecast.panel.naming import series_name
from forecast.report.explanation import PARTS, explain_panel
from forecast.settings import STORE, ExplainSettings, PictureSettings, TableSettings, TextSettings, TrainSettings

ROUNDING = 1e-6  # of the largest number: less is shown as 0


def run(request: Request) -> None:
    settings, where, data, future = request.of(ExplainSettings), request.of(TrainSettings), request.data, request.future
    names, _ = request.of(PictureSettings).series, request.of(TextSettings)  # refused before any work
    store = request.artifact or STORE.store
    predictor = load_predictor(store, request.version, where.device, where.engine)
    predictor = with_events(predictor, request.of(TableSettings).events)
    schema, table, later = read_as_fitted(predictor, request)
    panel = panel_to_forecast(predictor.fitted, table, schema, later)
    with steps_bar("explain", "inputs") as on_part:
        place = future or data or "the saved table"
        shown = None if request.as_json and not names else names
        found = explain_panel(predictor, panel, settings, place, future is not None, on_part, shown)
    horizon = len(found.parts) // len(found.ids)
    if request.as_json:
        parts = found.parts.to_dict("records")
        put_json({"importance": found.importance.to_dict("records"), "parts": parts}, indent=1)
        return
    if len(found.importance):
        texts, numbers = found.importance[["input", "kind"]], found.importance[["mean", "std"]].to_numpy()
        title = "all series together" if len(panel) > 1 else None
        put_numbers(("input", "kind", "error grows by", "+/-"), 2, _cells(texts, numbers, numbers[:, 0], 3), title)
    for i, ids in enumerate(found.ids if horizon else ()):
        rows = found.parts[i * horizon : (i + 1) * horizon]
        times, numbers = rows[list(schema.time)], rows[list(PARTS)].to_numpy()
        put_numbers((*times, *PARTS), times.shape[1], _cells(times, numbers, numbers, 5), series_name(ids))
    if (count := int((~panel.skipped).sum())) > 1 and horizon and not names:
        log(f"series   1 of {count:,}; --series names others, --json has all")
    suggest("plot", data, *named(store))


def _cells(texts: Any, numbers: NDArray[Any], largest: NDArray[Any], digits: int) -> list[list[str]]:
    """Rows of texts and numbers; a number that is tiny beside the largest is 0."""
    least = ROUNDING * np.abs(largest).max()
    return [
        [*map(str, row), *(f"{number:.{digits}g}" if abs(number) > least else "0" for number in found)]
        for row, found in zip(texts.itertuples(index=False), numbers, strict=True)
    ]
