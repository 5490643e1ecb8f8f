"""Forecast as if columns known in advance had other values in the horizon."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from forecast.calendar.parsing import parse_timestamp
from forecast.effects.columns import ColumnEffects, columns_by_name
from forecast.engine.forecast import forecast, new_totals
from forecast.engine.requests import Forecast, ForecastRequest
from forecast.errors import BadData, Setting, UsageError, did_you_mean
from forecast.inference.forecasting import Columns, Forecasts
from forecast.inference.predictor import Predictor
from forecast.logs import log
from forecast.metrics.quantiles import normal_deviates, round_values
from forecast.panel.build import add_future
from forecast.panel.panel import SERIES_NAMED, Flags, Numbers, Panel, first_names, series_index
from forecast.panel.schema import Names, Schema, build_calendar
from forecast.tables.cells import MAX_VALUE
from forecast.tables.table import Table

CHANGES = {"*": np.multiply, "+": np.add, "-": np.subtract}
LEAST_WEIGHT = 1e-30  # a weight, where all forecasts are 0
CLIPPED = "%s counts as %.4g where it is beyond that: effects reach no farther, intervals widen"
VALUES_NAMED = 10  # most values that a message names
PARTS_OF_SUMS = ("steps", "observed")  # columns of a table of sums that describe what is summed
STRANGE = "%s: columns that are not known in advance change nothing: %s"
UNSEEN_VALUE = (
    "%s is %s, beyond what the past shows here (first in %s); what it would do is a guess"
)


@dataclass(frozen=True)
class WhatIf:
    # of series or sums: ids, times, forecast, what_if, difference and its quantiles
    columns: Columns
    forecast: Forecast  # with the values that are really known


def what_if(
    predictor: Predictor,
    request: ForecastRequest,
    changed: Mapping[str, object] | Table,
    since: str | None = None,
) -> WhatIf:
    """Forecast twice, the second time with other values of columns known in advance.

    The quantiles of a difference rest on the posterior of the effects of columns. `changed` has a new
    value for each changed column, or ``"+10%"``; after ``"price*"``, ``"price+"`` and
    ``"price-"`` it has what known values are multiplied by, or what is added and taken off. Or it
    is a table of the columns and rows that change. Nothing changes before the time `since`. Raises
    `UsageError` for a column that is not known in advance or a value that it cannot have, and
    `BadData` if nothing changes in the horizon. Says which share of the forecast changes, and warns
    of values that do not occur in the past, and of those that effects do not reach.
    """
    schema = predictor.fitted.schema
    before = forecast(predictor, replace(request, in_parts=False))
    panel = before.whole.panel
    steps = panel.positions - np.repeat(panel.lengths, panel.sizes)
    ahead = (steps >= 0) & (steps < before.whole.numbers.shape[1])
    if since is not None:
        first = parse_timestamp(since, schema.time_format, "what_if_from")
        first_position = build_calendar(schema).positions(np.array([first]))
        ahead &= panel.grid_positions >= first_position
    known = panel.known
    panel = _changed_panel(panel, ahead, changed, schema)
    if effects := predictor.fitted.effects.columns:
        _warn_of_clipped_values(panel, panel.known != known, effects, schema)
    question = replace(request, source=panel, future=None, origin=None)
    after = forecast(predictor, question)

    of_series = np.asarray(before.whole.columns["forecast"])
    reacts = of_series != np.asarray(after.whole.columns["forecast"])
    share = np.average(reacts, weights=np.abs(of_series) + LEAST_WEIGHT)
    log.info("reacts   %.3g %% of the forecast", 100 * share)
    columns = _render(before)
    points = np.asarray(columns["forecast"])
    other_points = np.asarray(_render(after)["forecast"])
    names = list(columns)
    count = names.index("forecast") + 1
    result = {name: columns[name] for name in names[:count]}
    result["what_if"] = other_points
    difference = other_points - points
    result["difference"] = round_values(difference)
    error = _standard_error(predictor, request, before.whole, after.whole)
    for name, level in request.output.columns.items():
        quantile = difference + error * normal_deviates([level])
        result[f"difference_{name}"] = round_values(quantile)
    for name in PARTS_OF_SUMS if before.totals else ():
        result[name] = columns[name]
    return WhatIf(result, before)


def _standard_error(
    predictor: Predictor, request: ForecastRequest, before: Forecasts, after: Forecasts
) -> Numbers:
    """Standard errors of the differences of two forecasts, [rows]; NaN if they are unknown.

    They are those of draws from the posterior of the effects of columns. In these, the
    limits of effects lie half as far again: a clipped change is less certain.
    """
    fitted = predictor.fitted
    schema = fitted.schema
    effects = fitted.effects.columns
    steps = np.arange(after.means.shape[1])
    panels = [before.panel, after.panel]
    firsts = (panel.first_slots + panel.lengths for panel in panels)
    slots = [first[after.series, None] + steps for first in firsts]
    index = series_index(fitted.history.ids, after.panel.ids)

    def forecast_other(effects: ColumnEffects) -> Numbers:
        """The forecasts with changed columns, of which `effects` says what they do."""
        old, new = (effects.compute_factors(panel, schema, index) for panel in panels)
        old_factor, old_shift = old
        new_factor, new_shift = new
        ratio = new_factor[slots[1]] / old_factor[slots[0]]
        shift = new_shift[slots[1]] - old_shift[slots[0]] * ratio
        return np.asarray(before.means * ratio + shift)

    def rows(means: Numbers) -> Numbers:
        totals = new_totals(predictor, request)
        if totals is None:
            return means.ravel()
        totals.add(replace(after, means=means))
        return np.asarray(totals.columns()["mean"])

    if effects is None or not len(effects.draws):
        return rows(np.full_like(after.means, np.nan))
    whole = rows(forecast_other(effects))
    wider = replace(effects, limits=effects.limits * 1.5)
    others = [rows(forecast_other(replace(wider, weights=weights))) for weights in effects.draws]
    errors = np.stack(others) - whole
    return np.asarray(np.sqrt(np.mean(errors**2, 0)))


def _render(answer: Forecast) -> Columns:
    return answer.whole.columns if answer.totals is None else answer.totals.columns()


def _changed_panel(
    panel: Panel, ahead: Flags, changed: Mapping[str, object] | Table, schema: Schema
) -> Panel:
    """The panel with the changed values of known columns in the slots `ahead`."""
    if not schema.known:
        problem = "this forecaster uses no columns that are known in advance"
        raise UsageError(problem, setting=Setting("what_if"))
    values = np.full_like(panel.known, np.nan)
    if isinstance(changed, Table):
        names = tuple(name for name in schema.known if name in changed.names)
        columns = [schema.known.index(name) for name in names]
        of_names = schema.model_copy(update={"known": names})
        blank = replace(panel, known=values[:, columns])
        values[:, columns] = add_future(blank, changed, of_names).known
        values[~ahead] = np.nan
        used = (*schema.keys, *schema.known, *schema.static, *schema.past, schema.target)
        if strange := [name for name in changed.names if name not in used]:
            log.warning(STRANGE, changed.name, first_names(strange, SERIES_NAMED))
    else:
        for key, value in changed.items():
            text = str(value)
            is_plain = key in schema.known or key[:-1] in schema.categories
            change = None if is_plain else CHANGES.get(key[-1:])
            name = key if change is None else key[:-1]
            if name not in schema.known:
                columns_known = list(schema.known)
                hint = (
                    did_you_mean(name, columns_known) or f"; there are {', '.join(columns_known)}"
                )
                setting = Setting("what_if", name)
                raise UsageError(f"'{name}' is not known in advance{hint}", setting=setting)
            column = schema.known.index(name)
            if not np.isnan(values[:, column]).all():
                raise several_values([f"{word}={changed[word]}" for word in changed])
            categories = schema.categories.get(name)
            is_percentage = text.endswith("%") and text[0] in "+-"
            if is_percentage and not (change or categories):
                change = np.multiply
                number = 1 + _number(key, text[:-1], None) / 100
            else:
                number = _number(key, value, categories)
            if change is not None:
                number = change(panel.known[ahead, column], number)
            values[ahead, column] = number
    if np.isnan(values).all():
        cure = "name columns known in advance, and times that are forecast"
        raise BadData(
            "nothing changes in the horizon", place=getattr(changed, "name", None), cure=cure
        )
    is_changed = ~np.isnan(values)
    known = np.where(is_changed, values, panel.known)
    other = replace(panel, known=known, vintages=None)
    _warn_of_unseen_values(panel, other, is_changed, schema)
    return other


def several_values(words: Sequence[str]) -> UsageError:
    cure = f"give each column one value, and not {' and '.join(words)}"
    return UsageError("a column has several values", setting=Setting("what_if"), cure=cure)


def _number(name: str, value: object, categories: Names | None) -> float:
    with suppress(TypeError, ValueError):
        if categories is not None:
            return 1.0 + categories.index(str(value))
        number = float(value)  # type: ignore[arg-type]
        if abs(number) <= MAX_VALUE:
            return number
    hint = f"the column holds numbers up to {MAX_VALUE:.0e}"
    if "," in str(value):
        hint = "numbers have a decimal point here, whatever the table has"
    elif str(value).endswith("%"):
        share = str(value).lstrip("+-")
        hint = f"a share follows = with a sign: =+{share} or =-{share}"
    if categories is not None:
        hint = f"the fit has seen {', '.join(categories[:VALUES_NAMED])}"
    setting = Setting("what_if", f"{name}={value}")
    raise UsageError(f"{name} cannot be that; {hint}", setting=setting)


def _warn_of_unseen_values(panel: Panel, other: Panel, changed: Flags, schema: Schema) -> None:
    """Warn of values in `changed` cells [slots, known columns] that do not occur in the past.

    Numbers may lie beyond the past of their series by as much as that spans, but not beyond that
    of all series.
    """
    for column in np.flatnonzero(changed.any(0)).tolist():
        name = schema.known[column]
        categories = schema.categories.get(name)
        known = panel.known[:, column]
        past = panel.observed & ~np.isnan(known)
        if not past.any():
            continue
        slots = np.flatnonzero(changed[:, column])
        series = panel.series_of_slots[slots]
        values = other.known[slots, column]
        seen = known[past]
        if categories:
            unseen = ~np.isin(values, seen)
            names = ("another", *categories)
            texts = [names[int(value)] for value in np.unique(values[unseen])]
        else:
            low, high = panel.extremes(known, past)
            varies = high > low
            lowest = np.where(varies, 2 * low - high, -np.inf)
            highest = np.where(varies, 2 * high - low, np.inf)
            lowest = np.maximum(lowest, seen.min())
            highest = np.minimum(highest, seen.max())
            unseen = (values < lowest[series]) | (values > highest[series])
            texts = [f"{value:g}" for value in np.unique(values[unseen])]
        if unseen.any():
            ids = panel.ids[series[unseen.argmax()]]
            log.warning(UNSEEN_VALUE, name, " or ".join(texts[:VALUES_NAMED]), "/".join(ids))


def _warn_of_clipped_values(
    panel: Panel, changed: Flags, effects: ColumnEffects, schema: Schema
) -> None:
    """Warn of numbers in `changed` cells [slots, known columns] that effects do not reach."""
    for name, place in columns_by_name(schema).items():
        column = schema.known.index(name)
        values = panel.known[changed[:, column], column]
        if name in schema.categories or not len(values):
            continue
        first = place.start
        ends = effects.limits[first] * effects.unit[first] + effects.middle[first]
        low, high = np.exp(ends) if effects.logarithm[first] else ends
        for end, beyond in ((low, values < low), (high, values > high)):
            if beyond.any():
                log.warning(CLIPPED, name, end)
