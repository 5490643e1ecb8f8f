"""Backtest: forecast from rolling origins in the past, and measure against what came."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from numpy.typing import NDArray

from forecast.errors import Message, message_in
from forecast.evaluation.origins import cut
from forecast.evaluation.quantiles import bounded, free_numbers, raised, say_raised
from forecast.evaluation.references import Fit, baseline_fit
from forecast.evaluation.tables import (
    REFERENCE,
    Judged,
    forecasts_table,
    in_sample_errors,
    measure_tables,
    result_columns,
)
from forecast.panel.panel import Integers, Panel
from forecast.panel.schema import Schema
from forecast.settings import INTERVALS, OutputSettings
from forecast.tables.writing import refuse_clash

log = logging.getLogger("forecast")

Values = NDArray[np.float64]

SLOTS = 50_000_000  # of panels at all their origins that one call of a model is given


@dataclass(frozen=True)
class Backtest:
    """How good forecasts from rolling origins were.

    Attributes
    ----------
    overall : a row for each model: ``model``, then ``skill`` (1 - MASE / MASE of seasonal naive: above 0 is better than
        repeating the last season), the other measures, and the seconds that fits and forecasts took. `smape` is in
        percent, `wape`, `wql` and `coverage_80` are shares, `width_80` is in the unit of `mase`
    by_series : the same for each series, its id columns first
    by_step : the same for each step of the horizon
    forecasts : a row for each forecast: id columns, ``origin``, the time column, ``model``, ``actual``, ``forecast``,
        ``lo_80`` and so on
    season : steps back of the seasonal naive forecast, and of the unit of `mase`; 1 is the value before
    origins : the times after which the longest series was forecast, the oldest first
    missing : ids of series that were left out, as they have too few values
    """

    overall: pd.DataFrame
    by_series: pd.DataFrame
    by_step: pd.DataFrame
    forecasts: pd.DataFrame
    season: int
    origins: tuple[str, ...]
    missing: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Fold:
    """Where a backtest stands: `done` of `folds` are over, the newest of them by `model`."""

    done: int
    folds: int
    model: str


@dataclass(frozen=True)
class _Result:
    """Forecasts of one model at some origins, [windows, horizon, levels], the time they took, and what was said."""

    quantiles: Values
    fit_seconds: float
    predict_seconds: float
    messages: list[tuple[int, Message]]


def backtest(
    panel: Panel,
    schema: Schema,
    models: dict[str, Fit],
    origins: Integers,
    levels: tuple[float, ...],
    *,
    intervals: tuple[float, ...] = INTERVALS,
    refit: bool = False,
    jobs: int = 1,
    on_fold: Callable[[Fold], None] | None = None,
) -> Backtest:
    """Forecast from rolling origins, and measure against what came; seasonal naive is always among the models.

    A model is fitted on, and forecasts from, panels that end at the origin: nothing later can reach it. The unit of
    MASE, RMSSE, widths and interval scores is the in-sample error of seasonal naive before the oldest origin, one for
    all origins, so that a series that begins later has none and does not count there.

    Parameters
    ----------
    panel : with a horizon of future slots
    schema : how the table was read
    models : what fits and predicts, by name
    origins : [origins, series], from `choose_origins`
    levels : quantile levels of the forecasts
    intervals : in percent, whose coverage and width are measured
    refit : fit at each origin; by default the fit at the oldest origin forecasts from all of them
    jobs : pairs of model and fit side by side
    on_fold : is told when one of them is over

    Returns
    -------
    The tables of measures, and all forecasts.

    Raises
    ------
    UsageError
        If an id or time column has the name of a column of these tables.
    """
    refuse_clash(schema, result_columns(intervals), "result")
    season = schema.season[0] if schema.season else 1
    models = {REFERENCE: baseline_fit(REFERENCE, season, levels), **models}
    folds = [np.array([i]) for i in range(len(origins))] if refit else [np.arange(len(origins))]
    tasks = [(name, places) for name in models for places in folds]
    run = Parallel(n_jobs=jobs, return_as="generator")(
        delayed(_fold)(panel, models[name], origins[places]) for name, places in tasks
    )
    found = cut(panel, origins)
    size = (len(panel), len(origins), panel.ahead)
    actual = _laid_out(found.actual, found.series, found.origin, size)
    numbers, fits, predicts = {}, dict.fromkeys(models, 0.0), dict.fromkeys(models, 0.0)
    output, said, floor = OutputSettings(levels=intervals), set(), found.panel.floor()
    low = np.zeros(len(panel), bool)
    for done, ((name, places), result) in enumerate(zip(tasks, run, strict=True), start=1):
        rows = np.isin(found.origin, places)
        free = free_numbers(result.quantiles, levels, output)
        one = bounded(free, output, floor[rows])
        low[found.series[rows]] |= raised(free, output, floor[rows])
        if name not in numbers:
            numbers[name] = np.full((*size, one.shape[-1]), np.nan)
        numbers[name][found.series[rows], found.origin[rows]] = one
        fits[name] += result.fit_seconds
        predicts[name] += result.predict_seconds
        for level, message in result.messages:
            if (name, message) not in said:
                log.log(level, "%s: %s", name, message)
            said.add((name, message))
        if on_fold is not None:
            on_fold(Fold(done, len(tasks), name))
    say_raised(int(low.sum()), len(panel))
    scale, squared = in_sample_errors(panel, origins[0], season)
    judged = Judged(panel, schema, actual, numbers, intervals, scale, squared)
    overall, by_series, by_step = measure_tables(judged)
    overall = overall.assign(
        fit_seconds=[fits[name] for name in models], predict_seconds=[predicts[name] for name in models]
    )
    forecasts, times = forecasts_table(judged, origins)
    return Backtest(overall, by_series, by_step, forecasts, season, times)


def _fold(panel: Panel, fit: Fit, origins: Integers) -> _Result:
    """Fit at the oldest of some origins, and forecast from all of them at once."""
    with _kept() as messages:
        start = time.perf_counter()
        predict = fit(panel.until(origins[0]))
        fitted = time.perf_counter()
        together = max(1, SLOTS // len(panel.values))
        parts = [predict(cut(panel, origins[low : low + together]).panel) for low in range(0, len(origins), together)]
        return _Result(np.concatenate(parts), fitted - start, time.perf_counter() - fitted, messages)


@contextmanager
def _kept() -> Iterator[list[tuple[int, Message]]]:
    """Keep what is logged, which many folds say alike and other processes could not say at all."""
    messages: list[tuple[int, Message]] = []

    def keep(record: logging.LogRecord) -> bool:
        messages.append((record.levelno, message_in(record)))
        return False

    log.addFilter(keep)
    try:
        yield messages
    finally:
        log.removeFilter(keep)


def _laid_out(values: Values, series: Integers, origin: Integers, size: tuple[int, int, int]) -> Values:
    """From [windows, horizon] to [series, origins, horizon], NaN where a series had not begun."""
    result = np.full(size, np.nan)
    result[series, origin] = values
    return result
