"""Forecast a table by a fitted forecaster: load it, read the table as at fit, and tabulate."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.artifacts.store import Store, VersionInfo
from forecast.effects.chain import remove_effects
from forecast.effects.event_effects import EFFECTS_NAMED, unseen_events
from forecast.effects.newest import warn_of_newest
from forecast.errors import ArtifactRefused, BadData, ForecastError, Message, Setting, UsageError
from forecast.inference.contents import from_contents
from forecast.inference.fitted import Fitted
from forecast.inference.predictor import Predictor, find_closed_values, pick_engine
from forecast.intervals.calibration import widen
from forecast.intervals.interval_ends import (
    apply_bounds,
    compare_with_floor,
    log_floor,
    log_low_totals,
    unbounded_numbers,
)
from forecast.intervals.own_past import Recent
from forecast.logs import log
from forecast.metrics.metrics import mase
from forecast.panel.build import add_future
from forecast.panel.comparing import (
    Comparison,
    check_levels,
    require_known,
    warn_blank_ahead,
    warn_of_seen_values,
)
from forecast.panel.events import merge_events, read_events, remove_censored_values, without
from forecast.panel.infer import Reading, Source, read_as
from forecast.panel.panel import (
    SKIPPED,
    SUM,
    Id,
    Integers,
    Numbers,
    Panel,
    repeated_ids,
    series_index,
)
from forecast.panel.schema import Schema, time_columns_at
from forecast.panel.successors import read_successors
from forecast.panel.vintages import describe_vintages
from forecast.settings import EngineName, OutputSettings
from forecast.tables.table import Table
from forecast.tables.writing import Column, output_columns, refuse_clash

Columns = dict[str, Column | NDArray[Any]]
UNSEEN_EVENTS = "without effect, as the past of the fit has not shown them: %s"
NO_KNOWN = "this forecaster uses no columns that are known in advance"
NO_LIMIT = Message("; %s turns this off", (Setting("min", float("-inf")),))
FOR_TOTALS = Message(
    "for totals pass %s or %s", (Setting("sum_by", "all"), Setting("point", "mean"))
)


@dataclass(frozen=True)
class ForecastPart:
    """A part of a large table, and what it needs to know of the rest."""

    table: Table  # the rows of some whole series
    reach: int  # timestamp of the newest value of the whole table, where all series end
    comparison: Comparison  # of the ids of all parts so far with those of the fit

    @property
    def name(self) -> str:
        return self.table.name


@dataclass(frozen=True)
class Forecasts:
    """The forecasts for a panel; `quantiles`, `shown` and `means` are not bounded."""

    panel: Panel  # what was forecast from
    series: Integers  # indices of the series that get a forecast, in the order of the rows
    quantiles: Numbers  # [series, horizon, levels], before interval corrections
    shown: Numbers  # [series, horizon, levels], after interval corrections
    means: Numbers  # [series, horizon]
    numbers: Numbers  # [series, horizon, 1 + 2 * intervals], the numbers of the output
    # [series, horizon, 5], the point and the 80 and 95 % intervals, as in the columns
    published: Numbers
    columns: Columns  # as `Forecaster.predict` returns them
    changes: Numbers | None = None  # [series, horizon], what overrides added to the points
    # why series get no forecast: ``{("store 7",): "missing"}``
    skipped: dict[tuple[str, ...], str] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        return int(np.prod(self.quantiles.shape[:2]))


def load_predictor(
    store: str, version: str | None = None, device: str = "auto", engine: EngineName = "auto"
) -> Predictor:
    """The forecaster of the live version of a store, or of another version, ready to forecast."""
    fitted, info = load_forecaster(store, version)
    if fitted.ensemble.networks:
        engine = pick_engine(fitted, engine, device)
    with _name_place(f"{store}/{info.id}"):
        return Predictor(fitted, device, engine)


def load_forecaster(store: str, version: str | None = None) -> tuple[Fitted, VersionInfo]:
    """The forecaster of the live version of a store, or of another version, as plain arrays."""
    contents, info = Store(store).load(version)
    with _name_place(f"{store}/{info.id}"):
        return from_contents(contents), info


@contextmanager
def _name_place(place: str) -> Iterator[None]:
    try:
        yield
    except (ArtifactRefused, UsageError, RuntimeError) as error:
        reason = str(error).split("\n")[0]
        raise ArtifactRefused(f"{place}: {reason}") from None


def panel_of_table(
    fitted: Fitted,
    source: Source | ForecastPart | None = None,
    *,
    future: Table | None = None,
    origin: str | None = None,
    horizon: int | None = None,
    output: OutputSettings,
) -> Panel:
    """The panel to forecast: the series of a table, by default those of the fit.

    If the source is a `ForecastPart`, the caller handles series of the fit that it lacks. Values after
    `origin` are not used; `future` has rows of the columns known in advance. Raises `UsageError`
    and `BadData` if the table cannot be used, or values known in advance are missing for the
    horizon.
    """
    schema = fitted.schema
    refuse_clash(schema.keys, output_columns(output))
    horizon = checked_horizon(horizon, fitted.config.horizon)
    panel = panel_to_forecast(fitted, source, future, origin)
    with_known = source if future is None else future
    name = "the saved table" if with_known is None else with_known.name
    require_known(panel, schema, horizon, name)
    if fitted.effects.events is not None:
        unseen = unseen_events(panel, schema, fitted.effects.events)
        if unseen:
            log.warning(UNSEEN_EVENTS, ", ".join(unseen[:EFFECTS_NAMED]))
    read_ahead = fitted.config.horizon if fitted.ensemble.networks else horizon
    warn_blank_ahead(panel, schema, read_ahead, name)
    if source is not None:
        warn_of_seen_values(panel, fitted.history, schema, horizon, source.name)
    return panel


def find_skipped(fitted: Fitted, panel: Panel, whole: bool = True) -> dict[Id, str]:
    """Why series get no forecast, by ids; of a `whole` table also those of the fit that it lacks."""
    words = zip(panel.ids, panel.status, strict=True)
    skipped = {ids: status for ids, status in words if status in SKIPPED and status != SUM}
    if whole:
        gone = sorted(set(fitted.ids) - set(panel.ids))
        skipped |= dict.fromkeys(gone, "gone")
    return skipped


def compute_quantiles(
    predictor: Predictor,
    panel: Panel,
    horizon: int | None = None,
    chosen: Integers | None = None,
    refuse: type[ForecastError] = BadData,
) -> tuple[Integers, Numbers]:
    """The series of a panel that get a forecast, and their quantiles [series, horizon, levels].

    `chosen` are the indices of the series to forecast, by default all. Raises the error class
    `refuse` if the quantiles are not finite.
    """
    order = panel.order if chosen is None else chosen
    left_out = panel.skipped[order]
    quantiles = predictor.quantiles(panel, order, left_out=left_out)[:, :horizon]
    if not np.isfinite(quantiles).all():
        too_large = "the values, or the weights of the artifact, are too large to compute"
        raise refuse(f"the forecasts are not finite: {too_large}")
    return order[~left_out], quantiles


def build_forecasts(
    fitted: Fitted,
    output: OutputSettings,
    panel: Panel,
    series: Integers,
    quantiles: Numbers,
    skipped: dict[Id, str],
    factors: Numbers | None = None,
) -> Forecasts:
    """Forecasts with the numbers and the columns of the output, which follow from the quantiles.

    `factors` [levels] multiply the distance of each quantile from the median, and not the means.
    """
    shown = quantiles if factors is None else widen(quantiles, factors)
    means = compute_means(quantiles, fitted, panel, series)
    floor = panel.floor()[series]
    counts = panel.is_count()[series]

    def drop_bounds(output: OutputSettings) -> Numbers:
        return unbounded_numbers(shown, fitted.config.levels, output, counts, means)

    unbounded_output = drop_bounds(output)
    numbers = apply_bounds(unbounded_output, output, floor)
    log_floor(compare_with_floor(unbounded_output, output, floor), NO_LIMIT)
    if output.point == "median":
        bounded_means = apply_bounds(means[..., None], output, floor)
        log_low_totals(numbers[..., 0], bounded_means[..., 0], floor, FOR_TOTALS)
    usual = output.usual
    published = numbers if usual == output else apply_bounds(drop_bounds(usual), usual, floor)
    columns = forecast_columns(fitted, output, panel, series, numbers)
    return Forecasts(
        panel,
        series,
        quantiles,
        shown,
        means,
        numbers,
        published,
        columns,
        skipped=skipped,
    )


def forecast_columns(
    fitted: Fitted, output: OutputSettings, panel: Panel, series: Integers, numbers: Numbers
) -> Columns:
    """The columns of the output, from its numbers [series, horizon, 1 + 2 * intervals]."""
    horizon = numbers.shape[1]
    if output.integer and np.abs(numbers).max(initial=0) < 2**63:
        numbers = numbers.astype(np.int64)
    names = ["forecast", *output.columns]
    by_column = np.moveaxis(numbers, 2, 0)
    by_name = dict(zip(names, by_column, strict=True))
    steps = np.arange(1, horizon + 1)
    columns = columns_at(panel, fitted.schema, series, steps, by_name)
    if output.explain:
        index = series_index(fitted.history.ids, panel.ids)[series]
        models = np.array(fitted.ensemble.names(index), object)
        columns["model"] = np.repeat(models, horizon)
        status = np.array(panel.status, object)
        columns["status"] = np.repeat(status[series], horizon)
    return columns


def forecast_series(panel: Panel) -> Integers:
    """The indices of the series that get a forecast, in the order of the input."""
    return panel.order[~panel.skipped[panel.order]]


def panel_to_forecast(
    fitted: Fitted,
    source: Source | ForecastPart | None = None,
    future: Table | None = None,
    origin: str | None = None,
) -> Panel:
    """The panel of a table, read as the fit read its own table, or the series of the fit.

    The parameters are those of `panel_of_table`.
    """
    schema = fitted.schema
    panel = fitted.history
    if source is None and origin is not None:
        problem = "needs a table: the artifact keeps only what a forecast from its own end needs"
        raise UsageError(problem, setting=Setting("origin", origin))
    if source is None and fitted.needs_table:
        raise UsageError(
            "the saved forecaster lacks the past that series would start with",
            setting=Setting("successors"),
            cure="name the table of the series, or fit again",
        )
    if source is not None:
        reading = reading_to_forecast(fitted, source, future, origin)
        panel = reading.panel
        warn_of_newest_values(fitted, panel, reading.name)
    elif future is not None:
        panel = add_future(panel, future, schema)
    for line in describe_vintages(panel, schema):
        log.info("%s", line)
    return panel


def warn_of_newest_values(fitted: Fitted, panel: Panel, name: str) -> None:
    """Warn of the newest values that lie far outside the others once known effects are out."""
    schema = fitted.schema
    index = series_index(fitted.history.ids, panel.ids)
    fixed = find_closed_values(fitted, panel)
    adjusted = remove_effects(panel, schema, fitted.effects, index, fixed)
    lags = fitted.config.lags
    warn_of_newest(adjusted.panel, lags[0] if lags else 1, name)


def reading_to_forecast(
    fitted: Fitted,
    source: Source | ForecastPart,
    future: Table | None = None,
    origin: str | None = None,
) -> Reading:
    """Read a table as the fit read its own, and compare its series with those of the fit."""
    config = fitted.config
    history = fitted.history
    schema = fitted.schema
    part = source if isinstance(source, ForecastPart) else None
    reading = read_as(
        source.table if isinstance(source, ForecastPart) else source,
        schema,
        horizon=config.horizon,
        lookback=fitted.ensemble.lookback,
        future=future,
        origin=origin,
        reach=None if part is None else part.reach,
        fitted=history,
    )
    index = series_index(history.ids, reading.panel.ids)  # -1 for a new series
    lowest = np.append(history.find_minimum(), np.inf)[index]
    counted = history.counted
    if counted is not None:
        counted = np.append(counted, True)[index]
    comparison = (
        Comparison(fitted.ids, source.name, history.origin) if part is None else part.comparison
    )
    panel = comparison.add(replace(reading.panel, lowest=lowest, counted=counted))
    if part is None:
        comparison.warn_of_missing_ids()
    check_levels(
        panel, history.ids, fitted.level, fitted.ensemble.lookback, source.name, schema.strict
    )
    return replace(reading, panel=panel)


def future_template(
    fitted: Fitted, source: Source | None, origin: str | None, horizon: int | None
) -> Columns:
    """The rows that a forecast needs as `future`, with blank columns to be filled in."""
    schema = fitted.schema
    if not schema.known:
        cure = f"fit with {Setting('known')}"
        raise UsageError(NO_KNOWN, setting=Setting("future_template"), cure=cure)
    steps = 1 + np.arange(checked_horizon(horizon, fitted.config.horizon))
    panel = panel_to_forecast(fitted, source, origin=origin)
    series = forecast_series(panel)
    is_wide = schema.layout == "wide"
    if is_wide:  # a row applies to all series
        series = series[:1]
    blank = np.full((len(series), len(steps)), np.nan)
    columns = columns_at(panel, schema, series, steps, dict.fromkeys(schema.known, blank))
    for name in schema.ids if is_wide else ():
        columns.pop(name, None)
    return columns


def columns_at(
    panel: Panel,
    schema: Schema,
    series: Integers,
    steps: Integers,
    numbers: Mapping[str, NDArray[Any]],
) -> Columns:
    """Columns of ids, of times as written in the input, and of `numbers` [series, steps]."""
    refuse_clash(schema.keys, list(numbers))
    positions = panel.origins[series][:, None] + steps
    columns: Columns = {}
    ids = [panel.ids[i] for i in series]
    columns |= repeated_ids(ids, schema.ids, len(steps))
    columns |= time_columns_at(schema, positions.ravel())
    for name, values in numbers.items():
        columns[name] = values.ravel()
    return columns


def update_tables(
    predictor: Predictor,
    events: Any,
    successors: Any,
    changed: Mapping[str, Any] | None = None,
    refuses: bool = True,
) -> Predictor:
    """A forecaster with `changed` settings, newer events, and successors in place of the fit's.

    If it `refuses`, events with an effect are an error where it was fitted without events.
    """
    fitted = predictor.fitted
    schema = fitted.schema.model_copy(update=changed)
    if successors is not None:
        predictor = predictor.replace_fitted(replace(fitted, needs_table=True))
        successions = read_successors(successors, schema)
        schema = schema.model_copy(update={"successions": successions})
    if events is None:
        return replace_schema(predictor, schema)
    newer = read_events(events, schema, fitted.history.ids)
    effects = {event.name for event in newer if event.kind == "effect"}
    if fitted.effects.events is None and effects:
        if refuses and not schema.dated_events:
            raise UsageError(
                "this forecaster was fitted without events",
                setting=Setting("events", events if isinstance(events, str) else None),
                cure="fit again with them",
            )
        log.warning(UNSEEN_EVENTS, ", ".join(sorted(effects)[:EFFECTS_NAMED]))
    dated_events = merge_events(schema.dated_events, newer)
    schema = schema.model_copy(update={"dated_events": dated_events})
    return replace_schema(predictor, schema)


def replace_schema(predictor: Predictor, schema: Schema) -> Predictor:
    """The same forecaster with another schema, such as one with different events."""
    fitted = predictor.fitted
    if schema == fitted.schema:
        return predictor
    config = fitted.config.model_copy(update={"table": schema})
    history = without(fitted.history, schema, "ignore")
    is_same = (history.observed == fitted.history.observed).all()
    begun = fitted.begun if is_same else None  # if not, sums are added up anew
    return predictor.replace_fitted(replace(fitted, config=config, history=history, begun=begun))


def checked_horizon(horizon: int | None, fitted: int) -> int:
    """The steps to forecast, at most those of the fit."""
    steps: Any = fitted if horizon is None else horizon  # a Python caller may pass anything
    setting = Setting("horizon", steps)
    count = int(steps) if isinstance(steps, Integral) else 0
    if count < 1:
        raise UsageError("a whole number of steps is needed, 1 or more", setting=setting)
    if count > fitted:
        cure = f"fit again with {setting}"
        raise UsageError(f"this forecaster was fitted for {fitted}", setting=setting, cure=cure)
    return count


def rolling_cure(horizon: int) -> str:
    return f"a cross-validation needs cv=RollingOrigin(windows=3, horizon={horizon})"


def error_after(
    predictor: Predictor, later: Reading, actual: Numbers, uncensored: Numbers
) -> float:
    """MASE of the forecasts against actual values [series, horizon] after the fit.

    An actual value that is NaN in `uncensored` is only a lower bound, such as sales when sold out.
    """
    fitted = predictor.fitted
    config = fitted.config
    schema = config.table
    if not np.isfinite(actual).any():
        steps = config.horizon
        problem = f"no row lies within {steps} steps after the end of the fit, {config.train_end}"
        raise BadData(problem, cure=f"score later rows; {rolling_cure(steps)}")
    rows = later.dated.vintages or later.dated
    history = add_future(fitted.history, rows.table, schema, rows.times_by(schema))
    warn_blank_ahead(history, schema, config.horizon, later.name)
    series = np.flatnonzero(~history.skipped)
    quantiles = predictor.quantiles(history, series)
    median = quantiles[..., config.levels.index(0.5)]
    point = np.maximum(median, history.floor()[series, None])
    values = actual[series]
    is_scored = ~np.isnan(uncensored[series]) | (point < values)
    values = np.where(is_scored, values, np.nan)
    return float(mase(values, point, fitted.naive_error[series]))


def compute_means(quantiles: Numbers, fitted: Fitted, panel: Panel, series: Integers) -> Numbers:
    """The means of the forecasts of series, [series, horizon].

    They depend on the past of the series, in which closed slots do not count.
    """
    calibration = fitted.ensemble.calibration
    levels = fitted.config.levels
    if calibration.mean_weight == 1:
        return calibration.quantile_means(quantiles, levels)
    opened = remove_censored_values(panel, fitted.schema)
    fixed = find_closed_values(fitted, panel)
    if fixed is not None:
        is_open = opened.observed & np.isnan(fixed)
        opened = replace(opened, observed=is_open)
    recent = Recent.measure(opened, (series, panel.lengths[series]))
    return calibration.means(quantiles, levels, recent)
