"""Say what forecasts rest on, and what they are made of."""

from typing import TYPE_CHECKING, Any

from forecast.cli._console import cell, put_json, put_table, say, say_next, steps_bar, style_options
from forecast.cli._forecasts import CHANGED, read_as_fitted
from forecast.cli._help import OUTPUT, file_argument, option, with_examples
from forecast.cli._options import Given, settings_options
from forecast.cli._store import Saved, named, saved_options
from forecast.settings import ExplainSettings, PictureSettings, TableSettings, TextSettings, TrainSettings

if TYPE_CHECKING:
    from forecast.inference.predictor import Predictor
    from forecast.report.explanation import Explanation

ROUNDING = 1e-6  # of the largest number: less is shown as 0
DIGITS = 3, 5  # of an importance, and of a part


@with_examples(
    "forecast explain",
    "forecast explain tonight.csv --artifact shops",
    "forecast explain tonight.csv --series north --json",
)
@file_argument("data", required=False)
@settings_options(
    ExplainSettings,
    TextSettings,
    single={
        "series": PictureSettings,
        **dict.fromkeys(("device", "engine"), TrainSettings),
        **dict.fromkeys((*CHANGED, "events"), TableSettings),
    },
)
@saved_options
@option("--future", metavar="FILE", help="table with the future values of known covariates")
@option("--json", "as_json", heading=OUTPUT, is_flag=True, help="print everything as one JSON object")
@style_options
def command(data: str | None, saved: Saved, future: str | None, as_json: bool, given: Given) -> None:
    """Explain the forecasts of a saved forecaster, of the series of the fit or those of DATA.

    Importance says by how much the mean absolute error of the newest horizons grows without an input. The parts of a
    forecast, level, season, events, known columns and rest, add up to its median.
    """
    wanted, where = given.of(ExplainSettings), given.of(TrainSettings)
    given.of(TextSettings), given.of(PictureSettings)  # refused before any work
    from forecast.inference.forecasting import load_predictor, panel_to_forecast, with_events
    from forecast.panel.naming import find_series
    from forecast.report.explanation import explained

    predictor = load_predictor(saved.artifact, saved.version, where.device, where.engine)
    predictor = with_events(predictor, given.of(TableSettings).events)
    schema, table, later = read_as_fitted(predictor, data, future, given)
    panel = panel_to_forecast(predictor.fitted, table, schema, later)
    for each in given.of(PictureSettings).series:
        find_series(panel.ids, each)  # refused before the work
    name = "the saved table" if data is None else data
    with steps_bar("explain", "inputs") as on_part:
        found = explained(predictor, panel, wanted, future or name, future is not None, on_part)
    if as_json:
        put_json(_records(found, predictor, given.of(PictureSettings).series), indent=1)
        return
    _print_importance(found)
    _print_parts(found, predictor, given.of(PictureSettings).series)
    say_next("plot", data, *named(saved.artifact))


def _records(found: "Explanation", predictor: "Predictor", series: tuple[str, ...]) -> dict[str, Any]:
    """The importance of all inputs, and the parts of the series that are named, or of all."""
    from forecast.tables.frames import frame_of

    parts = frame_of(found.columns(predictor))
    if series and found.parts is not None:
        horizon = found.parts.median.shape[1]
        rows = [row for place in _places(found, series) for row in range(place * horizon, (place + 1) * horizon)]
        parts = parts.iloc[rows]
    return {"importance": [vars(one) for one in found.importance], "parts": parts.to_dict("records")}


def _places(found: "Explanation", series: tuple[str, ...]) -> list[int]:
    """The series that are named, by their places among those with parts."""
    from forecast.panel.naming import find_series

    ids = tuple(found.panel.ids[i] for i in found.series)
    return [find_series(ids, name) for name in series]


def _short(number: float, largest: float, digits: int) -> str:
    return f"{number:.{digits}g}" if abs(number) > ROUNDING * largest else "0"


def _print_importance(found: "Explanation") -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

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


def _print_parts(found: "Explanation", predictor: "Predictor", series: tuple[str, ...]) -> None:
    """The parts of one series, or of those that are named."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from forecast.panel.naming import series_name
    from forecast.report.explanation import NAMES
    from forecast.tables.frames import frame_of

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
        say(f"series   1 of {len(ids):,}; --series names others, --json has all")
