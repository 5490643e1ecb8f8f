"""Backtest: fit and forecast from origins in the past, and compare with the actual values."""

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from forecast.engine.fit import fit
from forecast.engine.requests import (
    DEFAULT_OUTPUT,
    NO_CALLBACKS,
    Callbacks,
    FitRequest,
    Fold,
    ReadPanel,
)
from forecast.engine.rolling import choose_origins
from forecast.ensemble.names import is_baseline
from forecast.errors import BadData, Message, Setting, UsageError
from forecast.inference.forecasting import Forecasts, compute_means
from forecast.inference.predictor import Predictor
from forecast.intervals.interval_ends import (
    apply_bounds,
    compare_with_floor,
    log_floor,
    unbounded_numbers,
)
from forecast.logs import held_back, log
from forecast.metrics.metrics import (
    REFERENCE,
    Evaluation,
    Measures,
    measure_frames,
    naive_errors_until,
    result_columns,
)
from forecast.panel.comparing import set_status, warn_seen_origins
from forecast.panel.events import remove_censored_values
from forecast.panel.infer import Reading
from forecast.panel.panel import Flags, Integers, Numbers, Panel
from forecast.panel.schema import (
    Schema,
    format_positions,
    position_texts,
    time_columns_at,
)
from forecast.panel.season import find_seasons, lags_and_lookback
from forecast.parallel import Task, on_cluster, side_by_side, workers
from forecast.settings import BacktestSettings, OutputSettings, SumSettings, TrainSettings
from forecast.tables.reading import table_from_frame
from forecast.tables.writing import Column, Frame, build_frame, refuse_clash, stack_frames
from forecast.totals.actual_sums import actual_sums, check_sums, find_spans, measures_by_level
from forecast.totals.sums import Totals, warn_of_sums
from forecast.windows.origins import PastsAtOrigins, bounds_at, cut

MAX_SLOTS = 50_000_000  # most slots, over all origins, that a model gets in one call
KNOWN_THEN = "known    %s: MASE %.4g with the values known at each origin, %.4g with the final ones"
KNOWN_NOW = "known    %s: forecasts get the final values, as if they had been known"


@dataclass(frozen=True)
class BacktestRequest:
    """A backtest of models that are fitted at past origins, or of a fitted forecaster as it is."""

    reading: Reading
    settings: TrainSettings
    rolling: BacktestSettings
    models: tuple[str, ...] = ()  # default: that of the settings, or that of `predictor`
    predictor: Predictor | None = None  # a fitted forecaster, which is not fitted again
    season_given: bool = False  # if not, each fit infers the season
    sums: SumSettings | None = None  # sums of the forecasts of networks, or of the first baseline
    quantiles: tuple[float, ...] = ()  # in percent, that are measured beside the usual intervals
    callbacks: Callbacks = NO_CALLBACKS

    @property
    def output(self) -> OutputSettings:
        return DEFAULT_OUTPUT.model_copy(update={"quantiles": self.quantiles})


@dataclass(frozen=True)
class Backtest(Measures):
    """How good forecasts from rolling origins were, and the seconds that they took.

    Attributes
    ----------
    overall, by_series, by_step, season, evaluation : as in `Measures`, with ``revision``, the mean
        absolute change of a forecast from one origin to the next, in the unit of `mase`; if known
        columns have vintages, `overall` also has ``mase_final``, the MASE of forecasts from their
        final values
    forecasts : a row for each forecast: id columns, ``origin``, the time column, ``actual``,
        ``model``, ``forecast``, ``lo_80`` and so on
    origins : the times after which the longest series was forecast, the oldest first
    missing : ids of series that were left out, because they have too few values
    seen : origins before the end of the fit of a frozen forecaster, whose actual values it has seen
    sums : the rows of `Forecaster.totals` at each ``origin`` beside ``actual`` sums (NaN if a
        value is unknown) and ``naive`` sums; None if no sums are asked for
    totals : the measures of sums by ``level``
    """

    forecasts: Frame
    origins: tuple[str, ...]
    missing: tuple[tuple[str, ...], ...] = ()
    seen: int = 0
    sums: Frame | None = None
    totals: Frame | None = None


def backtest(request: BacktestRequest) -> Backtest:
    """Forecast from rolling origins in the past of a table, and compare with the actual values.

    Fits and forecasts get panels that end at the origin, so that no later value can reach them.
    Seasonal naive is always among the models. Scaled errors are in units of its in-sample error
    before the oldest origin; series that begin later have no scaled errors.
    """
    reading = request.reading
    predictor = request.predictor
    refuse_clash(reading.schema.keys, result_columns(request.output.columns), "result")
    has_few = np.array(reading.panel.status) == "missing"
    missing = tuple(reading.panel.ids[i] for i in np.flatnonzero(has_few))
    panel = reading.panel.select(np.flatnonzero(~has_few))
    rolling = request.rolling
    is_frozen = predictor is not None
    origins = choose_origins(panel, rolling.windows, rolling.step, reading.name, is_frozen)
    schema = reading.schema
    if request.sums is not None:
        check_sums(schema, request.sums, origins.max(1), panel.ahead)
    seen = 0
    if predictor is not None:
        fitted = predictor.fitted
        seen = warn_seen_origins(panel, fitted.history, origins, fitted.config.train_end)
    elif not request.season_given:
        seasons = find_seasons(panel.until(origins[0]), schema)
        schema = schema.model_copy(update={"season": seasons})
    table = ReadPanel(panel, schema, reading.name)
    models, jobs = _models(request, table)
    refits = rolling.refit and not is_frozen
    result = _compare(table, models, origins, refits, jobs, request)
    _log_known(result, panel, schema, [*models][:2][-1])
    return replace(result, missing=missing, seen=seen)


def _models(request: BacktestRequest, table: ReadPanel) -> tuple[dict[str, "Model"], int]:
    """The models by name, the reference first, and how many fits of a model run in parallel."""
    settings = request.settings
    predictor = request.predictor
    jobs = settings.jobs or (workers() if on_cluster() else 1)
    if request.rolling.refit and settings.warm_start:
        jobs = 1  # each fit goes on from the one before it
    callbacks = NO_CALLBACKS
    if jobs == 1:  # functions cannot be sent to other processes
        callbacks = Callbacks(on_step=request.callbacks.on_step)
    settings = settings.model_copy(update={"jobs": settings.jobs if jobs == 1 else 1})

    # seasonal naive of the raw values: with the shortest season, and without events
    plain = {"model": REFERENCE, "hierarchy": (), "transform": "none"}
    schema = table.schema.model_copy(update={"dated_events": ()})
    reference = Model(
        replace(table, schema=schema),
        settings.model_copy(update=plain),
        lags=schema.season[:1],
    )
    models = {REFERENCE: reference}
    own = settings.model
    if predictor is not None:
        own = predictor.fitted.settings().model
        models[own] = Model(
            table,
            settings,
            sums=request.sums,
            output=request.output,
            predictor=predictor,
            frozen=True,
        )
    names = [name for name in request.models or (own,) if name != REFERENCE]
    summed = [name for name in names if not is_baseline(name)] or names[:1]
    for name in names:
        if name not in models:
            sums = request.sums if name in summed else None
            model = settings.model_copy(update={"model": name})
            models[name] = Model(table, model, callbacks, sums, request.output)
    return models, jobs


@dataclass
class Model:
    """A model that is fitted at origins; with a warm start each fit continues the one before."""

    table: ReadPanel
    settings: TrainSettings
    callbacks: Callbacks = NO_CALLBACKS
    sums: SumSettings | None = None  # the sums that are asked for
    output: OutputSettings = DEFAULT_OUTPUT  # of these sums
    predictor: Predictor | None = None  # that of the newest fit
    frozen: bool = False  # whether that predictor is kept at all origins
    lags: tuple[int, ...] | None = None  # the seasons in steps; default: inferred from the data

    def fit(self, past: Panel) -> Predictor:
        if self.predictor is not None and self.frozen:
            return self.predictor
        schema = self.table.schema
        settings = self.settings
        _, lookback = lags_and_lookback(past, schema.season, settings.lookback)
        past = set_status(past, schema, lookback)
        if past.skipped.all():
            problem = "at the oldest origin no series is left to forecast"
            cure = f"pass fewer {Setting('windows')}"
            raise BadData(problem, place=self.table.name, cure=cure)
        request = FitRequest(
            replace(self.table, panel=past),
            settings,
            lags=self.lags,
            earlier=None if self.predictor is None else self.predictor.fitted,
            callbacks=self.callbacks,
            sums=self.sums is not None,
            saves=False,
        )
        self.predictor = Predictor(fit(request), settings.device)
        return self.predictor

    def add_up(self, panel: Panel, origins: Integers, quantiles: Numbers) -> Frame | None:
        """Sums of forecasts from some origins; `quantiles` are [windows, horizon, levels].

        See `Backtest.sums`.
        """
        predictor = self.predictor
        if self.sums is None or predictor is None:
            return None
        frames = list[Frame]()
        done = 0
        lookback = predictor.fitted.ensemble.lookback
        schema = self.table.schema
        for origin in origins:
            past = set_status(panel.until(origin), schema, lookback)
            of_origin = quantiles[done : done + len(past)]
            done += len(past)
            totals = Totals(predictor, self.sums, self.output, None)
            sums = self._sums(totals, past, of_origin)
            if sums is not None:
                rows = table_from_frame(sums, "sums")
                spans = find_spans(rows, schema, self.table.name)
                values, _ = actual_sums(rows, spans, panel, schema, lookback)
                frames.append(sums.assign(actual=values[:, 0], naive=values[:, 1]))
        return stack_frames(frames) if frames else None

    def _sums(self, totals: Totals, past: Panel, quantiles: Numbers) -> Frame | None:
        """Sums of the forecasts after the end of a panel, by `totals` without any.

        None if no period ends within the horizon, or no series is left.
        """
        series = np.flatnonzero(~past.skipped)
        shown = quantiles[series]
        means = compute_means(shown, totals.fitted, past, series)
        try:
            forecasts = Forecasts(
                panel=past,
                series=series,
                quantiles=shown,
                shown=shown,
                means=means,
                numbers=shown,
                published=shown,
                columns={},
            )
            totals.add(forecasts)
            frame = build_frame(totals.columns())
        except (UsageError, BadData):
            return None
        warn_of_sums(totals)
        end = past.origins.max(keepdims=True)
        return frame.assign(origin=position_texts(self.table.schema, end)[0])


@dataclass(frozen=True)
class FoldResult:
    """The forecasts of one fit from some origins."""

    quantiles: Numbers  # [windows, horizon, levels]
    levels: tuple[float, ...]
    seconds: tuple[float, float]  # duration of the fit, and of the forecasts
    final_quantiles: Numbers  # forecast from final values of columns
    sums: Frame | None
    messages: list[logging.LogRecord]


def _run_fold(panel: Panel, model: Model, origins: Integers) -> FoldResult:
    """Fit at the oldest of some origins, and forecast from all of them."""
    with held_back() as messages:
        start = time.perf_counter()
        predictor = model.fit(panel.until(origins[0]))
        fitted = time.perf_counter()
        quantiles = _forecast(predictor, panel, origins)
        seconds = (fitted - start, time.perf_counter() - fitted)
        final = quantiles
        if panel.vintages is not None:
            final = _forecast(predictor, replace(panel, vintages=None), origins)
        sums = model.add_up(panel, origins, quantiles)
    return FoldResult(quantiles, predictor.fitted.config.levels, seconds, final, sums, messages)


def _forecast(predictor: Predictor, panel: Panel, origins: Integers) -> Numbers:
    """Quantiles of the forecasts from some origins, [windows, horizon, levels]."""
    together = max(1, MAX_SLOTS // len(panel.values))
    quantiles = [
        predictor.predict_quantiles(cut(panel, origins[low : low + together]).panel)
        for low in range(0, len(origins), together)
    ]
    return np.concatenate(quantiles)


def _compare(
    table: ReadPanel,
    models: dict[str, Model],
    origins: Integers,
    refit: bool,
    jobs: int,
    request: BacktestRequest,
) -> Backtest:
    """Fit at the oldest of the origins, or with `refit` at each, and measure the forecasts.

    `origins` are [origins, series].
    """
    panel = table.panel
    output = request.output
    size = len(panel), len(origins)
    windows = cut(panel, origins)
    folds = origins[:, None] if refit else origins[None]  # [folds, origins, series]
    tasks: Iterator[Task] = (
        (_run_fold, (panel, model, fold), {}) for model in models.values() for fold in folds
    )
    results = side_by_side(tasks, jobs)
    numbers = dict[str, Numbers]()
    usual = dict[str, Numbers]()
    final_numbers = dict[str, Numbers]()
    seconds = list[Numbers]()
    sums = list[Frame]()
    raised_series = np.zeros((len(panel), 2), bool)
    for name in models:
        of_model = list[FoldResult]()
        logged = set[str]()  # messages that were logged, as many folds repeat them
        for result in islice(results, len(folds)):
            of_model.append(result)
            _log_new(name, result.messages, logged)
            _report_fold(
                request, len(numbers) * len(folds) + len(of_model), len(models) * len(folds), name
            )
            if result.sums is not None:
                sums.append(result.sums.assign(model=name))
        levels = of_model[0].levels
        quantiles = np.concatenate([result.quantiles for result in of_model])
        numbers[name], is_raised = _numbers(windows, quantiles, levels, size, output)
        np.logical_or.at(raised_series, windows.series, is_raised)
        if output.columns != output.usual.columns:
            usual[name], _ = _numbers(windows, quantiles, levels, size, output.usual)
        if panel.vintages is not None:
            final_quantiles = np.concatenate([result.final_quantiles for result in of_model])
            final_numbers[name], _ = _numbers(windows, final_quantiles, levels, size, output)
        seconds.append(np.sum([result.seconds for result in of_model], 0))
    log_floor(raised_series)

    evaluation = _evaluation(table, windows, origins, numbers, output)
    evaluation = replace(evaluation, usual=usual)
    overall, by_series, by_step = measure_frames(evaluation)
    if final_numbers:
        final_overall, _, _ = measure_frames(replace(evaluation, numbers=final_numbers))
        overall["mase_final"] = final_overall["mase"]
    overall[["fit_seconds", "predict_seconds"]] = np.array(seconds)
    longest = int(np.argmax(panel.lengths))
    times = position_texts(table.schema, origins[:, longest])
    all_sums = stack_frames(sums) if sums else None
    return Backtest(
        overall,
        by_series,
        by_step,
        table.schema.shortest_season,
        evaluation,
        _forecast_frame(evaluation, origins),
        tuple(times),
        sums=all_sums,
        totals=None if all_sums is None else measures_by_level(all_sums),
    )


def _report_fold(request: BacktestRequest, done: int, count: int, name: str) -> None:
    if request.callbacks.on_fold is not None:
        request.callbacks.on_fold(Fold(done, count, name))


def _numbers(
    windows: PastsAtOrigins,
    quantiles: Numbers,
    levels: tuple[float, ...],
    size: tuple[int, int],
    output: OutputSettings,
) -> tuple[Numbers, Flags]:
    """The numbers of the output, [series, origins, horizon, 1 + columns].

    They are NaN if a series had not begun at an origin. Also returned: whether interval ends of a
    window were raised to a bound, [windows].
    """
    unbounded = unbounded_numbers(quantiles, levels, output, windows.panel.is_count())
    floor = windows.panel.floor()
    numbers = np.full((*size, *unbounded.shape[1:]), np.nan)
    numbers[windows.series, windows.origin] = apply_bounds(unbounded, output, floor)
    return numbers, compare_with_floor(unbounded, output, floor)


def _evaluation(
    table: ReadPanel,
    windows: PastsAtOrigins,
    origins: Integers,
    numbers: dict[str, Numbers],
    output: OutputSettings,
) -> Evaluation:
    panel = table.panel
    schema = table.schema
    size = len(panel), len(origins), panel.ahead
    cells = windows.series, windows.origin
    actual = np.full(size, np.nan)
    actual[cells] = windows.actual
    is_bound = np.zeros(size, bool)
    first = origins[windows.origin, windows.series] + 1
    is_bound[cells] = bounds_at(panel, schema, windows.series, first)
    uncensored = remove_censored_values(panel, schema)
    errors = naive_errors_until(uncensored, origins[0], schema.shortest_season)
    strides = np.diff(origins[:, 0])
    stride = int(strides[0]) if len(strides) else panel.ahead
    return Evaluation(panel, schema, actual, numbers, output.columns, *errors, is_bound, stride)


def _log_new(model: str, messages: list[logging.LogRecord], logged: set[str]) -> None:
    """Log the messages of a model that have not been `logged` before."""
    for record in messages:
        text = record.getMessage()
        if text not in logged:
            log.log(record.levelno, "%s: %s", model, Message.from_record(record))
        logged.add(text)


def _log_known(result: Backtest, panel: Panel, schema: Schema, name: str) -> None:
    """Log which vintages of known columns the models forecast with."""
    if panel.vintages is not None:
        row = result.overall.set_index("model").loc[name]
        log.info(KNOWN_THEN, name, row["mase"], row["mase_final"])
    elif schema.known:
        log.info(KNOWN_NOW, ", ".join(schema.known))


def _forecast_frame(evaluation: Evaluation, origins: Integers) -> Frame:
    """Each forecast beside its actual value, by model, series (as read), origin and step."""
    panel = evaluation.panel
    schema = evaluation.schema
    horizon = evaluation.actual.shape[2]
    has_begun = (origins >= panel.starts).T  # [series, origins]
    rank, origin = np.nonzero(has_begun[panel.order])
    series = panel.order[rank]
    start = origins[origin, series]
    rows = np.repeat(series, horizon)
    positions = start[:, None] + 1 + np.arange(horizon)
    columns: dict[str, Column] = {}
    for column, name in enumerate(schema.ids):
        texts = np.array([ids[column] for ids in panel.ids], object)
        columns[name] = Column(texts[rows])
    columns["origin"] = format_positions(schema, np.repeat(start, horizon))
    columns |= time_columns_at(schema, positions.ravel())
    columns["actual"] = Column(evaluation.actual[series, origin].ravel())

    frame = build_frame(columns)
    names = ["forecast", *evaluation.columns]
    frames = []
    for model, numbers in evaluation.numbers.items():
        of_model = numbers[series, origin].reshape(len(rows), -1).T
        by_name = dict(zip(names, of_model, strict=True))
        frames.append(frame.assign(model=model, **by_name))
    return stack_frames(frames)
