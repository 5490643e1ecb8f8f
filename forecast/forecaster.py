"""Forecaster: the scikit-learn-style face."""

import time
from copy import copy
from functools import partial
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from forecast.artifacts.resume import Checkpoints
from forecast.artifacts.store import Store, VersionInfo, Writer
from forecast.backtesting import backtest_reading
from forecast.baselines import default_baselines
from forecast.engine.exporting import with_exports
from forecast.engine.stages import NO_CALLBACKS, Callbacks, deadline_of, fit_panel
from forecast.ensemble.names import check_names
from forecast.errors import BadData
from forecast.evaluation.backtest import OUTPUT
from forecast.evaluation.metrics import mase
from forecast.events.table import events_columns
from forecast.inference.contents import to_contents
from forecast.inference.engines import require_engine
from forecast.inference.fitted import Fitted
from forecast.inference.forecasting import (
    columns_at,
    forecast_table,
    load_predictor,
    panel_to_forecast,
    reading_to_forecast,
    with_events,
)
from forecast.inference.predictor import Predictor
from forecast.inference.summary import describe_fit, models_of
from forecast.panel.schema import Schema
from forecast.parallel import on_cluster, workers
from forecast.parameters import NestedParams, NotFitted, refuse_other_rows
from forecast.reading.building import with_future
from forecast.reading.comparing import actuals_after
from forecast.reading.known import say_blank_ahead
from forecast.reading.reading import Reading, check_to_fit, describe_reading, read, read_as
from forecast.reading.tidying import tidied
from forecast.report.content import drawable_forecasts, picture_of, series_without_errors
from forecast.report.drawing import chart
from forecast.report.explanation import explained
from forecast.results import Backtest, Explained, backtest_frames, explained_frames, result_columns
from forecast.settings import (
    INTERVALS,
    STORE,
    Aggregate,
    BacktestSettings,
    ClockChange,
    DeviceName,
    EngineName,
    ExplainSettings,
    Layout,
    LossName,
    Metric,
    MissingRows,
    OnDuplicate,
    OptimizerName,
    OutputSettings,
    PictureSettings,
    PrecisionName,
    ScalingName,
    TableSettings,
    TrainSettings,
    TransformName,
)
from forecast.tables.frames import frame_of
from forecast.tables.reading import table_from_frame
from forecast.tables.table import Table
from forecast.tables.writing import refuse_clash

Data = Any  # a pandas DataFrame or Series, an array [rows], or a Table
Names = str | tuple[str, ...]

BASELINES = default_baselines()


class Forecaster(NestedParams, BaseEstimator):
    """Forecasts of many series by one recurrent network, from tables with a time column.

    The arguments are the settings of the command line under the same names, with the same defaults and bounds.

    Parameters
    ----------
    model : name of the model, see ``forecast models``
    params : the model's own knobs, e.g. ``{"hidden_size": 128}``; ``params__hidden_size`` in a grid
    horizon : steps to forecast; by default what the frequency suggests
    lookback : steps of the past that a forecast looks at
    scaling, transform, loss, optimizer, learning_rate, weight_decay, clip, batch_size, patience : of training
    budget, steps, plan, members, jobs, seed, device, precision, engine : how long, how often, where, in which
        precision, and by what it forecasts
    warm_start : a second `fit` goes on from the networks of the first one, in fewer steps
    layout, time, id, target, freq, aggregate, season : how a table becomes series
    known, past, static, categorical, holidays : what is known beside their values
    events : a table of events, or its path: columns date and name, and id columns where series differ. It may be set
        anew after `fit`, as may on_duplicate, date_format and strict
    date_format, timezone, dst, on_duplicate, max_missing, missing, strict : what times and absent rows mean

    Attributes
    ----------
    schema_ : what was inferred of the table
    plan_ : what training did
    fitted_ : all that a saved version holds
    events_ : the setting `events` at fit
    shard_ : the part of the series that it forecasts, of one that `shard` returned

    Examples
    --------
    >>> from forecast import Forecaster
    >>> from forecast.tables.synthetic import synthesize
    >>> model = Forecaster(model="theta", horizon=12).fit(synthesize("seasonal"))
    >>> model.predict().columns.tolist()
    ['series', 'time', 'forecast', 'lo_80', 'hi_80', 'lo_95', 'hi_95']
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
        precision: PrecisionName = "auto",
        engine: EngineName = "auto",
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
        events: Data | None = None,
        date_format: str | None = None,
        timezone: str | None = None,
        dst: ClockChange = "error",
        on_duplicate: OnDuplicate = "error",
        max_missing: float = 0.5,
        missing: MissingRows = "unknown",
        strict: bool = False,
    ) -> None:
        arguments = locals()
        for name in self._get_param_names():
            setattr(self, name, arguments[name])

    def fit(
        self,
        X: Data,
        y: None = None,
        *,
        started: float | None = None,
        callbacks: Callbacks = NO_CALLBACKS,
        checkpoints: Checkpoints | None = None,
        start: "Forecaster | None" = None,
    ) -> Self:
        """Infer what the table holds, and train.

        Parameters
        ----------
        X : a DataFrame, long or wide, a Series, an array [rows], or a Table
        y : not used, here because scikit-learn passes it
        started : `time.monotonic()` from which the budget counts; default now
        callbacks : receive what was read, and the progress of training
        checkpoints : where training writes what it can go on from, of `Writer.checkpoints`; by default nowhere
        start : the fitted forecaster that a warm start goes on from; by default this one, if it is fitted

        Raises
        ------
        UsageError
            If a setting is unknown or out of bounds, or contradicts the table.
        BadData
            If the table cannot be used; the message says where and how to mend it.
        """
        settings = self._settings()[0]
        require_engine(settings.engine, settings.model)
        deadline = deadline_of(settings, time.monotonic() if started is None else started)
        reading = self._read(_table(X), callbacks)
        earlier = getattr(start or self, "fitted_", None)
        panel, schema, name = reading.panel, reading.schema, reading.name
        self.fitted_ = fit_panel(panel, schema, settings, name, deadline, callbacks.on_step, checkpoints, earlier)
        self.events_ = self.events
        if settings.engine == "onnx":
            self.fitted_ = with_exports(self.fitted_)
        self._set_predictor(Predictor(self.fitted_, settings.device, settings.engine))
        return self

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

        Newer events are set, ``set_params(events=newer).predict()``; from their first day on they replace those of the
        fit.

        Parameters
        ----------
        X : tonight's table, new ids included; default the series seen at fit
        future : rows of the columns that are known in advance
        origin : forecast from this time of X: later values are not used
        horizon : fewer steps than at fit
        levels : intervals in percent, 1 to 99
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
        forecasts = forecast_table(
            self._predictor(),
            None if X is None else _table(X),
            schema=self._schema(),
            future=None if future is None else _table(future),
            origin=origin,
            horizon=horizon,
            output=OutputSettings.check(
                {"levels": levels, "explain": explain, "min": min, "shard": getattr(self, "shard_", None)}
            ),
        )
        return frame_of(forecasts.columns)

    def shard(self, name: str) -> Self:
        """This fitted forecaster for a part of the series: what its `predict` returns has no others.

        Parameters
        ----------
        name : i/N, such as ``3/16``; a hash of the ids decides, the same on every machine and in every release, so that
            the N parts together have each series once

        Raises
        ------
        UsageError
            If it is no shard.
        """
        self._check_fitted()
        other = copy(self)
        other.shard_ = OutputSettings.check({"shard": name}).shard
        return other

    def plot(
        self,
        X: Data | None = None,
        *,
        series: Names | int = 6,
        actual: Data | None = None,
        history: int | None = None,
        future: Data | None = None,
        origin: str | None = None,
        horizon: int | None = None,
        levels: float | tuple[float, ...] = INTERVALS,
    ) -> Any:
        """Draw the past of some series, their forecasts with intervals, and the values that came.

        Parameters
        ----------
        X, future, origin, horizon, levels : as `predict` takes them
        series : names of series, parts of ids joined by ``/``; or how many: those with the largest errors, or the first
        actual : a table with later values; with an `origin` the default is X
        history : steps of the past; default 3 horizons, and 2 seasons at least

        Returns
        -------
        altair.ConcatChart or altair.LayerChart
            A notebook shows it; ``chart.save("picture.png")`` writes a file.

        Raises
        ------
        UsageError, BadData
            As `predict` does; and if a series is not there.
        Unavailable
            If Altair is not installed.
        """
        predictor, counted = self._predictor(), isinstance(series, int)
        which = {"count": series} if counted else {"series": series}
        settings = PictureSettings.check({**which, "history": history}, where="series: " if counted else "")
        output = OutputSettings.check({"levels": levels})
        actual = X if actual is None and origin is not None else actual
        all_matter = actual is not None and not settings.series  # the errors of all tell which are the largest
        forecasts = forecast_table(
            predictor,
            None if X is None else _table(X),
            schema=self._schema(),
            future=None if future is None else _table(future),
            origin=origin,
            horizon=horizon,
            output=output,
            on_panel=None if all_matter else partial(series_without_errors, settings=settings),
        )
        later = None if actual is None else read_as(_table(actual), self._schema(), horizon=0)
        drawable = drawable_forecasts(forecasts, predictor.fitted, output.levels)
        came, name = (None, "") if later is None else (later.panel, later.name)
        return chart(picture_of(drawable, settings, came, name))

    def explain(self, X: Data | None = None, *, future: Data | None = None, repeats: int = 10) -> Explained:
        """What the forecasts rest on, and what they are made of.

        Parameters
        ----------
        X, future : as `predict` takes them; without the values of the horizon of known columns there are no parts
        repeats : how many times each column is shuffled

        Raises
        ------
        UsageError, BadData
            As `predict` does; and if no series is long enough to hold out a horizon.
        """
        settings = ExplainSettings.check({"repeats": repeats})
        table = None if X is None else _table(X)
        later = None if future is None else _table(future)
        predictor = self._predictor()
        panel = panel_to_forecast(predictor.fitted, table, self._schema(), later)
        named = table if later is None else later
        name = "the saved table" if named is None else named.name
        found = explained(predictor, panel, settings, name, later is not None)
        return explained_frames(found, predictor)

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
        schema = config.table
        later = read_as(_table(X), schema, horizon=0)
        actual, others = actuals_after(history, later.panel, config.horizon, zero=schema.missing == "zero")
        refuse_other_rows(others, config.horizon)
        if not np.isfinite(actual).any():
            raise BadData(
                f"no row lies within {config.horizon} steps after the end of the fit, {config.train_end}",
                cure="score rows that come later than those of the fit",
            )
        series = np.flatnonzero(~history.skipped)
        if schema.known:
            history = with_future(history, later.dated.table, schema, later.dated.times_by(schema))
        say_blank_ahead(history, schema, config.horizon, later.name)
        quantiles = self._predictor().quantiles(history, series)
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
        callbacks: Callbacks = NO_CALLBACKS,
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
        models : names of models and baselines to compare; default the forecaster's own model
        frozen : forecast by this fitted forecaster as it is, without a fit, and by `models` beside it
        callbacks : receive what was read, the progress of the backtest, and of training unless fits run side by side

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
        settings, table_settings = self._settings()
        check_names(settings, models or (settings.model,))
        if frozen:
            reading = reading_to_forecast(self._check_fitted(), _table(X), self._schema())
        else:
            reading = self._read(_table(X), callbacks)
        refuse_clash(reading.schema.keys, result_columns(OUTPUT.levels), "result")
        result = backtest_reading(
            reading,
            settings,
            rolling,
            models,
            predictor=self._predictor() if frozen else None,
            season_given=bool(table_settings.season),
            jobs=settings.jobs or (workers() if on_cluster() else 1),
            callbacks=callbacks,
        )
        return backtest_frames(result)

    def attention(self, X: Data | None = None) -> pd.DataFrame:
        """The weight that an attention model gives to each step of the past, a row per series and step.

        Raises
        ------
        UsageError
            If the model has no attention.
        """
        fitted = self._check_fitted()
        panel = fitted.history if X is None else reading_to_forecast(fitted, _table(X), self._schema()).panel
        series = panel.order[~panel.skipped[panel.order]]
        weights = self.predictor_.attention(panel, series)
        steps = np.arange(1 - weights.shape[1], 1)
        return frame_of(columns_at(panel, self.schema_, series, steps, {"weight": weights}))

    def save(self, store: str | Writer, keep: int = STORE.keep, *, deadline: float | None = None) -> VersionInfo:
        """Write a new version into a store, make it the live one, and prune old ones.

        Parameters
        ----------
        store : the folder, or what `Store.lock` yields where the lock is held already
        keep : versions that stay
        deadline : `time.monotonic()` at which networks must have been exported; the others have no export
        """
        self._check_fitted()
        if not self.fitted_.exports.files:
            self.fitted_ = with_exports(self.fitted_, deadline)
            self.plan_ = self.fitted_.config.plan
        contents = to_contents(self.fitted_)
        if isinstance(store, Writer):
            return store.save(contents, keep)
        with Store(store).lock() as writer:
            return writer.save(contents, keep)

    @classmethod
    def load(
        cls, store: str, version: str | None = None, device: str = "auto", engine: EngineName = "auto"
    ) -> "Forecaster":
        """Read the live version of a store, or another one; nothing in it can run code.

        The knobs are those of the fit, and what it inferred of the table, so that another `fit` reads and trains
        alike; only `plan` is the default, and `device` and `engine` those that are given.

        Raises
        ------
        NoInput
            If the store has no such version.
        ArtifactRefused
            If it is damaged, unsafe or too new.
        """
        predictor = load_predictor(store, version, device, engine)
        fitted = predictor.fitted
        knobs = {**fitted.settings().model_dump(), **fitted.run, "device": device, "engine": engine}
        schema = fitted.config.table
        events = frame_of(events_columns(schema)) if schema.dated_events else None
        forecaster = cls(**knobs).set_params(**schema.knobs(), events=events)
        forecaster.fitted_, forecaster.events_ = fitted, forecaster.events
        forecaster._set_predictor(predictor)
        return forecaster

    def describe(self) -> list[str]:
        """What forecasts, and how it compares with seasonal naive on held-out values, as lines."""
        return describe_fit(self._check_fitted())

    def models(self) -> list[str]:
        """What forecasts each series of the fit."""
        return models_of(self._check_fitted())

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "fitted_")

    def _settings(self) -> tuple[TrainSettings, TableSettings]:
        given = self.get_params(deep=False)
        table = {name: given.pop(name) for name in TableSettings.model_fields}
        if not isinstance(self.events, str):
            table["events"] = None  # a table is no setting
        return TrainSettings.check(given), TableSettings.check(table)

    def _read(self, table: Table, callbacks: Callbacks) -> Reading:
        """Read a table to fit to it."""
        train, how = self._settings()
        check_names(train)
        reading = read(table, how, horizon=train.horizon, lookback=train.lookback, events=_events(self.events))
        check_to_fit(reading)
        if callbacks.on_read is not None:
            callbacks.on_read(describe_reading(reading))
        return reading

    def _schema(self) -> Schema:
        """How the fit read its table, with the knobs that may change after it."""
        knobs = {name: getattr(self, name) for name in ("on_duplicate", "date_format", "strict")}
        return self.schema_.model_copy(update=knobs)

    def _set_predictor(self, predictor: Predictor) -> None:
        self.schema_, self.plan_, self.predictor_ = (
            predictor.fitted.config.table,
            predictor.fitted.config.plan,
            predictor,
        )

    def _predictor(self) -> Predictor:
        """What forecasts, with the events that were set after the fit."""
        self._check_fitted()
        return with_events(self.predictor_, None if self.events is self.events_ else _events(self.events))

    def _check_fitted(self) -> Fitted:
        if not hasattr(self, "fitted_"):
            raise NotFitted("this Forecaster is not fitted yet; call fit first")
        return self.fitted_


def _events(data: Data | None) -> Table | str | None:
    """A table of events, or its path."""
    if data is None or isinstance(data, str | Table):
        return data
    return table_from_frame(data, "the table of events")


def _table(data: Data) -> Table:
    return tidied(data if isinstance(data, Table) else table_from_frame(data))
