"""Forecaster: the scikit-learn-style face."""

import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, clone

from forecast.artifacts.resume import Checkpoints
from forecast.artifacts.store import Store, VersionInfo, Writer
from forecast.baselines.baselines import BASELINES
from forecast.calendar.calendar import default_horizon
from forecast.engine import Engine, fit_panel
from forecast.ensemble.calibration import widened
from forecast.ensemble.names import check_names
from forecast.ensemble.summary import ranking, verdict
from forecast.errors import ArtifactRefused, BadData, Setting, UsageError, Words
from forecast.evaluation.backtest import Backtest, Fold, backtest
from forecast.evaluation.metrics import mase
from forecast.evaluation.origins import choose_origins
from forecast.evaluation.quantiles import LEVELS, bounded, free_numbers, raised, say_raised
from forecast.evaluation.references import Fit, Predict
from forecast.evaluation.tables import REFERENCE
from forecast.inference.fitted import Fitted, from_contents, to_contents
from forecast.panel.building import (
    add_future,
    build_panel,
    calendar_of,
    judge,
    judge_again,
    time_frame,
)
from forecast.panel.comparing import compare, say_seen, say_seen_origins, say_short, values_after
from forecast.panel.detection import check_schema, describe, infer_schema
from forecast.panel.known import require_known, say_blank, say_blank_ahead
from forecast.panel.panel import SKIPPED, Panel
from forecast.panel.schema import Schema
from forecast.panel.season import panel_seasons
from forecast.panel.spans import choose_lags, choose_lookback
from forecast.parameters import NestedParams, NotFitted, refuse_other_rows
from forecast.settings import (
    INTERVALS,
    STORE,
    Aggregate,
    BacktestSettings,
    ClockChange,
    DeviceName,
    Layout,
    LossName,
    Metric,
    MissingRows,
    OnDuplicate,
    OptimizerName,
    OutputSettings,
    ScalingName,
    TableSettings,
    TrainSettings,
    TransformName,
)
from forecast.tables.reading import table_from_frame
from forecast.tables.table import Table
from forecast.tables.writing import forecast_frame, guard_formulas, interval_columns, output_columns, refuse_clash
from forecast.training.devices import pick_device, threads
from forecast.training.inputs import numbers_in
from forecast.training.loop import Progress

log = logging.getLogger("forecast")

Data = Any  # a pandas DataFrame or Series, or a Table
Names = str | tuple[str, ...]

RESERVE = 1.0  # seconds of a budget that are kept for the comparison with baselines and for saving


@dataclass(frozen=True)
class Forecasts:
    """A table of forecasts, and what it was made from.

    Attributes
    ----------
    frame : as `Forecaster.predict` returns it
    skipped : series that get no forecast, with the reason: ``{("store 7",): "missing"}``
    panel : what was forecast from
    series : [series], those of the panel that get a forecast, in the order of the frame
    quantiles : [series, horizon, levels], before any factor and bound
    floor : [series], what no number of the frame is below
    """

    frame: pd.DataFrame
    skipped: dict[tuple[str, ...], str]
    panel: Panel
    series: NDArray[np.int64]
    quantiles: NDArray[np.float64]
    floor: NDArray[np.float64]


class Forecaster(NestedParams, BaseEstimator):
    """Forecasts of many series by one recurrent network, from tables with a time column.

    Parameters
    ----------
    model : name of the model, see ``forecast models``
    params : the model's own knobs, e.g. ``{"hidden_size": 128}``; ``params__hidden_size`` in a grid
    horizon : steps to forecast; by default what the frequency suggests
    lookback : steps of the past that a forecast looks at
    scaling, transform, loss, optimizer, learning_rate, weight_decay, clip, batch_size, patience : of training
    budget, steps, plan, members, jobs, seed, device : how long, how often and where
    warm_start : a second `fit` goes on from the networks of the first one, in fewer steps
    layout, time, id, target, freq, aggregate, season, known, past, static, categorical, holidays, date_format,
    timezone, dst, on_duplicate, max_missing, missing, strict : how a table becomes series

    All are the settings of the command line under the same names, with the same defaults and bounds.

    Attributes
    ----------
    schema_ : what was inferred of the table
    plan_ : what training did
    fitted_ : all that a saved version holds

    Examples
    --------
    >>> model = Forecaster(horizon=24).fit(frame)  # doctest: +SKIP
    >>> model.predict()  # doctest: +SKIP
    """

    def __init__(
        self,
        model: str = "auto",
        params: dict[str, Any] | None = None,
        horizon: int | None = None,
        lookback: int | None = None,
        scaling: ScalingName | None = None,
        transform: TransformName = "none",
        loss: LossName = "quantile",
        optimizer: OptimizerName = "adamw",
        learning_rate: float = 0.002,
        weight_decay: float = 0.01,
        clip: float = 1.0,
        batch_size: int | None = None,
        patience: int = 8,
        budget: float | None = None,
        steps: int | None = None,
        plan: str | None = None,
        members: int | None = None,
        jobs: int | None = None,
        baselines: Names = BASELINES,
        guard: bool = True,
        metric: Metric = "mase",
        warm_start: bool = False,
        seed: int = 0,
        device: DeviceName = "auto",
        layout: Layout | None = None,
        time: Names = (),
        id: Names = (),
        target: Names = (),
        freq: str | None = None,
        aggregate: Aggregate | None = None,
        season: int | tuple[int, ...] = (),
        known: Names = (),
        past: Names = (),
        static: Names = (),
        categorical: Names = (),
        holidays: str | None = None,
        date_format: str | None = None,
        timezone: str | None = None,
        dst: ClockChange = "error",
        on_duplicate: OnDuplicate = "error",
        max_missing: float = 0.5,
        missing: MissingRows = "unknown",
        strict: bool = False,
    ) -> None:
        self.model = model
        self.params = params
        self.horizon = horizon
        self.lookback = lookback
        self.scaling = scaling
        self.transform = transform
        self.loss = loss
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.clip = clip
        self.batch_size = batch_size
        self.patience = patience
        self.budget = budget
        self.steps = steps
        self.plan = plan
        self.members = members
        self.jobs = jobs
        self.baselines = baselines
        self.guard = guard
        self.metric = metric
        self.warm_start = warm_start
        self.seed = seed
        self.device = device
        self.layout = layout
        self.time = time
        self.id = id
        self.target = target
        self.freq = freq
        self.aggregate = aggregate
        self.season = season
        self.known = known
        self.past = past
        self.static = static
        self.categorical = categorical
        self.holidays = holidays
        self.date_format = date_format
        self.timezone = timezone
        self.dst = dst
        self.on_duplicate = on_duplicate
        self.max_missing = max_missing
        self.missing = missing
        self.strict = strict

    def fit(
        self,
        X: Data,
        y: None = None,
        *,
        started: float | None = None,
        on_read: Callable[[list[str]], None] | None = None,
        on_step: Callable[[Progress], None] | None = None,
        checkpoints: Checkpoints | None = None,
        start: "Forecaster | None" = None,
    ) -> Self:
        """Infer what the table holds, and train.

        Parameters
        ----------
        X : a DataFrame, long or wide, a Series, or a Table
        y : not used, here because scikit-learn passes it
        started : `time.monotonic()` from which the budget counts; default now
        on_read : is given what was read and inferred, as lines, before training
        on_step : is given the progress after each training step
        checkpoints : where training keeps what it can go on from, of `Writer.checkpoints`; by default nowhere
        start : the fitted forecaster that a warm start goes on from; by default this one, where it is fitted

        Raises
        ------
        UsageError
            If a setting is unknown or out of bounds, or contradicts the table.
        BadData
            If the table cannot be used; the message says where and how to mend it.
        """
        started = time.monotonic() if started is None else started
        table = _table(X)
        panel, schema = self._read(table, on_read)
        deadline = None if self.budget is None else started + self.budget - RESERVE
        with threads(1):
            self.fitted_ = fit_panel(
                panel, schema, self._settings()[0], table.name, deadline, on_step, checkpoints, self._earlier(start)
            )
        self._settle()
        return self

    def _earlier(self, start: "Forecaster | None") -> Fitted | None:
        """The fit that this one goes on from; None where it starts from scratch."""
        from_which = start or self
        return from_which.fitted_ if self.warm_start and hasattr(from_which, "fitted_") else None

    def _read(self, table: Table, on_read: Callable[[list[str]], None] | None) -> tuple[Panel, Schema]:
        """The panel of a table, with a horizon of future slots, and how it was read."""
        settings, table_settings = self._settings()
        check_names(settings)
        schema = infer_schema(table, table_settings)
        horizon = settings.horizon or default_horizon(schema.calendar, schema.season)
        panel = build_panel(table, schema, ahead=horizon)
        lags = choose_lags(panel, schema.season)
        lookback = settings.lookback or choose_lookback(horizon, lags, int(panel.lengths.max()))
        panel = judge(panel, schema, lookback, table.name)
        time_frame(schema, calendar_of(schema), panel.origins.max(keepdims=True) + horizon)  # or refused
        say_blank(panel, schema, table.name)
        if on_read is not None:
            on_read([*describe(schema, panel), f"horizon  {horizon}, from the last {lookback} steps"])
        return panel, schema

    def predict(
        self,
        X: Data | None = None,
        *,
        future: Data | None = None,
        origin: str | None = None,
        horizon: int | None = None,
        levels: float | tuple[float, ...] = INTERVALS,
        explain: bool = False,
        min: float | None = None,
    ) -> pd.DataFrame:
        """Forecast what comes after the series seen at fit, or after those of another table, by the frozen model.

        Parameters
        ----------
        X : tonight's table, new ids included; default the series seen at fit
        future : rows of the columns that are known in advance
        origin : forecast from this time of X: later values are not used
        horizon : fewer steps than at fit
        levels : intervals in percent, 50 to 99
        explain : add the columns model and status
        min : lower bound of every number; by default 0 for a series without a value below 0, ``-inf`` for none

        Returns
        -------
        DataFrame
            A row per series and step: the id columns (``series`` for a wide table), the time column, ``forecast``,
            then ``lo_80, hi_80, ...``.

        Raises
        ------
        UsageError, BadData
            As `fit` does; and if values known in advance are missing for the horizon.
        """
        output = OutputSettings.check({"levels": levels, "explain": explain, "min": min})
        return self.forecast(X, future=future, origin=origin, horizon=horizon, output=output).frame

    def forecast(
        self,
        X: Data | None = None,
        *,
        future: Data | None = None,
        origin: str | None = None,
        horizon: int | None = None,
        output: OutputSettings | None = None,
        on_panel: Callable[[Panel], NDArray[np.float64] | None] | None = None,
    ) -> Forecasts:
        """As `predict`, with all output settings, and with the series that get no forecast.

        Parameters
        ----------
        on_panel : is given what will be forecast from; may return factors [levels] by which the distance of each
            quantile from the median grows, or raise to stop
        """
        fitted = self._check_fitted()
        config, output = fitted.config, output or OutputSettings()
        refuse_clash(config.table, output_columns(output))
        horizon = self._horizon(horizon)
        panel = self._panel(X, future, origin)
        given = X if future is None else future
        name = "the saved table" if given is None else _table(given).name
        require_known(panel, config.table, horizon, name, with_future=future is not None)
        if X is not None:
            say_seen(panel, fitted.history, config.table, horizon, _table(X).name)
            say_short(panel, fitted.history, config.lookback, _table(X).name)
        factors = None if on_panel is None else on_panel(panel)
        words = np.array(panel.status)
        series = panel.order[~np.isin(words[panel.order], SKIPPED)]
        quantiles = self.engine_.quantiles(panel, series, joint=output.joint)[:, :horizon]
        if not np.isfinite(quantiles).all():
            kind = ArtifactRefused if X is None else BadData
            raise kind(
                "the forecasts are not finite: the values, or the weights of the artifact, are too large to compute"
            )
        columns = ["forecast", *interval_columns(output.levels)]
        shown = quantiles if factors is None else widened(quantiles, factors)
        free, floor = free_numbers(shown, config.levels, output), panel.floor()[series]
        cure = Words("; ", Setting("min", float("-inf")), " turns this off")
        say_raised(int(raised(free, output, floor).sum()), len(series), cure)
        numbers = bounded(free, output, floor)
        calendar = calendar_of(config.table)
        positions = panel.origins[series][:, None] + 1 + np.arange(horizon)
        times = time_frame(config.table, calendar, positions.ravel())
        frame = forecast_frame(panel, config.table, times, series, numbers, columns)
        if output.integer and np.abs(numbers).max(initial=0) < 2**63:
            frame[columns] = frame[columns].astype(np.int64)
        if output.explain:
            numbers_of = numbers_in(fitted.history.ids, panel.ids)[series]
            frame["model"] = np.repeat(fitted.mixture.names(numbers_of), horizon)
            frame["status"] = np.repeat(words[series], horizon)
        if output.excel_safe:
            frame = guard_formulas(frame, config.table.ids)
        skipped = {panel.ids[i]: str(words[i]) for i in np.flatnonzero(np.isin(words, SKIPPED))}
        gone = set(fitted.history.ids) - set(panel.ids)
        skipped |= dict.fromkeys(sorted(gone), "gone")
        lower = floor if output.min is None else np.full(len(series), output.min)
        return Forecasts(frame, skipped, panel, series, quantiles, lower)

    def score(self, X: Data, y: None = None) -> float:
        """Minus the MASE of the forecasts over the rows of `X` after the end of the fit; higher is better.

        Parameters
        ----------
        X : a table that holds rows after the fitted end, at most a horizon of them count

        Raises
        ------
        BadData
            If there are none, or the table cannot be used.
        WrongSplit
            If scikit-learn cross-validates with rows that do not come after those of the fit.
        """
        fitted = self._check_fitted()
        config, history = fitted.config, fitted.history
        later = build_panel(_table(X), config.table, ahead=0)
        actual, others = values_after(history, later, config.horizon, zero=config.table.missing == "zero")
        refuse_other_rows(others, config.horizon)
        if not np.isfinite(actual).any():
            raise BadData(
                f"no row lies within {config.horizon} steps after the end of the fit, {config.train_end}",
                cure="score rows that come later than those of the fit",
            )
        series = np.flatnonzero(~np.isin(history.status, SKIPPED))
        with_known = add_future(history, _table(X), config.table) if config.table.known else history
        say_blank_ahead(with_known, config.table, config.horizon, _table(X).name)
        quantiles = self.engine_.quantiles(with_known, series)
        point = np.maximum(quantiles[..., config.levels.index(0.5)], history.floor()[series, None])
        return -float(mase(actual[series], point, fitted.seasonal_error[series]))

    def backtest(
        self,
        X: Data,
        *,
        windows: int | None = None,
        step: int | None = None,
        refit: bool = False,
        models: Names = (),
        frozen: bool = False,
        jobs: int | None = None,
        on_read: Callable[[list[str]], None] | None = None,
        on_fold: Callable[[Fold], None] | None = None,
        on_step: Callable[[Progress], None] | None = None,
    ) -> Backtest:
        """Forecast from rolling origins in the past of a table, and measure against what came.

        Each fit sees what lies before its origin and nothing else, the season that is inferred included. The
        forecaster itself stays as it is.

        Parameters
        ----------
        X : a table, as `fit` takes it
        windows : origins; default 8, or as many as leave half of the steps to the first fit
        step : steps between two origins; default one horizon
        refit : fit at each origin, with `warm_start` each from the one before it; by default the fit at the oldest
            origin forecasts from all
        models : names of models and baselines to be compared; default the forecaster's own model
        frozen : forecast by this fitted forecaster as it is, without a fit, and by `models` beside it
        jobs : fits side by side; default the setting `jobs`
        on_read : is given what was read and inferred, as lines
        on_fold : is told when a fit and its forecasts are over
        on_step : is given the progress of training after each step, unless fits run side by side

        Returns
        -------
        Tables of measures: `overall`, `by_series`, `by_step`; and all `forecasts`.

        Raises
        ------
        UsageError, BadData
            As `fit` does; and if the series are too short for a single origin.
        """
        rolling = BacktestSettings.check({"windows": windows, "step": step, "refit": refit})
        models = (models,) if isinstance(models, str) else models
        check_names(self._settings()[0], models or (self.model,))
        table, jobs = _table(X), jobs or self.jobs or 1
        if rolling.refit and self.warm_start:
            jobs = 1  # each fit goes on from the one before it
        if frozen:
            config = self._check_fitted().config
            panel, schema, own, levels = (
                self._panel(table, None, None),
                config.table,
                self.fitted_.settings().model,
                config.levels,
            )
        else:
            panel, schema = self._read(table, on_read)
            own, levels = self.model, LEVELS
        gone = np.array(panel.status) == "missing"
        missing = tuple(panel.ids[i] for i in np.flatnonzero(gone))
        panel = panel.select(np.flatnonzero(~gone))
        origins = choose_origins(panel, rolling.windows, rolling.step, table.name, frozen)
        if frozen:
            say_seen_origins(panel, self.fitted_.history, origins, self.fitted_.config.train_end)
        elif not self.season:
            schema = schema.model_copy(update={"season": panel_seasons(panel.until(origins[0]), schema.calendar)})
        fits: dict[str, Fit] = {own: lambda past: self._after} if frozen else {}
        report = on_step if jobs == 1 else None  # what shows it cannot follow into other processes
        for name in models or (own,):
            if name not in fits and name != REFERENCE:
                fold = clone(self).set_params(model=name, jobs=self.jobs if jobs == 1 else 1)
                fits[name] = partial(fold._fit_fold, schema, table.name, report)
        found = backtest(
            panel, schema, fits, origins, levels, refit=rolling.refit and not frozen, jobs=jobs, on_fold=on_fold
        )
        return replace(found, missing=missing)

    def against(self, other: "Forecaster", X: Data) -> tuple[float, float] | None:
        """Mean loss of this forecaster and of an older one on what this fit held out and the older one never saw.

        Both fits are judged by the measure of this one, on the steps that lie after the end of the older fit.

        Parameters
        ----------
        other : a forecaster of the same series and horizon, fitted earlier
        X : the table of this fit

        Returns
        -------
        The two losses; None where there is no such step, or the two cannot be compared.
        """
        held, config = self._check_fitted().mixture.held_out, self.fitted_.config
        old = other._check_fitted()
        if held is None or old.config.horizon != config.horizon or old.config.table.calendar != config.table.calendar:
            return None
        panel = other._panel(_table(X), None, None)
        rank, end = _places_of(panel.ids), _places_of(old.history.ids)
        ids = [self.fitted_.history.ids[i] for i in held.series]
        series = np.array([rank.get(one, -1) for one in ids], np.int64)
        seen = np.array([old.history.origins[end[one]] if one in end else -(2**62) for one in ids], np.int64)
        position = held.first - panel.starts[series]
        fresh = held.observed & (held.first[:, None] + np.arange(config.horizon) > seen[:, None])
        usable = (series >= 0) & (position > 0) & (position <= panel.lengths[series]) & fresh.any(1)
        if not usable.any():
            return None
        quantiles = other.engine_.quantiles(panel, series[usable], position[usable])
        theirs = quantiles[..., old.config.levels.index(0.5)]
        own = held.select(usable, fresh)
        pair = np.stack([own.losses(own.points), own.losses(theirs)])
        told = np.isfinite(pair).all(0)
        return (float(pair[0, told].mean()), float(pair[1, told].mean())) if told.any() else None

    def attention(self, X: Data | None = None) -> pd.DataFrame:
        """The weight that an attention model gives to each step of the past, a row per series and step.

        Raises
        ------
        UsageError
            If the model has no attention.
        """
        fitted = self._check_fitted()
        panel = self._panel(X, None, None)
        series = panel.order[~np.isin(np.array(panel.status)[panel.order], SKIPPED)]
        weights = self.engine_.attention(panel, series)
        table = fitted.config.table
        positions = panel.origins[series][:, None] + np.arange(1 - weights.shape[1], 1)
        times = time_frame(table, calendar_of(table), positions.ravel())
        return forecast_frame(panel, table, times, series, weights[..., None], ["weight"])

    def save(self, store: str | Writer, keep: int = STORE.keep) -> VersionInfo:
        """Write a new version into a store, make it the live one, and prune old ones.

        Parameters
        ----------
        store : the folder, or what `Store.lock` yields where the lock is held already
        keep : versions that stay
        """
        contents = to_contents(self._check_fitted())
        if isinstance(store, Writer):
            return store.save(contents, keep)
        with Store(store).lock() as writer:
            return writer.save(contents, keep)

    @classmethod
    def load(cls, store: str, version: str | None = None, device: str = "auto") -> "Forecaster":
        """Read the live version of a store, or another one; nothing in it can run code.

        The knobs are those of the fit, and what it inferred of the table, so that another `fit` reads and trains
        alike; only `plan` is the default, and `device` the one that is given.

        Raises
        ------
        NoInput
            If there is none.
        ArtifactRefused
            If it is damaged, unsafe or too new.
        """
        contents, info = Store(store).load(version)
        try:
            fitted = from_contents(contents)
            knobs = {**fitted.settings().model_dump(), **fitted.run, "device": device}
            forecaster = cls(**knobs).set_params(**fitted.config.table.knobs())
            forecaster.fitted_ = fitted
            forecaster._settle()
        except (ArtifactRefused, UsageError, RuntimeError) as error:
            reason = str(error).split("\n")[0]
            raise ArtifactRefused(f"{store}/{info.id}: {reason}") from None
        return forecaster

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "fitted_")

    def _settings(self) -> tuple[TrainSettings, TableSettings]:
        given = self.get_params(deep=False)
        table = {name: given.pop(name) for name in TableSettings.model_fields}
        return TrainSettings.check(given), TableSettings.check(table)

    def _settle(self) -> None:
        """Rebuild from `fitted_` what is derived from it."""
        self.schema_, self.plan_ = self.fitted_.config.table, self.fitted_.config.plan
        self.engine_ = Engine(self.fitted_, pick_device(self.device))

    def describe(self) -> list[str]:
        """What forecasts, and how it compares with seasonal naive on held-out values, as lines."""
        fitted = self._check_fitted()
        counts = Counter(self.models())
        whole = len(fitted.history)
        shares = [name if n == whole else f"{name} for {n:,} series" for name, n in counts.most_common()]
        sentence = verdict(fitted.config.scores, len(fitted.config.components))
        return [f"model    {', '.join(shares)}", f"guard    {sentence}"]

    def ranking(self) -> list[str]:
        """The mean losses of all candidates on held-out values, the best first, as lines of a table."""
        fitted = self._check_fitted()
        return ranking(fitted.config.scores, fitted.settings().metric)

    def models(self) -> list[str]:
        """What forecasts each series of the fit."""
        mixture = self._check_fitted().mixture
        return mixture.names(np.arange(1, len(mixture.shares)))

    def _check_fitted(self) -> Fitted:
        if not hasattr(self, "fitted_"):
            raise NotFitted("this Forecaster is not fitted yet; call fit first")
        return self.fitted_

    def _horizon(self, horizon: int | None) -> int:
        most = self.fitted_.config.horizon
        if horizon is None:
            return most
        if horizon < 1:
            raise UsageError("at least 1 step", setting=Setting("horizon", horizon))
        if horizon > most:
            asked = Setting("horizon", horizon)
            raise UsageError(
                f"this forecaster was fitted for {most}", setting=asked, cure=Words("fit again with ", asked)
            )
        return horizon

    def _panel(self, X: Data | None, future: Data | None, origin: str | None) -> Panel:
        config = self.fitted_.config
        if X is None:
            if origin is not None:
                problem = "needs a table: the artifact keeps only what a forecast from its own end needs"
                raise UsageError(problem, setting=Setting("origin", origin))
            history = self.fitted_.history
            return history if future is None else add_future(history, _table(future), config.table)
        own = {"on_duplicate": self.on_duplicate, "date_format": self.date_format}
        table, schema = _table(X), config.table.model_copy(update=own)
        check_schema(schema, table)
        later = None if future is None else _table(future)
        panel = build_panel(table, schema, ahead=config.horizon, future=later, origin=origin, lookback=config.lookback)
        fitted = self.fitted_
        lowest = np.concatenate([[np.inf], fitted.history.smallest()])[numbers_in(fitted.history.ids, panel.ids)]
        panel = replace(panel, lowest=lowest)
        return compare(panel, fitted.history.ids, fitted.level, table.name, config.lookback, self.strict)

    def _after(self, panel: Panel) -> NDArray[np.float64]:
        """Quantiles of what comes after each series of a panel, [series, horizon, levels]."""
        return self.engine_.quantiles(panel, np.arange(len(panel)))

    def _fit_fold(self, schema: Schema, name: str, on_step: Callable[[Progress], None] | None, past: Panel) -> Predict:
        """Fit to a panel as it stood at an origin; what comes back forecasts from it and from later ones."""
        deadline = None if self.budget is None else time.monotonic() + self.budget
        lags = choose_lags(past, schema.season)
        lookback = self.lookback or choose_lookback(past.ahead, lags, int(past.lengths.max()))
        judged = judge_again(past, schema, lookback, name)
        with threads(1):
            self.fitted_ = fit_panel(
                judged, schema, self._settings()[0], name, deadline, on_step, earlier=self._earlier(None)
            )
        self._settle()
        return self._after


def _places_of(ids: tuple[Names, ...]) -> dict[Names, int]:
    return {one: place for place, one in enumerate(ids)}


def _table(data: Data) -> Table:
    return data if isinstance(data, Table) else table_from_frame(data)
