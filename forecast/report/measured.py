"""What a backtest found, as sections of a report: errors by model, step and series, and coverage."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from forecast.errors import BadData
from forecast.evaluation.measures import REFERENCE
from forecast.panel.naming import series_name
from forecast.report.charts import COLOURS, Chart
from forecast.report.page import Section, Table

Row = Mapping[str, Any]
Ids = tuple[str, ...]

TABLES = ("overall", "by_series", "by_step")
INTERVALS = (80, 95)  # percent
NAMED = 3  # series that the verdict names
WORST = 20  # series that a table lists
ERROR = "mase"
ROUNDING = 1e-9  # a MASE below it is that of an exact forecast
NARROW = 0.75  # share of values in 80 % intervals, below which it is called too small
LARGEST = 1e300  # what is not below it is no measure
HEADS = {"skill": "skill", ERROR: "MASE", "rmsse": "RMSSE", "smape": "sMAPE", "wape": "WAPE", "wql": "WQL"}
COVERED = {"coverage_80": "in 80 %", "coverage_95": "in 95 %", "msis": "MSIS"}


@dataclass(frozen=True)
class Measured:
    """The tables of a backtest.

    Attributes
    ----------
    tables : by name, rows as the backtest wrote them
    origins : times from which it forecast
    model : the first of its models that is not the reference; the reference where there is no other
    seen : origins whose values a saved forecaster had seen at its fit
    """

    tables: Mapping[str, Sequence[Row]]
    origins: tuple[str, ...]
    model: str
    seen: int = 0

    @classmethod
    def of(cls, found: object, name: str) -> "Measured":
        """The content of a file of measures.

        Raises
        ------
        BadData
            If it has no such tables.
        """
        wrong = BadData(
            "has no measures of a backtest",
            place=name,
            cure="name a .json file that `forecast backtest` wrote as its output",
        )
        if not isinstance(found, Mapping):
            raise wrong
        for table in TABLES:
            rows = found.get(table)
            if not isinstance(rows, list) or not rows or not all(map(_is_row, rows)):
                raise wrong
        if not isinstance(found.get("origins"), list) or not found["origins"]:
            raise wrong
        models = [row["model"] for row in found["overall"]]
        model = next((name for name in models if name != REFERENCE), models[0])
        seen = found.get("seen", 0)
        seen = seen if isinstance(seen, int) else 0
        return cls({table: found[table] for table in TABLES}, tuple(map(str, found["origins"])), model, seen)

    def of_model(self, table: str, model: str) -> list[Row]:
        """The rows of one model."""
        return [row for row in self.tables[table] if row["model"] == model]

    @property
    def models(self) -> list[str]:
        """The models, in the order of the backtest."""
        return [row["model"] for row in self.tables["overall"]]

    @property
    def steps(self) -> int:
        """The steps of the horizon."""
        return len(self.of_model("by_step", self.model))

    @property
    def ids(self) -> set[Ids]:
        """The ids of the series."""
        return {_ids(row) for row in self.of_model("by_series", self.model)}

    @property
    def errors(self) -> dict[Ids, float]:
        """The errors of the model by the ids of the series."""
        rows = self.of_model("by_series", self.model)
        return {_ids(row): error for row in rows if (error := _number(row, ERROR)) is not None}


def verdict_of(measured: Measured) -> str:
    """How good the forecasts were, in a sentence."""
    whole = measured.of_model("overall", measured.model)[0]
    skill, held = _number(whole, "skill"), _number(whole, "coverage_95")
    count = len(measured.origins)
    origins = f"{count} origin{'s' * (count != 1)}"
    naive = _number(next(iter(measured.of_model("overall", REFERENCE)), {}), ERROR)
    own = _number(whole, ERROR)
    if measured.model == REFERENCE:
        text = f"Seasonal naive alone was tested on {origins}"
    elif own is not None and naive is not None and naive < ROUNDING:
        exact = f"Exact on {origins}, as seasonal naive is"
        text = exact if own < ROUNDING else f"MASE {own:.3g} on {origins}, where seasonal naive is exact"
    elif skill is None:
        text = f"No error can be compared with that of seasonal naive on {origins}"
    else:
        share = "over 99" if 0.995 < skill < 1 else f"{abs(round(100 * skill)):,}"
        text = f"{share} % {'less' if skill >= 0 else 'more'} error than seasonal naive on {origins}"
        text = f"The same error as seasonal naive on {origins}" if round(100 * skill) == 0 else text
        text += _worse(measured) if skill > 0 else ""
    inner = _number(whole, "coverage_80")
    both = (80, inner), (95, held)
    shares = [f"{level} % intervals held {100 * share:.0f} %" for level, share in both if share is not None]
    narrow = ", too few" if inner is not None and inner < NARROW else ""
    intervals = f"; {', '.join(shares)}{narrow}" if shares else ""
    prefix = f"{measured.model}: " if len(measured.models) > 2 else ""
    seen = f"; at its fit it had seen the values of {measured.seen} of them" if measured.seen else ""
    return f"{prefix}{text}{intervals}{seen}"


def _worse(measured: Measured) -> str:
    """The series that are forecast worse than by seasonal naive, if there are several series and not all are."""
    skills = {series_name(_ids(row)): _number(row, "skill") for row in measured.of_model("by_series", measured.model)}
    worse = [name for name, skill in skills.items() if skill is not None and skill < 0]
    if not worse or len(worse) == len(skills) or measured.model == REFERENCE:
        return ""
    more = f" and {len(worse) - NAMED:,} more" if len(worse) > NAMED else ""
    return f", but more for {len(worse):,} of {len(skills):,} series ({', '.join(worse[:NAMED])}{more})"


def error_section(measured: Measured) -> Section:
    """Errors of all models, by step and by series."""
    first, last = measured.origins[0], measured.origins[-1]
    spoken = f"Forecasts from {len(measured.origins)} origins, {first} to {last}, compared with the values that came. "
    spoken += "Skill is the error reduction against seasonal naive; the unit of MASE is the error of seasonal naive "
    spoken += "before the oldest origin."
    if measured.seen:
        spoken += " The saved forecaster had seen values that it is judged by, so that these errors may be too small."
    overall = _table("By model", measured.tables["overall"], ("model",), HEADS)
    return Section(
        "Errors in the past",
        (
            spoken,
            overall,
            *_by_step(measured, ERROR, "MASE by step of the horizon"),
            *_by_series(measured),
        ),
    )


def coverage_section(measured: Measured) -> Section:
    """How many values the intervals held."""
    rows = measured.tables["overall"]
    own = measured.of_model("by_step", measured.model)
    names = [f"coverage_{level}" for level in INTERVALS]
    chart = Chart(
        f"Share of values inside the intervals of {measured.model}, by step of the horizon",
        "step",
        ("1", str(len(own))),
        {f"{level} %": [_number(row, name) for row in own] for level, name in zip(INTERVALS, names, strict=True)},
        tuple(level / 100 for level in INTERVALS),
    )
    spoken = (
        "Share of the values that came inside the intervals; it should be near 0.8 and 0.95. MSIS weighs the width "
    )
    spoken += "of the 95 % intervals and their misses: lower is better."
    return Section("Coverage of the intervals", (spoken, _table("By model", rows, ("model",), COVERED), chart))


def _by_step(measured: Measured, name: str, title: str) -> tuple[Chart, Table]:
    lines = {
        model: [_number(row, name) for row in measured.of_model("by_step", model)]
        for model in measured.models[: len(COLOURS)]
    }
    steps = measured.steps
    rows = [row for row in measured.tables["by_step"] if row["model"] in lines]
    names = {name: "MASE", **COVERED}
    table = _table("Numbers by step", rows, ("step", "model"), names, folded=True)
    return Chart(title, "step", ("1", str(steps)), lines), table


def _by_series(measured: Measured) -> tuple[str | Table, ...]:
    """How the errors of series differ, and the largest."""
    own = measured.of_model("by_series", measured.model)
    errors = [error for row in own if (error := _number(row, ERROR)) is not None]
    if len(own) < 2 or not errors:
        return ()
    skills = [skill for row in own if (skill := _number(row, "skill")) is not None]
    middle, high = np.quantile(errors, [0.5, 0.9])
    text = f"Half of the {len(errors):,} series have a MASE below {middle:.3g}, one in ten above {high:.3g}"
    if skills and measured.model != REFERENCE:
        better = sum(skill > 0 for skill in skills)
        text += f"; {better:,} of {len(skills):,} are forecast better than by seasonal naive"
    worst = sorted(own, key=lambda row: -(_number(row, ERROR) or 0.0))[:WORST]
    rows = tuple((series_name(_ids(row)), *(_number(row, name) for name in (*HEADS, "coverage_95"))) for row in worst)
    caption = "The series with the largest errors" if len(own) > WORST else "By series, the largest error first"
    return f"{text}.", Table(caption, ("series", *HEADS.values(), "in 95 %"), rows)


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
    return float(value) if isinstance(value, int | float) and -LARGEST < value < LARGEST else None
