"""Backtest: forecast from rolling origins in the past, and compare with the actual values."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from forecast.ensemble.baseline_forecasts import baseline_points
from forecast.errors import Message
from forecast.events.kinds import without_censored
from forecast.intervals.baseline_errors import error_quantiles
from forecast.intervals.bounds import bounded, log_raised, raised, unbounded_numbers
from forecast.logs import held_back, log
from forecast.metrics.metrics import (
    REFERENCE,
    Evaluation,
    Measures,
    measure_frames,
    naive_errors_until,
    seasonal_naive_errors,
)
from forecast.panel.panel import Integers, Numbers, Panel
from forecast.panel.schema import (
    Schema,
    calendar_of,
    format_positions,
    position_texts,
    time_columns_at,
)
from forecast.parallel import side_by_side
from forecast.settings import OutputSettings
from forecast.tables.writing import Column, Frame, frame_of, interval_columns, stacked
from forecast.windows.origins import bounds_at, cut

Predict = Callable[[Panel], Numbers]
"""Quantiles of the values after the end of each series, [series, horizon, levels], ascending along the last axis."""

Fit = Callable[[Panel], Predict]
"""From the panel as it stood at an origin to what forecasts from it, and from later origins."""

MAX_WINDOWS, MAX_ORIGINS = (
    512,
    24,
)  # windows whose errors make intervals, and origins of one series among them
OUTPUT = OutputSettings()  # the intervals whose coverage and width are measured
MAX_SLOTS = 50_000_000  # of panels at all their origins that one call of a model gets


def fit_baseline(name: str, season: int, levels: tuple[float, ...], past: Panel) -> Predict:
    """Fit a baseline with a season in steps, 1 for none, and ascending quantile levels, 0.5 among them.

    Its quantiles are its point plus quantiles of its errors at earlier origins, in units of the mean seasonal error.
    """
    horizon = past.ahead
    back = max(0, int(past.lengths.max()) - horizon - 2) // 2
    count = int(np.clip(MAX_WINDOWS // len(past), 1, min(MAX_ORIGINS, back + 1)))
    shifts = (
        np.round(np.linspace(back, 0, count)).astype(np.int64)
        if count > 1
        else np.zeros(1, np.int64)
    )
    windows = cut(past, past.origins - horizon - shifts[:, None])
    errors = np.zeros((horizon, len(levels)))
    if len(windows.series):
        point, naive_error = _points(name, season, windows.panel)
        observed, ends = np.isfinite(windows.actual), (windows.series, windows.panel.lengths)
        errors = error_quantiles(
            point, np.nan_to_num(windows.actual), observed, naive_error[:, None], levels, ends
        )

    def predict(panel: Panel) -> Numbers:
        point, naive_error = _points(name, season, panel)
        return point[..., None] + naive_error[:, None, None] * errors

    return predict


def _points(name: str, season: int, panel: Panel) -> tuple[Numbers, Numbers]:
    """Point forecasts [series, horizon], and the naive error [series], 0 where the past has none."""
    naive, change = (
        seasonal_naive_errors(panel.values, panel.observed, panel.offsets, lag)
        for lag in (season, 1)
    )
    return baseline_points(name, season, panel), np.nan_to_num(np.where(naive > 0, naive, change))


@dataclass(frozen=True)
class Fold:
    """Progress of a backtest: `done` of `folds` are over, the newest of them by `model`."""

    done: int
    folds: int
    model: str


@dataclass(frozen=True)
class Backtest(Measures):
    """How good forecasts from rolling origins were; `overall` also has the seconds that fits and forecasts took.

    Attributes
    ----------
    overall, by_series, by_step, season : as in `Measures`; where known columns have vintages, `overall` also has
        ``mase_final``, the MASE of forecasts from their final values
    forecasts : a row for each forecast: id columns, ``origin``, the time column, ``actual``, ``model``, ``forecast``,
        ``lo_80`` and so on
    origins : the times after which the longest series was forecast, the oldest first
    missing : ids of series that were left out, as they have too few values
    seen : origins before the end of the fit of a frozen forecaster, whose actual values it has seen
    sums : the rows of `Forecaster.totals` at each ``origin`` beside ``actual`` sums, NaN where a value is unknown, and
        ``naive`` ones; None where none are asked for
    totals : their measures by ``level``
    """

    forecasts: Frame
    origins: tuple[str, ...]
    missing: tuple[tuple[str, ...], ...] = ()
    seen: int = 0
    sums: Frame | None = None
    totals: Frame | None = None


def backtest(
    panel: Panel,
    schema: Schema,
    models: dict[str, Fit],
    origins: Integers,
    levels: tuple[float, ...],
    *,
    refit: bool = False,
    jobs: int = 1,
    on_fold: Callable[[Fold], None] | None = None,
) -> Backtest:
    """Forecast from rolling origins, and compare with the actual values; seasonal naive is always among the models.

    A model is fitted on, and forecasts from, panels that end at the origin: nothing later can reach it. The unit of
    scaled errors is the in-sample error of seasonal naive before the oldest origin; later series have none.

    The panel has a horizon of future slots. Origins, [origins, series], are those of `choose_origins`; the fit at the
    oldest forecasts from all of them unless there is a `refit` at each. `jobs` fits of a model run side by side.
    """
    models = {
        REFERENCE: partial(fit_baseline, REFERENCE, season := schema.shortest_season, levels),
        **models,
    }
    folds = [np.array([i]) for i in range(len(origins))] if refit else [np.arange(len(origins))]
    tasks = [(name, fold) for name in models for fold in folds]
    results = side_by_side(
        ((_run_fold, (panel, models[name], origins[fold]), {}) for name, fold in tasks), jobs
    )
    windows = cut(panel, origins)
    size, width = (len(panel), len(origins), panel.ahead), 1 + 2 * len(OUTPUT.levels)
    numbers, final_numbers = (
        {name: np.full((*size, width), np.nan) for name in models} for _ in range(2)
    )
    seconds = {name: np.zeros(2) for name in models}
    counts, floor = windows.panel.counts(), windows.panel.floor()
    raised_series, logged, sums = (
        np.zeros((len(panel), 2), bool),
        set[tuple[str, str]](),
        list[Frame](),
    )
    for done, ((name, fold), (found, summed, taken, records)) in enumerate(
        zip(tasks, results, strict=True), 1
    ):
        rows = np.flatnonzero(np.isin(windows.origin, fold))
        for quantiles, of in zip(found, (final_numbers, numbers)[-len(found) :], strict=True):
            unbounded = unbounded_numbers(quantiles, levels, OUTPUT, counts[rows])
            of[name][windows.series[rows], windows.origin[rows]] = bounded(
                unbounded, OUTPUT, floor[rows]
            )
        np.logical_or.at(
            raised_series, windows.series[rows], raised(unbounded, OUTPUT, floor[rows])
        )
        seconds[name] += taken
        sums += [] if summed is None else [summed.assign(model=name)]
        for record in records:
            if (key := (name, record.getMessage())) not in logged:  # once for all folds of a model
                log.log(record.levelno, "%s: %s", name, Message.of(record))
            logged.add(key)
        if on_fold is not None:
            on_fold(Fold(done, len(tasks), name))
    log_raised(raised_series)
    actual = np.full(size, np.nan)
    actual[windows.series, windows.origin] = windows.actual
    errors, bound = (
        naive_errors_until(without_censored(panel, schema), origins[0], season),
        np.zeros(size, bool),
    )
    first = origins[windows.origin, windows.series] + 1
    bound[windows.series, windows.origin] = bounds_at(panel, schema, windows.series, first)
    evaluation = Evaluation(panel, schema, actual, numbers, OUTPUT.levels, *errors, bound)
    overall, by_series, by_step = measure_frames(evaluation)
    if panel.vintages is not None:
        overall["mase_final"] = measure_frames(replace(evaluation, numbers=final_numbers))[0][
            "mase"
        ]
    overall[["fit_seconds", "predict_seconds"]] = np.array(list(seconds.values()))
    times = position_texts(schema, calendar_of(schema), origins[:, int(np.argmax(panel.lengths))])
    forecasts, whole = _forecast_frame(evaluation, origins), stacked(sums) if sums else None
    return Backtest(overall, by_series, by_step, season, forecasts, tuple(times), sums=whole)


def _run_fold(
    panel: Panel, fit: Fit, origins: Integers
) -> tuple[list[Numbers], Frame | None, tuple[float, float], list[logging.LogRecord]]:
    """Fit at the oldest of some origins, and forecast from all: quantiles, sums, seconds of both, and log messages."""
    with held_back() as records:
        start = time.perf_counter()
        predict = fit(panel.until(origins[0]))
        fitted = time.perf_counter()
        together = max(1, MAX_SLOTS // len(panel.values))

        def ahead(panel: Panel) -> Numbers:
            lows = range(0, len(origins), together)
            return np.concatenate(
                [predict(cut(panel, origins[low : low + together]).panel) for low in lows]
            )

        quantiles, seconds = ahead(panel), (fitted - start, time.perf_counter() - fitted)
        final = [] if panel.vintages is None else [ahead(replace(panel, vintages=None))]
        add_up = getattr(
            fit, "add_up", None
        )  # what sums its forecasts, as `forecast.totals.comparing` does
        return [*final, quantiles], add_up and add_up(panel, origins, quantiles), seconds, records


def _forecast_frame(evaluation: Evaluation, origins: Integers) -> Frame:
    """Each forecast beside its actual value: by model, series in the order of the input, origin and step."""
    panel, schema, horizon = evaluation.panel, evaluation.schema, evaluation.actual.shape[2]
    calendar = calendar_of(schema)
    rank, origin = np.nonzero(
        (origins >= panel.starts).T[panel.order]
    )  # series in the order of the input
    series = panel.order[rank]
    start, rows = origins[origin, series], np.repeat(series, horizon)
    columns = {
        **{
            name: Column(np.array([ids[i] for ids in panel.ids], object)[rows])
            for i, name in enumerate(schema.ids)
        },
        "origin": format_positions(schema, calendar, np.repeat(start, horizon)),
        **time_columns_at(schema, calendar, (start[:, None] + 1 + np.arange(horizon)).ravel()),
        "actual": Column(evaluation.actual[series, origin].ravel()),
    }
    frame, names = frame_of(columns), ["forecast", *interval_columns(evaluation.intervals)]
    models = evaluation.numbers.items()
    tables = {
        model: zip(names, part[series, origin].reshape(len(rows), -1).T, strict=True)
        for model, part in models
    }
    return stacked([frame.assign(model=model, **dict(table)) for model, table in tables.items()])
