"""Forecast a large table part by part, in memory that does not grow with the number of series."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from forecast.errors import BadData, ForecastError
from forecast.inference.forecasting import Columns, Forecasts, Part, forecast_table
from forecast.inference.predictor import WINDOWS_AT_ONCE, Predictor
from forecast.logs import PART, messages_as_one, without_messages
from forecast.panel.schema import Schema, calendar_of
from forecast.panel.shards import only_in_shard
from forecast.reading.comparing import Comparison
from forecast.reading.reading import reach_of
from forecast.reading.tidying import tidied
from forecast.settings import OutputSettings, TextSettings
from forecast.tables.parts import Parts, parts_of
from forecast.tables.table import Table
from forecast.threads import in_order

log = logging.getLogger("forecast")

LEAST_ROWS = 2_000_000  # of a table that is read in parts


@dataclass
class LargeForecasts:
    """Forecasts of a large table, made as they are read.

    Attributes
    ----------
    predictor, schema, parts : what forecasts, how the table is read, and the table
    reach : time of its newest value
    horizon, output : as `forecast_table` takes them
    skipped : series that got no forecast, with the reason, once all is read
    """

    predictor: Predictor
    schema: Schema
    parts: Parts
    reach: int
    horizon: int | None
    output: OutputSettings
    skipped: dict[tuple[str, ...], str] = field(default_factory=dict)

    @property
    def newest(self) -> int:
        """Grid position of the newest value."""
        return int(calendar_of(self.schema).positions(np.array([self.reach]))[0])

    def columns(self) -> Iterator[Columns]:
        """The columns of the forecasts of each part; messages come when all is forecast.

        Raises
        ------
        ForecastError
            If the table cannot be used, or has to be read as a whole.
        """
        comparison = Comparison(self.predictor.fitted.history.ids, self.parts.name)
        progress, self.predictor.on_windows = self.predictor.on_windows, None
        done, alone = 0, self.predictor.backend is not None and not self.predictor.backend.threads

        left = begun = False

        def forecast(part: tuple[int, Table]) -> Forecasts:
            number, table = part
            PART.set(number)
            return self._forecast(Part(tidied(table), self.reach, comparison))

        with messages_as_one(log):
            for forecasts in in_order(forecast, enumerate(self.parts.read()), threads=not alone):
                self.skipped |= forecasts.skipped
                done += len(forecasts.panel)
                if progress is not None:
                    progress(done, self.parts.series)
                left = left or not forecasts.panel.skipped.all()
                if forecasts.rows or not begun:
                    begun = True
                    yield forecasts.columns  # at least once, as a shard may have no series
            if not left:
                raise BadData("no series is left to forecast", place=self.parts.name)
            comparison.say_missing()
        self.skipped |= only_in_shard(dict.fromkeys(comparison.missing, "gone"), self.output.shard)

    def _forecast(self, part: Part) -> Forecasts:
        return forecast_table(self.predictor, part, schema=self.schema, horizon=self.horizon, output=self.output)


def large_forecasts(
    predictor: Predictor,
    source: str,
    reading: TextSettings,
    schema: Schema,
    horizon: int | None,
    output: OutputSettings,
) -> LargeForecasts | None:
    """Forecasts of a large table; None where it is small, or has to be read as a whole.

    Parameters
    ----------
    source : the path of the table
    reading : the settings of reading a text
    """
    if schema.layout != "long" or not schema.ids or len(schema.time) > 1 or schema.aggregate or schema.target is None:
        return None
    try:
        with without_messages(log):
            parts = parts_of(source, reading, schema.ids, schema.time[0], schema.target, LEAST_ROWS, WINDOWS_AT_ONCE)
            if parts is None:
                return None
            reach = reach_of(tidied(parts.newest), schema)
    except ForecastError:
        return None  # reading the whole says what is wrong, and where
    return LargeForecasts(predictor, schema, parts, reach, horizon, output)
