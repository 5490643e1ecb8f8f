"""Forecast a table or the series of the fit: as a whole, or a large file part by part."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from forecast.engine.requests import Forecast, ForecastRequest, TableFile
from forecast.errors import ArtifactRefused, BadData, ForecastError
from forecast.inference.forecasting import (
    Columns,
    ForecastPart,
    Forecasts,
    build_forecasts,
    checked_horizon,
    compute_quantiles,
    find_skipped,
    panel_of_table,
)
from forecast.inference.overrides import apply_overrides
from forecast.inference.predictor import NETWORK_WINDOWS_AT_ONCE, Predictor
from forecast.logs import held_back, log_kinds
from forecast.panel.comparing import Comparison
from forecast.panel.dated import normalise
from forecast.panel.large import LargeTable, large_table, needed_columns, newest_time
from forecast.panel.panel import Id, Integers, Panel
from forecast.panel.schema import Schema, build_calendar
from forecast.tables.table import Table
from forecast.threads import OnPart, in_order
from forecast.totals.orders import order_columns
from forecast.totals.override_sheet import sheet_columns
from forecast.totals.paths import path_columns
from forecast.totals.sums import Totals

LEAST_ROWS = 2_000_000  # fewest rows of a table that is read in parts

Messages = list[logging.LogRecord]


def forecast(predictor: Predictor, request: ForecastRequest) -> Forecast:
    """Forecast the series of a table, by default those of the fit.

    With `in_parts` a large file is forecast part by part, each part when the caller asks for it;
    otherwise the file is read as a whole. Raises `UsageError` and `BadData` if the table cannot be
    used, or values known in advance are missing for the horizon.
    """
    request.check()
    new_totals(predictor, request)  # refuses impossible sums before the table is read
    if isinstance(request.source, TableFile):
        large = forecast_large(predictor, request)
        if large is not None:
            return large
        request = replace(request, source=request.source.load())
    return forecast_part(predictor, request)


def forecast_part(predictor: Predictor, request: ForecastRequest) -> Forecast:
    """Answer a request whose series are forecast together: a whole table, or a part of one."""
    totals = new_totals(predictor, request)
    forecasts = _forecast(predictor, request)
    forecasts, _ = apply_overrides(forecasts, predictor.fitted, request.output, request.overrides)
    if totals is not None:
        totals.add(forecasts)
    orders = None
    if request.orders is not None:
        orders = order_columns(predictor, forecasts, request.output, request.orders)
    paths: Iterable[Columns] = ()
    if request.paths is not None:
        paths = path_columns(forecasts, predictor.fitted, request.output, request.paths)
    name = getattr(request.source, "name", "the saved table")
    return Forecast(
        predictor.fitted,
        name,
        parts=(forecasts,),
        totals=totals,
        paths=paths,
        orders=orders,
        sheet=sheet_columns(forecasts, predictor.fitted.schema, totals) if request.sheet else None,
        skipped=forecasts.skipped,
    )


def new_totals(predictor: Predictor, request: ForecastRequest) -> Totals | None:
    """Sums to which no series has been added yet; None if the request asks for no sums.

    Raises `UsageError` if the table cannot have such sums.
    """
    if request.sums is None:
        return None
    return Totals(predictor, request.sums, request.output, request.horizon)


def _forecast(predictor: Predictor, request: ForecastRequest) -> Forecasts:
    fitted = predictor.fitted
    source = request.source
    if isinstance(source, TableFile):
        raise TypeError("a file has to be loaded")
    predictor = predictor.replace_fitted(fitted)
    predictor.on_windows = request.on_series
    horizon = checked_horizon(request.horizon, fitted.config.horizon)
    if isinstance(source, Panel):
        panel = source
        skipped: dict[Id, str] = {}
    else:
        panel = panel_of_table(
            fitted,
            source,
            future=request.future,
            origin=request.origin,
            horizon=request.horizon,
            output=request.output,
        )
        skipped = find_skipped(fitted, panel, whole=not isinstance(source, ForecastPart))
    if request.on_newest is not None:
        request.on_newest(panel.newest)
    chosen = None if request.choose is None else request.choose(panel)
    of_artifact = source is None or isinstance(source, Panel)
    refuse = ArtifactRefused if of_artifact else BadData
    series, quantiles = compute_quantiles(predictor, panel, horizon, chosen, refuse)
    return build_forecasts(fitted, request.output, panel, series, quantiles, skipped)


@dataclass(frozen=True)
class LargeForecast:
    """The forecast of a large table, each part of which is forecast like a small table."""

    predictor: Predictor
    request: ForecastRequest  # its functions are called in the process of the caller
    table: LargeTable
    reach: int  # timestamp of the newest value of the whole table

    @property
    def schema(self) -> Schema:
        return self.predictor.fitted.schema

    @property
    def newest(self) -> int:
        """The grid position of the newest value."""
        return int(build_calendar(self.schema).positions(np.array([self.reach]))[0])

    def comparison(self) -> Comparison:
        """A new comparison of the ids of the table with those of the fit; it has no ids yet."""
        fitted = self.predictor.fitted
        return Comparison(fitted.ids, self.table.name, fitted.history.origin)

    def of_part(self, rows: Table, comparison: Comparison) -> tuple[Forecast, Messages]:
        """The forecast of some whole series, and messages to log after all parts are forecast."""
        part = ForecastPart(normalise(rows), self.reach, comparison)
        with held_back() as messages:
            request = replace(self.request, source=part)
            return forecast_part(self.predictor, request), messages


@dataclass
class Collected:
    """What the parts of a large table have in common, collected part by part."""

    work: LargeForecast
    comparison: Comparison
    totals: Totals | None
    messages: Messages = field(default_factory=list)
    skipped: dict[Id, str] = field(default_factory=dict)  # with the reason; complete at the end

    @classmethod
    def collect(cls, work: LargeForecast, messages: Messages) -> "Collected":
        totals = new_totals(work.predictor, work.request)
        return cls(work, work.comparison(), totals, messages)

    def add(self, totals: Totals | None, skipped: dict[Id, str], messages: Messages) -> None:
        self.messages += messages
        self.skipped |= skipped
        if self.totals is not None and totals is not None:
            self.totals.merge(totals)

    def finish(self, has_forecasts: bool) -> None:
        """Log the messages of the parts, and which series of the fit the table lacks."""
        if not has_forecasts:
            raise BadData("no series is left to forecast", place=self.work.table.name)
        log_kinds(self.messages)
        self.comparison.warn_of_missing_ids()
        self.skipped |= dict.fromkeys(self.comparison.missing, "gone")


def forecast_large(predictor: Predictor, request: ForecastRequest) -> Forecast | None:
    """The forecast of a large file; None if it is small, or has to be read as a whole."""
    schema = predictor.fitted.schema
    source = request.source
    by_hand = request.overrides is not None or request.orders is not None or request.sheet
    needs_whole = any((request.future, request.origin, request.paths, by_hand))
    if needs_whole or not request.in_parts or request.choose is not None:
        return None
    if not isinstance(source, TableFile) or schema.successions:
        return None
    if predictor.fitted.config.sums or not schema.ids or schema.aggregate or schema.target is None:
        return None
    try:
        with held_back() as messages:
            table = large_table(source.path, source.text, LEAST_ROWS, schema.ids)
            if table is None:
                return None
            starts, times = table.survey(schema.ids, schema.time, schema.target)
            if starts is None:
                return None
            reach = newest_time(times, schema)
    except ForecastError:
        return None  # reading the whole table finds what is wrong, and where
    of_parts = replace(request, on_newest=None, on_series=None)
    work = LargeForecast(predictor, of_parts, table, reach)
    if request.on_newest is not None:
        request.on_newest(work.newest)
    collected = Collected.collect(work, messages)
    parts = _collect(work, starts, collected, request.on_series)
    return Forecast(
        predictor.fitted, table.name, parts, collected.totals, skipped=collected.skipped
    )


def _collect(
    work: LargeForecast, starts: Integers, collected: Collected, on_series: OnPart | None
) -> Iterator[Forecasts]:
    """The forecasts of the first part, even if it has none, and of further parts that have some.

    `starts` [series + 1] has the first row of each series, and the number of rows.
    """
    table = work.table
    backend = work.predictor.backend
    cuts = [*starts[:-1:NETWORK_WINDOWS_AT_ONCE].tolist(), int(starts[-1])]
    needed = needed_columns(work.schema, table)
    rows = table.parts(needed, cuts)
    done = 0
    has_begun = False
    has_forecasts = False
    with table.location.refuse_changes(table.pins):
        for part, messages in in_order(
            lambda rows: work.of_part(rows, collected.comparison),
            rows,
            threads=backend is None or backend.threads,
        ):
            forecasts = part.whole
            collected.add(part.totals, part.skipped, messages)
            done += len(forecasts.panel)
            if on_series is not None:
                on_series(done, len(starts) - 1)
            has_forecasts = has_forecasts or not forecasts.panel.skipped.all()
            if forecasts.rows or not has_begun:
                has_begun = True
                yield forecasts
    collected.finish(has_forecasts)
