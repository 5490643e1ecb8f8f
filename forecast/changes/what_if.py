"""What would be forecast if columns that are known in advance had other values in the horizon."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np

from forecast.errors import BadData, Setting, UsageError, did_you_mean
from forecast.inference.forecasting import Columns, Forecasts, forecast_panel
from forecast.inference.predictor import Predictor
from forecast.logs import log
from forecast.metrics.quantiles import rounded
from forecast.panel.panel import Flags, Numbers, Panel
from forecast.panel.schema import Schema
from forecast.reading.building import with_future
from forecast.settings import OutputSettings
from forecast.tables.table import Table
from forecast.totals.sums import Totals

MOST = 1_000  # combinations of values of known columns that are compared
FEW = 10  # different numbers of a column up to which they are alike or not, as categories are, and none is between two
ALONE = "%s is %s, which the past that is seen here has not shown; what it would do is a guess"
TOGETHER = "the past that is seen here has not shown such values of %s together; what they would do is a guess"


def what_if(
    predictor: Predictor,
    forecasts: Forecasts,
    changed: Mapping[str, object] | Table,
    schema: Schema,
    output: OutputSettings,
    totals: Totals | None = None,
) -> Columns:
    """The columns forecast, what_if and difference beside ids and times, or beside those of sums.

    `changed` has new values of known columns, or is a table like that of the future; `totals` are of no series yet.
    Raises `UsageError` for a column that is not known in advance or a value that it cannot have, and `BadData` for a
    table without rows in the horizon. Warns of values that the past has not shown, alone or together.
    """
    panel, horizon = forecasts.panel, forecasts.numbers.shape[1]
    steps = panel.positions - np.repeat(panel.lengths, np.diff(panel.offsets))
    ahead, values = (steps >= 0) & (steps < horizon), np.full_like(panel.known, np.nan)
    if not schema.known:
        raise UsageError(
            "this forecaster uses no columns that are known in advance", setting=Setting("what_if")
        )
    if isinstance(changed, Table):
        values[ahead] = with_future(replace(panel, known=values), changed, schema).known[ahead]
        if np.isnan(values).all():
            raise BadData(
                "no row lies in the horizon",
                place=changed.name,
                cure="give times that are forecast",
            )
    else:
        for name, value in changed.items():
            if name not in schema.known:
                there = (
                    did_you_mean(name, list(schema.known))
                    or f"; there are {', '.join(schema.known)}"
                )
                raise UsageError(
                    f"'{name}' is not known in advance{there}", setting=Setting("what_if", name)
                )
            values[ahead, schema.known.index(name)] = _number(
                name, value, schema.categories.get(name)
            )
    other = replace(panel, known=np.where(np.isnan(values), panel.known, values), vintages=None)
    _warn_unseen(panel, other, ~np.isnan(values), schema)
    made = forecast_panel(predictor, other, horizon, output)
    columns, points, beside = forecasts.columns, made.numbers[..., 0].ravel(), dict[str, Any]()
    if totals is not None:
        others = totals.blank_copy()
        totals.add(forecasts)
        others.add(made)
        columns, points = totals.columns(), np.asarray(others.columns()["forecast"])
        beside = {
            name: columns[name] for name in ("steps", "observed") if name in columns
        }  # parts of a sum
    before = np.asarray(columns["forecast"])
    shown = {
        "forecast": before,
        "what_if": points.astype(before.dtype),
        "difference": rounded(points - before),
    }
    return {**dict(islice(columns.items(), list(columns).index("forecast"))), **shown, **beside}


def _number(name: str, value: object, categories: tuple[str, ...] | None) -> float:
    with suppress(TypeError, ValueError):
        number = float(value) if categories is None else 1.0 + categories.index(str(value))  # type: ignore[arg-type]
        if np.isfinite(number):
            return number
    hint = (
        "the column holds numbers"
        if categories is None
        else f"the fit has seen {', '.join(categories[:FEW])}"
    )
    raise UsageError(
        f"{name} cannot be that; {hint}", setting=Setting("what_if", f"{name}={value}")
    )


def _warn_unseen(panel: Panel, other: Panel, changed: Flags, schema: Schema) -> None:
    """Warn of values in `changed` cells [slots, known] that the past has not shown, in one column or together."""
    whole = ~np.isnan(other.known).any(1)
    seen, found = panel.known[panel.observed & whole], other.known[changed.any(1) & whole]
    if not len(seen) or not len(found):
        return
    unseen, few = False, np.array([len(np.unique(column)) <= FEW for column in seen.T])
    for column, name in enumerate(schema.known):
        words, past, new = schema.categories.get(name), seen[:, column], np.unique(found[:, column])
        unknown = np.setdiff1d(new, past) if words else new[(new < past.min()) | (new > past.max())]
        few[column] |= words is not None
        if len(unknown) and changed[:, column].any():
            texts, unseen = (
                [
                    ("another", *words)[int(each)] if words else f"{each:g}"
                    for each in unknown[:FEW]
                ],
                True,
            )
            log.warning(ALONE, name, " or ".join(texts))
    unit = np.where(few | (seen.std(0) == 0), 1.0, seen.std(0))
    past, new = (np.unique(values / unit, axis=0) for values in (seen, found))
    past, new = (rows[:: len(rows) // MOST + 1] for rows in (past, new))
    # a combination is new if its nearest one in the past is farther than any there is from its nearest
    gaps = np.sort(_distances(past, past, few), 1)[:, 1:2]
    widest = gaps[np.isfinite(gaps)].max(initial=0.0)
    if not unseen and len(schema.known) > 1 and (_distances(new, past, few).min(1) > widest).any():
        log.warning(TOGETHER, " and ".join(schema.known))


def _distances(rows: Numbers, others: Numbers, few: Flags) -> Numbers:
    """[rows, others], distances of combinations in standard deviations; infinite where those of `few` differ."""
    apart = rows[:, None] - others
    return np.where(
        (apart[..., few] != 0).any(-1), np.inf, np.sqrt((apart[..., ~few] ** 2).sum(-1))
    )
