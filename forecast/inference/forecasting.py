"""Forecast a table by a fitted forecaster: load it, read the table as the fit did, check it, write what comes next."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.artifacts.store import Store
from forecast.ensemble.calibration import widened
from forecast.ensemble.pasts import Recent
from forecast.errors import ArtifactRefused, BadData, ForecastError, Setting, UsageError, Words
from forecast.evaluation.quantiles import bounded, free_numbers, log_low_totals, log_raised, raised
from forecast.events.effects import NAMED, unseen_events
from forecast.events.table import read_events, renewed
from forecast.inference.contents import from_contents
from forecast.inference.engines import pick_engine
from forecast.inference.fitted import Fitted
from forecast.inference.predictor import Predictor, fixed_of
from forecast.panel.naming import repeated_ids
from forecast.panel.panel import SKIPPED, Flags, Ids, Integers, Numbers, Panel, series_index
from forecast.panel.schema import Schema, calendar_of, time_columns_at
from forecast.panel.shards import in_shard, only_in_shard
from forecast.reading.building import with_future
from forecast.reading.comparing import Comparison, check_levels, compare_ids, say_seen, say_short
from forecast.reading.known import require_known, say_blank_beyond
from forecast.reading.reading import Reading, Source, read_as
from forecast.settings import INTERVALS, EngineName, OutputSettings
from forecast.tables.frames import Column
from forecast.tables.table import Table
from forecast.tables.writing import interval_columns, output_columns, refuse_clash

log = logging.getLogger("forecast")

Columns = dict[str, Column | NDArray[Any]]


@dataclass(frozen=True)
class Part:
    """A part of a large table, and what it needs to know of the rest.

    Attributes
    ----------
    table : whole series of it
    reach : time of the newest value of the whole table, at which all series end
    comparison : of the ids so far with those of the fit
    """

    table: Table
    reach: int
    comparison: Comparison

    @property
    def name(self) -> str:
        """What messages call the table."""
        return self.table.name


@dataclass(frozen=True)
class Forecasts:
    """A table of forecasts, and what it was forecast from.

    Attributes
    ----------
    columns : by name, as `Forecaster.predict` returns them
    skipped : series that get no forecast, with the reason: ``{("store 7",): "missing"}``
    panel : what was forecast from
    series : [series], those of the panel that get a forecast, in the order of the rows
    quantiles : [series, horizon, levels], of each value alone, before any factor and bound
    published : [series, horizon, 5], the point and the ends of the 80 and 95 % intervals as the columns have them, or
        would have them
    """

    columns: Columns
    skipped: dict[tuple[str, ...], str]
    panel: Panel
    series: Integers
    quantiles: Numbers
    published: Numbers

    @property
    def rows(self) -> int:
        """The rows of each column."""
        return int(np.prod(self.quantiles.shape[:2]))


@dataclass(frozen=True)
class Wanted:
    """What is forecast of a panel.

    Attributes
    ----------
    series : [series], indices into the panel, none that gets no forecast; default all others, in their order
    factors : given the series and `Forecasts.quantiles`, the factors [levels] by which the distance of each quantile
        from the median grows; default 1
    """

    series: Integers | None = None
    factors: Callable[[Integers, Numbers], Numbers] | None = None


def load_predictor(
    store: str, version: str | None = None, device: str = "auto", engine: EngineName = "auto"
) -> Predictor:
    """The forecaster of the live version of a store, or of another version, ready to forecast."""
    contents, info = Store(store).load(version)
    with _named(f"{store}/{info.id}"):
        fitted = from_contents(contents)
    backend = pick_engine(fitted, engine, device) if fitted.config.networks else None
    with _named(f"{store}/{info.id}"):
        return Predictor(fitted, device, backend=backend)


def load_fitted(store: str, version: str | None = None) -> Fitted:
    """The forecaster of the live version of a store, or of another version, as plain arrays."""
    contents, info = Store(store).load(version)
    with _named(f"{store}/{info.id}"):
        return from_contents(contents)


@contextmanager
def _named(version: str) -> Iterator[None]:
    """Name the version that is refused."""
    try:
        yield
    except (ArtifactRefused, UsageError, RuntimeError) as error:
        reason = str(error).split("\n")[0]
        raise ArtifactRefused(f"{version}: {reason}") from None


def forecast_table(
    predictor: Predictor,
    source: Source | Part | None = None,
    *,
    schema: Schema | None = None,
    future: Table | None = None,
    origin: str | None = None,
    horizon: int | None = None,
    output: OutputSettings | None = None,
    on_panel: Callable[[Panel], Wanted | None] | None = None,
) -> Forecasts:
    """Forecast what comes after the series of a table, or after those that the fit saw.

    Parameters
    ----------
    source : the table; default the series of the fit. Series that the fit saw and a part of a table lacks are left to
        the caller
    schema : how to read it; default as the fit did
    future : rows of the columns known in advance
    origin : forecast from this time of the table: later values are not used
    horizon : fewer steps than at fit
    output : what the table of forecasts holds
    on_panel : gets the panel before it is forecast; may return what is wanted of it, or raise to stop

    Raises
    ------
    UsageError, BadData
        If the table cannot be used, or values known in advance are missing for the horizon.
    """
    fitted, output = predictor.fitted, output or OutputSettings()
    config, history = fitted.config, fitted.history
    refuse_clash(config.table.keys, output_columns(output))
    horizon = checked_horizon(horizon, config.horizon)
    panel = panel_to_forecast(fitted, source, schema, future, origin)
    _say_unseen(panel, config.table, fitted)
    with_known = source if future is None else future
    name = "the saved table" if with_known is None else with_known.name
    require_known(panel, config.table, horizon, name, with_future=future is not None)
    say_blank_beyond(panel, config.table, horizon, config.horizon if config.networks else horizon, name)
    if source is not None:
        say_seen(panel, history, config.table, horizon, source.name)
        say_short(panel, history, config.lookback, source.name)
    wanted = (None if on_panel is None else on_panel(panel)) or Wanted()
    order = panel.order if wanted.series is None else wanted.series
    left_out = _left_out(panel, output.shard)[order]
    series = order[~left_out]
    both = predictor.marginal_and_joint(panel, order, left_out=left_out, joint=output.joint)
    quantiles, shown = (part[:, :horizon] for part in both)
    _require_finite(shown, ArtifactRefused if source is None else BadData)
    floor, counts = panel.floor()[series], panel.counts()[series]
    if wanted.factors is not None:
        shown = widened(shown, wanted.factors(series, quantiles))
    means = _means(quantiles, fitted, panel, series)  # neither whole paths nor corrections change what is expected
    numbers = _bounded(shown, means, fitted, output, floor, counts)
    columns = _output_columns(fitted, panel, series, numbers, output)
    usual = output.model_copy(update={"levels": INTERVALS})
    free = free_numbers(shown, config.levels, usual, counts, means)
    published = numbers if usual == output else bounded(free, usual, floor)
    skipped = only_in_shard(_skipped(panel, () if isinstance(source, Part) else history.ids), output.shard)
    return Forecasts(columns, skipped, panel, series, quantiles, published)


def panel_to_forecast(
    fitted: Fitted,
    source: Source | Part | None = None,
    schema: Schema | None = None,
    future: Table | None = None,
    origin: str | None = None,
) -> Panel:
    """The series of a table, read as the fit read its own, or those of the fit; parameters as in `forecast_table`."""
    if source is None:
        return _continued(fitted, future, origin)
    return reading_to_forecast(fitted, source, schema, future, origin).panel


def reading_to_forecast(
    fitted: Fitted,
    source: Source | Part,
    schema: Schema | None = None,
    future: Table | None = None,
    origin: str | None = None,
) -> Reading:
    """A table, read as the fit read its own and compared with the series of the fit."""
    config, history = fitted.config, fitted.history
    schema = schema or config.table
    part = source if isinstance(source, Part) else None
    reading = read_as(
        source.table if isinstance(source, Part) else source,
        schema,
        horizon=config.horizon,
        lookback=config.lookback,
        future=future,
        origin=origin,
        reach=None if part is None else part.reach,
    )
    index = series_index(history.ids, reading.panel.ids)
    lowest = np.concatenate([[np.inf], history.lowest_seen()])[index]
    counted = None if history.counted is None else np.concatenate([[True], history.counted])[index]
    panel = replace(reading.panel, lowest=lowest, counted=counted)
    panel = compare_ids(panel, history.ids, source.name) if part is None else part.comparison.add(panel)
    check_levels(panel, history.ids, fitted.level, config.lookback, source.name, schema.strict)
    return replace(reading, panel=panel)


def columns_at(
    panel: Panel, schema: Schema, series: Integers, steps: Integers, numbers: Mapping[str, NDArray[Any]]
) -> Columns:
    """A row per series and step: id columns, the time columns as the input wrote them, numbers.

    Parameters
    ----------
    series : [series], indices into the panel, in the order of the rows
    steps : [steps], how many steps each lies after the origin of its series; 0 and less for the past
    numbers : by name, each [series, steps]
    """
    positions = panel.origins[series][:, None] + steps
    refuse_clash(schema.keys, list(numbers))
    return {
        **repeated_ids([panel.ids[i] for i in series], schema.ids, len(steps)),
        **time_columns_at(schema, calendar_of(schema), positions.ravel()),
        **{name: values.ravel() for name, values in numbers.items()},
    }


def with_events(predictor: Predictor, events: Table | str | None) -> Predictor:
    """A forecaster that knows newer events; from their first day on they replace those of the fit.

    Parameters
    ----------
    events : as a table or the path of its file; None for those of the fit

    Raises
    ------
    UsageError
        If the fit had no events.
    BadData
        If the table of events cannot be used.
    """
    if events is None:
        return predictor
    fitted = predictor.fitted
    if fitted.effects is None:
        given = Setting("events", events if isinstance(events, str) else events.name)
        raise UsageError("this forecaster was fitted without events", setting=given, cure="fit again with them")
    table = fitted.config.table
    newer = renewed(table.dated_events, read_events(events, table, fitted.history.ids))
    config = fitted.config.model_copy(update={"table": table.model_copy(update={"dated_events": newer})})
    return predictor.serving(replace(fitted, config=config))


def _say_unseen(panel: Panel, schema: Schema, fitted: Fitted) -> None:
    """Warn of events ahead that the fit has not seen."""
    unseen = [] if fitted.effects is None else unseen_events(panel, schema, fitted.effects)
    if unseen:
        log.warning("without effect, as the past of the fit has not shown them: %s", ", ".join(unseen[:NAMED]))


def checked_horizon(horizon: int | None, fitted: int) -> int:
    """The steps to forecast, at most those of the fit."""
    if horizon is None:
        return fitted
    asked = Setting("horizon", horizon)
    if horizon < 1:
        raise UsageError("at least 1 step", setting=asked)
    if horizon > fitted:
        raise UsageError(
            f"this forecaster was fitted for {fitted}", setting=asked, cure=Words("fit again with ", asked)
        )
    return horizon


def _continued(fitted: Fitted, future: Table | None, origin: str | None) -> Panel:
    """The series of the fit."""
    if origin is not None:
        problem = "needs a table: the artifact keeps only what a forecast from its own end needs"
        raise UsageError(problem, setting=Setting("origin", origin))
    return fitted.history if future is None else with_future(fitted.history, future, fitted.config.table)


def _bounded(
    quantiles: Numbers, means: Numbers, fitted: Fitted, output: OutputSettings, floor: Numbers, counts: Flags
) -> Numbers:
    """The numbers of the output, [series, horizon, columns], within their bounds."""
    free = free_numbers(quantiles, fitted.config.levels, output, counts, means)
    cure = Words("; ", Setting("min", float("-inf")), " turns this off")
    log_raised(int(raised(free, output, floor).sum()), len(floor), cure)
    numbers = bounded(free, output, floor)
    if output.point == "median":
        expected = bounded(means[..., None], output, floor)[..., 0]
        log_low_totals(numbers[..., 0], expected, floor, Words("for totals pass ", Setting("point", "mean")))
    return numbers


def _require_finite(quantiles: Numbers, kind: type[ForecastError]) -> None:
    if not np.isfinite(quantiles).all():
        raise kind("the forecasts are not finite: the values, or the weights of the artifact, are too large to compute")


def _means(quantiles: Numbers, fitted: Fitted, panel: Panel, series: Integers) -> Numbers:
    """The means of the forecasts of series, [series, horizon]; their past without closed slots counts."""
    calibration, recent = fitted.ensemble.calibration, Recent.unknown(len(series))
    if calibration.trust < 1:
        fixed = fixed_of(fitted, panel)
        opened = panel if fixed is None else replace(panel, observed=panel.observed & np.isnan(fixed))
        recent = Recent.of(opened, (series, panel.lengths[series]))
    return calibration.means(quantiles, fitted.config.levels, recent)


def _output_columns(
    fitted: Fitted, panel: Panel, series: Integers, numbers: Numbers, output: OutputSettings
) -> Columns:
    """The columns that the user gets, by name."""
    schema, horizon = fitted.config.table, numbers.shape[1]
    names = ["forecast", *interval_columns(output.levels)]
    if output.integer and np.abs(numbers).max(initial=0) < 2**63:
        numbers = numbers.astype(np.int64)
    by_name = dict(zip(names, np.moveaxis(numbers, 2, 0), strict=True))
    columns = columns_at(panel, schema, series, np.arange(1, horizon + 1), by_name)
    if output.explain:
        index = series_index(fitted.history.ids, panel.ids)[series]
        columns["model"] = np.repeat(np.array(fitted.ensemble.names(index), object), horizon)
        columns["status"] = np.repeat(np.array(panel.status, object)[series], horizon)
    return columns


def _left_out(panel: Panel, shard: str | None) -> Flags:
    """[series], whether a series gets no forecast here."""
    held = in_shard(panel.ids, shard)
    if shard is not None:
        log.info("shard %s: %d of %d series", shard, held.sum(), len(panel))
    return np.asarray(panel.skipped | ~held)


def _skipped(panel: Panel, fitted: Ids) -> dict[tuple[str, ...], str]:
    """Series without a forecast, and why; those of the fit that are gone come last."""
    skipped = {ids: word for ids, word in zip(panel.ids, panel.status, strict=True) if word in SKIPPED}
    return skipped | dict.fromkeys(sorted(set(fitted) - set(panel.ids)), "gone")
