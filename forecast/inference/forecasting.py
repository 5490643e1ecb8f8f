"""Forecast a table by a fitted forecaster: load it, read the table as the fit did, check it, write what comes next."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.artifacts.store import Store
from forecast.errors import ArtifactRefused, BadData, ForecastError, Setting, UsageError, Words
from forecast.events.effects import NAMED, unseen_events
from forecast.events.kinds import without, without_censored
from forecast.events.table import read_events, renewed
from forecast.inference.contents import from_contents
from forecast.inference.fitted import Fitted
from forecast.inference.predictor import Predictor, fixed_of, pick_engine
from forecast.intervals.bounds import bounded, log_low_totals, log_raised, raised, unbounded_numbers
from forecast.intervals.calibration import widened
from forecast.intervals.pasts import Recent
from forecast.logs import log
from forecast.metrics.metrics import mase
from forecast.panel.naming import in_shard, only_in_shard, repeated_ids
from forecast.panel.panel import SKIPPED, SUM, Integers, Numbers, Panel, series_index
from forecast.panel.schema import Schema, calendar_of, time_columns_at
from forecast.reading.building import with_future
from forecast.reading.comparing import (
    Comparison,
    check_levels,
    require_known,
    warn_blank_ahead,
    warn_seen,
    warn_short,
)
from forecast.reading.reading import Reading, Source, read_as
from forecast.reading.vintages import describe_vintages
from forecast.settings import INTERVALS, EngineName, OutputSettings
from forecast.tables.table import Table
from forecast.tables.writing import Column, interval_columns, output_columns, refuse_clash

Columns = dict[str, Column | NDArray[Any]]
UNSEEN = "without effect, as the past of the fit has not shown them: %s"
FOR_TOTALS = Words("for totals pass ", Setting("sum_by", "all"), " or ", Setting("point", "mean"))


@dataclass(frozen=True)
class Part:
    """A part of a large table, and what it needs to know of the rest."""

    table: Table  # whole series
    reach: int  # time of the newest value of the whole table, at which all series end
    comparison: Comparison  # of the ids so far with those of the fit

    @property
    def name(self) -> str:
        return self.table.name


@dataclass(frozen=True)
class Forecasts:
    panel: Panel  # what was forecast from
    series: Integers  # those of the panel that get a forecast, in the order of the rows
    quantiles: (
        Numbers  # [series, horizon, levels], of each value alone, before any factor and bound
    )
    shown: Numbers  # [series, horizon, levels], what is written, before any bound
    means: Numbers  # [series, horizon], before any bound
    numbers: Numbers  # [series, horizon, 1 + 2 * intervals], those of the output
    published: (
        Numbers  # [series, horizon, 5], the point and the 80 and 95 % intervals, as in the columns
    )
    columns: Columns = field(
        default_factory=dict
    )  # of a table, as `Forecaster.predict` returns them
    # why series get none: ``{("store 7",): "missing"}``
    skipped: dict[tuple[str, ...], str] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        return int(np.prod(self.quantiles.shape[:2]))


@dataclass(frozen=True)
class ForecastOptions:
    series: Integers | None = (
        None  # indices into the panel; default all that get a forecast, in their order
    )
    # from series and `Forecasts.quantiles` to the factors [levels] by which quantiles move away from the median
    factors: Callable[[Integers, Numbers], Numbers] | None = None


def load_predictor(
    store: str, version: str | None = None, device: str = "auto", engine: EngineName = "auto"
) -> Predictor:
    """The forecaster of the live version of a store, or of another version, ready to forecast."""
    contents, info = Store(store).load(version)
    with _named(store, info.id):
        fitted = from_contents(contents)
    backend = pick_engine(fitted, engine, device) if fitted.config.networks else None
    with _named(store, info.id):
        return Predictor(fitted, device, backend=backend)


def load_fitted(store: str, version: str | None = None) -> Fitted:
    """The forecaster of the live version of a store, or of another version, as plain arrays."""
    contents, info = Store(store).load(version)
    with _named(store, info.id):
        return from_contents(contents)


@contextmanager
def _named(store: str, version: str) -> Iterator[None]:
    try:
        yield
    except (ArtifactRefused, UsageError, RuntimeError) as error:
        reason = str(error).split("\n")[0]
        raise ArtifactRefused(f"{store}/{version}: {reason}") from None


def forecast_table(
    predictor: Predictor,
    source: Source | Part | None = None,
    *,
    future: Table | None = None,
    origin: str | None = None,
    horizon: int | None = None,
    output: OutputSettings | None = None,
    on_panel: Callable[[Panel], ForecastOptions | None] | None = None,
) -> Forecasts:
    """Forecast what comes after the series of a table, by default those of the fit.

    Series that the fit saw and a `Part` lacks are left to the caller. Values after `origin` are not used, and `future`
    has rows of the columns known in advance. `on_panel` gets the panel before it is forecast, and may raise to stop.
    Raises `UsageError` and `BadData` where the table cannot be used, or known values are missing for the horizon.
    """
    fitted, output = predictor.fitted, output or OutputSettings()
    config, history, schema = fitted.config, fitted.history, fitted.config.table
    refuse_clash(schema.keys, output_columns(output))
    horizon = checked_horizon(horizon, config.horizon)
    panel = panel_to_forecast(fitted, source, future, origin)
    unseen = [] if fitted.effects is None else unseen_events(panel, schema, fitted.effects)
    if unseen:
        log.warning(UNSEEN, ", ".join(unseen[:NAMED]))
    with_known = source if future is None else future
    name = "the saved table" if with_known is None else with_known.name
    require_known(panel, schema, horizon, name, with_future=future is not None)
    warn_blank_ahead(panel, schema, config.horizon if config.networks else horizon, name)
    if source is not None:
        warn_seen(panel, history, schema, horizon, source.name)
        warn_short(panel, history, config.lookback, source.name)
    options = None if on_panel is None else on_panel(panel)
    made = forecast_panel(
        predictor, panel, horizon, output, options, ArtifactRefused if source is None else BadData
    )
    named = {status for status in SKIPPED if status != SUM}
    skipped = {
        ids: status for ids, status in zip(panel.ids, panel.status, strict=True) if status in named
    }
    if not isinstance(source, Part):
        skipped |= dict.fromkeys(sorted(set(fitted.ids) - set(panel.ids)), "gone")
    return replace(tabulated(made, fitted, output), skipped=only_in_shard(skipped, output.shard))


def forecast_panel(
    predictor: Predictor,
    panel: Panel,
    horizon: int,
    output: OutputSettings,
    options: ForecastOptions | None = None,
    refuse: type[ForecastError] = ArtifactRefused,
) -> Forecasts:
    """What is published of the forecasts of a panel; raises `refuse` where they are not finite."""
    fitted, options = predictor.fitted, options or ForecastOptions()
    order = panel.order if options.series is None else options.series
    in_this = in_shard(panel.ids, output.shard)
    if output.shard is not None:
        log.info("shard %s: %d of %d series", output.shard, in_this.sum(), len(panel))
    left_out = (panel.skipped | ~in_this)[order]
    series = order[~left_out]
    both = predictor.marginal_and_joint(panel, order, left_out=left_out, joint=output.joint)
    quantiles, shown = (part[:, :horizon] for part in both)
    if not np.isfinite(shown).all():
        problem = "the forecasts are not finite: the values, or the weights of the artifact, are too large to compute"
        raise refuse(problem)
    if options.factors is not None:
        shown = widened(shown, options.factors(series, quantiles))
    means = means_of(
        quantiles, fitted, panel, series
    )  # neither whole paths nor corrections change what is expected
    return numbered(Forecasts(panel, series, quantiles, shown, means, shown, shown), fitted, output)


def numbered(made: Forecasts, fitted: Fitted, output: OutputSettings) -> Forecasts:
    """Forecasts with the numbers of the output that follow from what is shown."""
    panel, series, shown, means = made.panel, made.series, made.shown, made.means
    floor, counts = panel.floor()[series], panel.counts()[series]
    unbounded = unbounded_numbers(shown, fitted.config.levels, output, counts, means)
    log_raised(
        raised(unbounded, output, floor),
        Words("; ", Setting("min", float("-inf")), " turns this off"),
    )
    numbers = bounded(unbounded, output, floor)
    if output.point == "median":
        log_low_totals(
            numbers[..., 0], bounded(means[..., None], output, floor)[..., 0], floor, FOR_TOTALS
        )
    usual, published = output.model_copy(update={"levels": INTERVALS}), numbers
    if usual != output:
        published = bounded(
            unbounded_numbers(shown, fitted.config.levels, usual, counts, means), usual, floor
        )
    return replace(made, numbers=numbers, published=published)


def tabulated(made: Forecasts, fitted: Fitted, output: OutputSettings) -> Forecasts:
    panel, series, numbers, horizon = made.panel, made.series, made.numbers, made.numbers.shape[1]
    if output.integer and np.abs(numbers).max(initial=0) < 2**63:
        numbers = numbers.astype(np.int64)
    names = ["forecast", *interval_columns(output.levels)]
    by_name = dict(zip(names, np.moveaxis(numbers, 2, 0), strict=True))
    columns = columns_at(panel, fitted.config.table, series, np.arange(1, horizon + 1), by_name)
    if output.explain:
        index = series_index(fitted.history.ids, panel.ids)[series]
        columns["model"] = np.repeat(np.array(fitted.ensemble.names(index), object), horizon)
        columns["status"] = np.repeat(np.array(panel.status, object)[series], horizon)
    return replace(made, columns=columns)


def panel_to_forecast(
    fitted: Fitted,
    source: Source | Part | None = None,
    future: Table | None = None,
    origin: str | None = None,
) -> Panel:
    """The series of a table, read as the fit read its own, or those of the fit; parameters as in `forecast_table`."""
    if source is None and origin is not None:
        problem = "needs a table: the artifact keeps only what a forecast from its own end needs"
        raise UsageError(problem, setting=Setting("origin", origin))
    if source is not None:
        panel = reading_to_forecast(fitted, source, future, origin).panel
    else:
        panel = (
            fitted.history
            if future is None
            else with_future(fitted.history, future, fitted.config.table)
        )
    for line in describe_vintages(panel, fitted.config.table):
        log.info("%s", line)
    return panel


def reading_to_forecast(
    fitted: Fitted, source: Source | Part, future: Table | None = None, origin: str | None = None
) -> Reading:
    """A table, read as the fit read its own and compared with the series of the fit."""
    config, history, schema = fitted.config, fitted.history, fitted.config.table
    table, reach = (source.table, source.reach) if isinstance(source, Part) else (source, None)
    reading = read_as(
        table,
        schema,
        horizon=config.horizon,
        lookback=config.lookback,
        future=future,
        origin=origin,
        reach=reach,
    )
    index = series_index(history.ids, reading.panel.ids)
    lowest = np.concatenate([[np.inf], history.lowest_seen()])[index]
    counted = None if history.counted is None else np.concatenate([[True], history.counted])[index]
    panel = replace(reading.panel, lowest=lowest, counted=counted)
    comparison = (
        source.comparison if isinstance(source, Part) else Comparison(fitted.ids, source.name)
    )
    panel = comparison.add(panel)
    if not isinstance(source, Part):
        comparison.warn_missing()
    check_levels(panel, history.ids, fitted.level, config.lookback, source.name, schema.strict)
    return replace(reading, panel=panel)


def future_template(
    fitted: Fitted, source: Source | None, origin: str | None, horizon: int | None
) -> Columns:
    """The rows of columns known in advance that `forecast_table` needs, these columns blank."""
    schema = fitted.config.table
    if not schema.known:
        setting, cure = Setting("future_template"), Words("fit with ", Setting("known"))
        raise UsageError(
            "this forecaster uses no columns that are known in advance", setting=setting, cure=cure
        )
    steps = np.arange(checked_horizon(horizon, fitted.config.horizon)) + 1
    panel = panel_to_forecast(fitted, source, origin=origin)
    shared = schema.layout == "wide"  # a row holds for all series
    series = panel.order[~panel.skipped[panel.order]][: 1 if shared else None]
    blank = dict.fromkeys(schema.known, np.full((len(series), len(steps)), np.nan))
    columns = columns_at(panel, schema, series, steps, blank)
    return {name: column for name, column in columns.items() if not (shared and name in schema.ids)}


def columns_at(
    panel: Panel,
    schema: Schema,
    series: Integers,
    steps: Integers,
    numbers: Mapping[str, NDArray[Any]],
) -> Columns:
    """Id columns, time columns as the input wrote them, and numbers [series, steps], so far after each origin."""
    positions = panel.origins[series][:, None] + steps
    refuse_clash(schema.keys, list(numbers))
    return {
        **repeated_ids([panel.ids[i] for i in series], schema.ids, len(steps)),
        **time_columns_at(schema, calendar_of(schema), positions.ravel()),
        **{name: values.ravel() for name, values in numbers.items()},
    }


def with_events(
    predictor: Predictor, events: Any, changed: Mapping[str, Any] | None = None
) -> Predictor:
    """A forecaster that knows newer events, which replace the fit's from their first day on, and `changed` settings."""
    fitted, table = predictor.fitted, predictor.fitted.config.table.model_copy(update=changed)
    if events is not None:
        newer = read_events(events, table, fitted.history.ids)
        if fitted.effects is None and (
            unknown := sorted({event.name for event in newer if event.kind == "effect"})
        ):
            given = Setting("events", events if isinstance(events, str) else None)
            if not table.dated_events:
                raise UsageError(
                    "this forecaster was fitted without events",
                    setting=given,
                    cure="fit again with them",
                )
            log.warning(UNSEEN, ", ".join(unknown[:NAMED]))
        table = table.model_copy(update={"dated_events": renewed(table.dated_events, newer)})
    return with_schema(predictor, table)


def with_schema(predictor: Predictor, schema: Schema) -> Predictor:
    """The same forecaster with another schema, such as one with other events or settings of `AFTER_FIT`."""
    fitted = predictor.fitted
    if schema == fitted.config.table:
        return predictor
    config, history = (
        fitted.config.model_copy(update={"table": schema}),
        without(fitted.history, schema, "ignore"),
    )
    filled = (
        fitted.filled if (history.observed == fitted.history.observed).all() else None
    )  # then added up anew
    return predictor.serving(replace(fitted, config=config, history=history, filled=filled))


def checked_horizon(horizon: int | None, fitted: int) -> int:
    """The steps to forecast, at most those of the fit."""
    steps: Any = fitted if horizon is None else horizon  # Python may hand over anything
    asked, count = Setting("horizon", steps), int(steps) if isinstance(steps, Integral) else 0
    if count < 1:
        raise UsageError("a whole number of steps is needed, 1 or more", setting=asked)
    if count > fitted:
        cure = Words("fit again with ", asked)
        raise UsageError(f"this forecaster was fitted for {fitted}", setting=asked, cure=cure)
    return count


def error_after(
    predictor: Predictor, later: Reading, actual: Numbers, uncensored: Numbers
) -> float:
    """MASE over actual values after the end of the fit [series, horizon], NaN in `uncensored` for lower bounds."""
    fitted, history = predictor.fitted, predictor.fitted.history
    config, schema = fitted.config, fitted.config.table
    if not np.isfinite(actual).any():
        problem = f"no row lies within {config.horizon} steps after the end of the fit, {config.train_end}"
        raise BadData(problem, cure="score rows that come later than those of the fit")
    rows = later.dated.vintages or later.dated
    history = with_future(history, rows.table, schema, rows.times_by(schema))
    warn_blank_ahead(history, schema, config.horizon, later.name)
    quantiles = predictor.quantiles(history, series := np.flatnonzero(~history.skipped))
    point = np.maximum(quantiles[..., config.levels.index(0.5)], history.floor()[series, None])
    scored = ~np.isnan(uncensored[series]) | (point < actual[series])
    return float(mase(np.where(scored, actual[series], np.nan), point, fitted.naive_error[series]))


def means_of(quantiles: Numbers, fitted: Fitted, panel: Panel, series: Integers) -> Numbers:
    """The means of the forecasts of series, [series, horizon]; their past without closed slots counts."""
    calibration, recent = fitted.ensemble.calibration, Recent.unknown(len(series))
    if calibration.mean_weight < 1:
        fixed = fixed_of(fitted, panel)
        opened = without_censored(panel, fitted.config.table)
        opened = (
            opened if fixed is None else replace(opened, observed=opened.observed & np.isnan(fixed))
        )
        recent = Recent.of(opened, (series, panel.lengths[series]))
    return calibration.means(quantiles, fitted.config.levels, recent)
