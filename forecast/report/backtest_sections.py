"""What a backtest found, as a verdict and as sections of a report: errors by model, step and series, and coverage."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from forecast.errors import BadData
from forecast.evaluation.measures import REFERENCE
from forecast.panel.naming import series_name
from forecast.report.page import MOST_LINES, LineChart, Section, Table
from forecast.settings import INTERVALS

Row = Mapping[str, Any]
Ids = tuple[str, ...]

TABLES = ("overall", "by_series", "by_step")
SUMS = "totals"  # the table of sums, where there are some
NAMED = 3  # series that the verdict names
WORST = 20  # series that a table lists
ERROR = "mase"
ROUNDING = 1e-9  # a MASE below it is that of an exact forecast
NARROW = 0.75  # share of values in 80 % intervals, below which it is called too small
MAX_MEASURE = 1e300  # what is not below it is no measure
HEADS = {"skill": "skill", ERROR: "MASE", "rmsse": "RMSSE", "smape": "sMAPE", "wape": "WAPE", "wql": "WQL"}
COVERED = {"coverage_80": "in 80 %", "coverage_95": "in 95 %", "msis": "MSIS"}


class BacktestTables:
    """The content of a file that `forecast backtest` wrote, called `name`; `BadData` if it has no such tables.

    `origins` are the times from which it forecast, `seen` those whose actual values a saved forecaster had seen at its
    fit; `model` is the first model that is not the reference, if there is one.
    """

    def __init__(self, found: object, name: str) -> None:
        whole: Mapping[str, Any] = found if isinstance(found, Mapping) else {}
        usable = all(isinstance(whole.get(table), list) and whole[table] for table in (*TABLES, "origins"))
        if not usable or not all(_is_row(row) for table in TABLES for row in whole[table]):
            cure = "name a .json file that `forecast backtest` wrote as its output"
            raise BadData("has no measures of a backtest", place=name, cure=cure)
        self.tables: dict[str, list[Row]] = {table: whole[table] for table in TABLES}
        sums = whole.get(SUMS)
        self.tables[SUMS] = list(filter(_is_row, sums)) if isinstance(sums, list) else []
        self.models: list[str] = [row["model"] for row in whole["overall"]]
        self.model = next((model for model in self.models if model != REFERENCE), self.models[0])
        self.origins = tuple(map(str, whole["origins"]))
        self.seen: int = whole["seen"] if isinstance(whole.get("seen"), int) else 0
        self.steps = len(self.rows("by_step"))
        self.ids = {_ids(row) for row in self.rows("by_series")}
        errors = {_ids(row): _number(row, ERROR) for row in self.rows("by_series")}
        self.errors = {ids: error for ids, error in errors.items() if error is not None}

    def rows(self, table: str, model: str | None = None) -> list[Row]:
        """The rows of a model; default the one that the report is on."""
        return [row for row in self.tables[table] if row["model"] == (model or self.model)]


def verdict_of(found: BacktestTables) -> str:
    """How good the forecasts were, in a sentence."""
    whole = found.rows("overall")[0]
    skill, error = _number(whole, "skill"), _number(whole, ERROR)
    naive = _number(next(iter(found.rows("overall", REFERENCE)), {}), ERROR)
    origins = f"{len(found.origins)} origin{'s' * (len(found.origins) != 1)}"
    if found.model == REFERENCE:
        text = f"Seasonal naive alone was tested on {origins}"
    elif error is not None and naive is not None and naive < ROUNDING:
        exact = f"Exact on {origins}, as seasonal naive is"
        text = exact if error < ROUNDING else f"MASE {error:.3g} on {origins}, where seasonal naive is exact"
    elif skill is None:
        text = f"No error can be compared with that of seasonal naive on {origins}"
    else:
        share = "over 99" if 0.995 < skill < 1 else f"{abs(round(100 * skill)):,}"
        text = f"{share} % {'less' if skill >= 0 else 'more'} error than seasonal naive on {origins}"
        text = f"The same error as seasonal naive on {origins}" if round(100 * skill) == 0 else text
        text += _worse(found) if skill > 0 else ""
    shares = "; ".join(filter(None, (_held([whole]), _held(found.rows(SUMS), " of sums"))))
    prefix = f"{found.model}: " if len(found.models) > 2 else ""
    seen = f"; at its fit it had seen the values of {found.seen} of them" if found.seen else ""
    return f"{prefix}{text}{f'; {shares}' if shares else ''}{seen}"


def _held(rows: Sequence[Row], what: str = "") -> str:
    """How many values the intervals held; a row of measures of sums counts as often as it has sums."""
    held = dict[float, float]()
    for level in INTERVALS:
        pairs = [(_number(row, f"coverage_{level:g}"), _number(row, "sums") or 1.0) for row in rows]
        if known := [(part, count) for part, count in pairs if part is not None]:
            held[level] = sum(part * count for part, count in known) / sum(count for _, count in known)
    shares = ", ".join(f"{level:g} % intervals{what} held {100 * part:.0f} %" for level, part in held.items())
    return shares + (", too few" if held.get(INTERVALS[0], 1.0) < NARROW else "")


def _worse(found: BacktestTables) -> str:
    """The series that are forecast worse than by seasonal naive, if there are several series and not all are."""
    skills = {series_name(_ids(row)): _number(row, "skill") for row in found.rows("by_series")}
    worse = [name for name, skill in skills.items() if skill is not None and skill < 0]
    if not worse or len(worse) == len(skills):
        return ""
    more = f" and {len(worse) - NAMED:,} more" if len(worse) > NAMED else ""
    return f", but more for {len(worse):,} of {len(skills):,} series ({', '.join(worse[:NAMED])}{more})"


def error_section(found: BacktestTables) -> Section:
    first, last = found.origins[0], found.origins[-1]
    text = f"Forecasts from {len(found.origins)} origins, {first} to {last}, compared with the actual values. "
    text += "Skill is the error reduction against seasonal naive; the unit of MASE is the error of seasonal naive "
    text += "before the oldest origin."
    if found.seen:
        text += " The saved forecaster had seen values that it is compared with, so that these errors may be too small."
    models = found.models[:MOST_LINES]
    lines = {model: [_number(row, ERROR) for row in found.rows("by_step", model)] for model in models}
    chart = LineChart("MASE by step of the horizon", "step", ("1", str(found.steps)), lines)
    by_step = [row for row in found.tables["by_step"] if row["model"] in models]
    numbers = _table("Numbers by step", by_step, ("step", "model"), {ERROR: "MASE", **COVERED}, folded=True)
    overall = _table("By model", found.tables["overall"], ("model",), HEADS)
    return Section("Errors in the past", (text, overall, chart, numbers, *_by_series(found)))


def coverage_section(found: BacktestTables) -> Section:
    title = f"Share of values inside the intervals of {found.model}, by step of the horizon"
    rows, targets = found.rows("by_step"), tuple(level / 100 for level in INTERVALS)
    lines = {f"{level:g} %": [_number(row, f"coverage_{level:g}") for row in rows] for level in INTERVALS}
    text = "Share of the actual values inside the intervals; it should be near 0.8 and 0.95. MSIS weighs the width of "
    text += "the 95 % intervals and their misses: lower is better."
    overall = _table("By model", found.tables["overall"], ("model",), COVERED)
    chart = LineChart(title, "step", ("1", str(found.steps)), lines, targets)
    return Section("Coverage of the intervals", (text, overall, chart))


def _by_series(found: BacktestTables) -> tuple[str | Table, ...]:
    """How the errors of series differ, and the largest."""
    rows, errors = found.rows("by_series"), list(found.errors.values())
    if len(rows) < 2 or not errors:
        return ()
    skills = [skill for row in rows if (skill := _number(row, "skill")) is not None]
    middle, high = np.quantile(errors, [0.5, 0.9])
    text = f"Half of the {len(errors):,} series have a MASE below {middle:.3g}, one in ten above {high:.3g}"
    if skills and found.model != REFERENCE:
        better = sum(skill > 0 for skill in skills)
        text += f"; {better:,} of {len(skills):,} are forecast better than by seasonal naive"
    worst = sorted(rows, key=lambda row: -(_number(row, ERROR) or 0.0))[:WORST]
    cells = tuple((series_name(_ids(row)), *(_number(row, name) for name in (*HEADS, "coverage_95"))) for row in worst)
    caption = "The series with the largest errors" if len(rows) > WORST else "By series, the largest error first"
    return f"{text}.", Table(caption, ("series", *HEADS.values(), "in 95 %"), cells)


def _table(
    caption: str, rows: Sequence[Row], keys: tuple[str, ...], heads: dict[str, str], folded: bool = False
) -> Table:
    there = {name: head for name, head in heads.items() if any(name in row for row in rows)}
    cells = tuple((*(str(row.get(key, "")) for key in keys), *(_number(row, name) for name in there)) for row in rows)
    return Table(caption, (*keys, *there.values()), cells, folded)


def _is_row(row: object) -> bool:
    return isinstance(row, Mapping) and isinstance(row.get("model"), str) and "skill" in row


def _ids(row: Row) -> Ids:
    """The ids of a row of measures by series: what stands before the model."""
    names = list(row)
    return tuple(str(row[name]) for name in names[: names.index("model")])


def _number(row: Row, name: str) -> float | None:
    value = row.get(name)
    return float(value) if isinstance(value, int | float) and -MAX_MEASURE < value < MAX_MEASURE else None
