"""Forecast a large table part by part, in memory that does not grow with the number of series."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol, Self

import numpy as np

from forecast.errors import BadData, ForecastError
from forecast.inference.forecasting import Columns, Forecasts, Part, forecast_table
from forecast.inference.predictor import WINDOWS_AT_ONCE, Predictor
from forecast.logs import held_back, log_kinds
from forecast.panel.naming import only_in_shard
from forecast.panel.panel import Integers
from forecast.panel.schema import Schema, calendar_of
from forecast.reading.comparing import Comparison
from forecast.reading.dated import normalised
from forecast.reading.large import LargeTable, large_table, needed_columns, newest_time
from forecast.settings import OutputSettings, TextSettings
from forecast.tables.table import Table
from forecast.threads import in_order

log = logging.getLogger("forecast")

LEAST_ROWS = 2_000_000  # of a table that is read in parts

Messages = list[logging.LogRecord]


class Sums(Protocol):
    """Sums of forecasts; see `forecast.totals.sums`."""

    def empty(self) -> Self: ...
    def add(self, forecasts: Forecasts) -> None: ...
    def merge(self, other: Self) -> None: ...


@dataclass
class LargeForecast:
    """A forecast of a large table, made part by part."""

    predictor: Predictor
    schema: Schema
    table: LargeTable
    reach: int  # time of the newest value
    horizon: int | None
    output: OutputSettings
    future: Table | None = None  # more rows of columns known in advance
    totals: Sums | None = None  # to which the forecasts are added
    messages: Messages = field(default_factory=list)
    skipped: dict[tuple[str, ...], str] = field(default_factory=dict)  # with the reason, once all is forecast

    @property
    def newest(self) -> int:
        """Grid position of the newest value."""
        return int(calendar_of(self.schema).positions(np.array([self.reach]))[0])

    def comparison(self) -> Comparison:
        """Of the ids of the table with those of the fit, still without any."""
        return Comparison(self.predictor.fitted.ids, self.table.name)

    def of_part(self, part: Table, comparison: Comparison) -> tuple[Forecasts, Sums | None, Messages]:
        """Forecasts of whole series, their sums, and messages to be logged once all is forecast."""
        sums = None if self.totals is None else self.totals.empty()
        with held_back(log) as messages:
            source = Part(normalised(part), self.reach, comparison)
            forecasts = forecast_table(
                self.predictor, source, schema=self.schema, future=self.future, horizon=self.horizon, output=self.output
            )
            if sums is not None:
                sums.add(forecasts)
        return forecasts, sums, messages

    def columns(self, starts: Integers) -> Iterator[Columns]:
        """The columns of the forecasts of each part; an error may mean that the table has to be read as a whole.

        `starts` [series + 1] are the first row of each series, and the number of all rows.
        """
        predictor, comparison, done, begun, left = self.predictor, self.comparison(), 0, False, False
        progress, predictor.on_windows = predictor.on_windows, None
        threads = predictor.backend is None or predictor.backend.threads
        cuts = [*starts[:-1:WINDOWS_AT_ONCE].tolist(), int(starts[-1])]
        parts = self.table.parts(needed_columns(self.schema, self.table), cuts)
        with self.table.place.unchanged(self.table.pins):
            done_parts = in_order(lambda part: self.of_part(part, comparison), parts, threads=threads)
            for forecasts, sums, messages in done_parts:
                self.messages += messages
                if self.totals is not None and sums is not None:
                    self.totals.merge(sums)
                self.skipped |= forecasts.skipped
                done += len(forecasts.panel)
                if progress is not None:
                    progress(done, len(starts) - 1)
                left = left or not forecasts.panel.skipped.all()
                if forecasts.rows or not begun:
                    begun = True
                    yield forecasts.columns  # at least once, as a shard may have no series
        if not left:
            raise BadData("no series is left to forecast", place=self.table.name)
        log_kinds(log, self.messages)
        comparison.warn_missing()
        self.skipped |= only_in_shard(dict.fromkeys(comparison.missing, "gone"), self.output.shard)


def large_forecasts(
    predictor: Predictor,
    data: str,
    reading: TextSettings,
    schema: Schema,
    horizon: int | None,
    output: OutputSettings,
    totals: Sums | None = None,
) -> tuple[LargeForecast, Iterator[Columns]] | None:
    """A forecast of a large table, and its columns; None where it is small, or has to be read as a whole."""
    if (
        predictor.fitted.config.sums
        or schema.layout != "long"
        or not schema.ids
        or schema.aggregate
        or schema.target is None
    ):
        return None
    try:
        with held_back(log) as messages:
            table = large_table(data, reading, LEAST_ROWS)
            if table is None:
                return None
            starts, times = table.survey(schema.ids, schema.time, schema.target)
            if starts is None:
                return None
            with held_back(log):
                reach = newest_time(times, schema)
    except ForecastError:
        return None  # reading the whole says what is wrong, and where
    found = LargeForecast(predictor, schema, table, reach, horizon, output, totals=totals, messages=messages)
    return found, found.columns(starts)
