"""Say what forecasts rest on, and what they are made of."""

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from forecast.cli._command import Request, named
from forecast.cli._console import cell, log, put_json, put_table, steps_bar, suggest
from forecast.cli._forecasts import read_as_fitted
from forecast.inference.forecasting import load_predictor, panel_to_forecast, with_events
from forecast.inference.predictor import Predictor
from forecast.panel.naming import find_series, series_name
from forecast.report.explanation import NAMES, Explanation, explained
from forecast.settings import STORE, ExplainSettings, PictureSettings, TableSettings, TextSettings, TrainSettings
from forecast.tables.frames import frame_of

ROUNDING = 1e-6  # of the largest number: less is shown as 0
DIGITS = 3, 5  # of an importance, and of a part


def run(
    data: str | None, artifact: str | None, version: str | None, future: str | None, as_json: bool, request: Request
) -> None:
    """Print the importance of inputs, and the parts of forecasts."""
    wanted, where = request.of(ExplainSettings), request.of(TrainSettings)
    request.of(TextSettings), request.of(PictureSettings)  # refused before any work
    store = artifact or STORE.store
    predictor = load_predictor(store, version, where.device, where.engine)
    predictor = with_events(predictor, request.of(TableSettings).events)
    schema, table, later = read_as_fitted(predictor, data, future, request)
    panel = panel_to_forecast(predictor.fitted, table, schema, later)
    for each in request.of(PictureSettings).series:
        find_series(panel.ids, each)  # refused before the work
    name = "the saved table" if data is None else data
    with steps_bar("explain", "inputs") as on_part:
        found = explained(predictor, panel, wanted, future or name, future is not None, on_part)
    if as_json:
        put_json(_records(found, predictor, request.of(PictureSettings).series), indent=1)
        return
    _print_importance(found)
    _print_parts(found, predictor, request.of(PictureSettings).series)
    suggest("plot", data, *named(store))


def _records(found: Explanation, predictor: Predictor, series: tuple[str, ...]) -> dict[str, Any]:
    """The importance of all inputs, and the parts of the series that are named, or of all."""
    parts = frame_of(found.columns(predictor))
    if series and found.parts is not None:
        horizon = found.parts.median.shape[1]
        rows = [row for place in _places(found, series) for row in range(place * horizon, (place + 1) * horizon)]
        parts = parts.iloc[rows]
    return {"importance": [vars(one) for one in found.importance], "parts": parts.to_dict("records")}


def _places(found: Explanation, series: tuple[str, ...]) -> list[int]:
    """The series that are named, by their places among those with parts."""
    ids = tuple(found.panel.ids[i] for i in found.series)
    return [find_series(ids, name) for name in series]


def _short(number: float, largest: float, digits: int) -> str:
    return f"{number:.{digits}g}" if abs(number) > ROUNDING * largest else "0"


def _print_importance(found: Explanation) -> None:
    if not found.importance:
        return
    title = "all series together" if len(found.panel) > 1 else None
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), title=title, title_justify="left")
    for name in ("input", "kind"):
        table.add_column(name)
    for name in ("error grows by", "+/-"):
        table.add_column(name, justify="right", no_wrap=True)
    largest = max((abs(one.mean) for one in found.importance), default=0.0)
    for one in found.importance:
        table.add_row(
            cell(one.input), cell(one.kind), *(_short(each, largest, DIGITS[0]) for each in (one.mean, one.std))
        )
    put_table(table)


def _print_parts(found: Explanation, predictor: Predictor, series: tuple[str, ...]) -> None:
    """The parts of one series, or of those that are named."""
    if found.parts is None:
        return
    ids = [found.panel.ids[i] for i in found.series]
    chosen = _places(found, series) or [0]
    rows, horizon = frame_of(found.columns(predictor)), found.parts.median.shape[1]
    schema = predictor.fitted.config.table
    times = [name for name in rows if name not in NAMES and name not in schema.ids]
    for place in chosen:
        table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), title=cell(series_name(ids[place])), title_justify="left")
        for name in times:
            table.add_column(cell(name), no_wrap=True)
        for name in NAMES:
            table.add_column(name, justify="right", no_wrap=True)
        own = rows.iloc[place * horizon : (place + 1) * horizon]
        largest = float(own[list(NAMES)].abs().to_numpy().max())
        for row in own[[*times, *NAMES]].itertuples(index=False):
            table.add_row(
                *map(cell, row[: len(times)]), *(_short(number, largest, DIGITS[1]) for number in row[len(times) :])
            )
        put_table(table)
    if len(ids) > len(chosen) and not series:
        log(f"series   1 of {len(ids):,}; --series names others, --json has all")
