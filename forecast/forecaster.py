"""Forecaster: the scikit-learn-style face."""

import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, Self, Unpack

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from forecast.artifacts.store import Store, VersionInfo, Writer
from forecast.engine.backtest import Backtest, BacktestRequest, backtest
from forecast.engine.exporting import add_exports
from forecast.engine.fit import fit, read_to_fit
from forecast.engine.forecast import forecast
from forecast.engine.requests import NO_CALLBACKS, Callbacks, FitRequest, ForecastRequest
from forecast.engine.what_if import what_if
from forecast.ensemble.names import check_names
from forecast.errors import UsageError
from forecast.inference import forecasting
from forecast.inference.contents import to_contents
from forecast.inference.fitted import describe_fit, list_models
from forecast.inference.forecasting import Columns
from forecast.inference.predictor import Predictor
from forecast.panel.comparing import actuals_after
from forecast.panel.events import remove_censored_values
from forecast.panel.infer import describe_reading, read_as
from forecast.parameters import (
    ForecasterParams,
    Levels,
    Names,
    OutputParams,
    convert_table,
)
from forecast.report.chart import build_chart, plot_of_forecasts, series_to_draw
from forecast.report.explanation import Explanation, explain_panel
from forecast.report.vega import altair_chart
from forecast.settings import (
    AFTER_FIT,
    DEFAULT_STORE,
    BacktestSettings,
    DeviceName,
    EngineName,
    OutputSettings,
    PictureSettings,
    SumSettings,
)
from forecast.tables.reading import Data
from forecast.tables.table import Table
from forecast.tables.writing import build_frame

if TYPE_CHECKING:
    import altair

Origin = str | int | date | np.datetime64  # a time of the table


class Forecaster(ForecasterParams, BaseEstimator):
    """Forecasts of many series by networks and baselines, from tables with a time column.

    The arguments are the settings of the command line under the same names, with the same defaults
    and bounds.

    Parameters
    ----------
    model : name of the model, see ``forecast models``
    params : the model's hyperparameters, e.g. ``{"hidden_size": 128}``; ``params__hidden_size`` in
        a grid
    horizon, lookback : steps to forecast, by default what the frequency suggests, and of the past
        to look at
    scaling, transform, loss, learning_rate, weight_decay, clip, batch_size, patience :
        of training
    budget, steps, members, jobs, seed, device, engine : how long, how often, where
        and by what
    hierarchy : id columns of sums that are trained on, too, and that forecasts are made to agree
        with
    warm_start : a second `fit` goes on from the networks of the first one, in fewer steps
    layout, time, id, target, freq, aggregate, season : how a table becomes series
    known, past, static, categorical, holidays : what is known beside their values
    events : a table of events, or its path: columns date (or start, end), name, kind, and ids where
        series differ. It may be set anew after `fit`, as may successors, overrides, on_duplicate,
        date_format, unfinished and strict
    successors : a table of series that start with the past of others, or its path: ids, replaces or
        like, from, share
    overrides : a table of forecasts set by hand, or its path: ids, time (or from, to), value, who,
        why. `predict` and `totals` apply it
    date_format, timezone, dst, on_duplicate, max_missing, missing, unfinished, strict : what times
        and rows mean

    Attributes
    ----------
    reading_ : what `fit` read, as lines; a saved version has none
    schema_, plan_, fitted_ : what was inferred of the table, what training did, and all that a
        saved version holds
    events_, successors_ : the settings `events` and `successors` at fit

    Examples
    --------
    >>> from forecast import Forecaster
    >>> from forecast.tables.synthetic import synthesize
    >>> model = Forecaster(model="theta", horizon=12).fit(synthesize("seasonal"))
    >>> model.predict().columns.tolist()
    ['series', 'time', 'forecast', 'lo_80', 'hi_80', 'lo_95', 'hi_95']
    """

    def fit(
        self,
        X: Data,
        y: None = None,
        *,
        future: Data | None = None,
        callbacks: Callbacks = NO_CALLBACKS,
        start: "Forecaster | None" = None,
    ) -> Self:
        """Infer what the table holds, and train.

        Parameters
        ----------
        X, future : a DataFrame, long or wide, a Series, an array [rows], or a Table; more rows of
            known columns
        callbacks : receive what was read, and the progress of training
        start : the fitted forecaster that a warm start goes on from; by default this one, if it is
            fitted

        Raises
        ------
        UsageError, BadData
            If a setting is wrong or contradicts the table, if the table cannot be used, or if there
            is a `y`.
        """
        self._refuse_y(y)
        settings, _ = self._settings()
        asked = replace(self._fit_request(X, future, callbacks), started=time.monotonic())
        reading = read_to_fit(asked)
        asked = replace(
            asked,
            source=reading,
            earlier=getattr(start or self, "fitted_", None),
            exports=settings.engine == "onnx",
        )
        self._serve(Predictor(fit(asked), settings.device, settings.engine))
        self.reading_ = describe_reading(reading)
        return self

    def predict(
        self,
        X: Data | None = None,
        *,
        future: Data | None = None,
        origin: Origin | None = None,
        horizon: int | None = None,
        explain: bool = False,
        **output: Unpack[OutputParams],
    ) -> pd.DataFrame:
        """Forecast what comes after the series seen at fit, or after those of another table.

        Events set since, ``set_params(events=newer).predict()``, replace those of the fit from
        their first day on.

        Parameters
        ----------
        X : a newer table, new ids included; default the series seen at fit
        future : rows of the columns that are known in advance
        origin : forecast from this time of X: later values are not used
        horizon : fewer steps than at fit
        levels, quantiles : intervals in percent, 1 to 99, by default 80 and 95; or in their place
            quantiles, 0.5 to 99.5, as columns ``p10, p90, ...``
        point : "median", or "mean" in the column ``forecast``
        min, max : bounds of every number; by default 0 for a series without a value below 0,
            ``-inf`` for no lower one
        integer : round to whole numbers
        explain : add the columns model and status

        Returns
        -------
        A row per series and step: the id columns (``series`` for a wide table), the time column,
        ``forecast``, then ``lo_80, hi_80, ...``; UsageError or BadData as of `fit`, and where known
        values lack for the horizon.
        """
        request = self._request(X, future, origin, horizon, {"explain": explain, **output})
        return self._frame(forecast(self._build_predictor(), request).whole.columns)

    def totals(
        self,
        X: Data | None = None,
        *,
        by: Names = (),
        every: Names = (),
        future: Data | None = None,
        origin: Origin | None = None,
        horizon: int | None = None,
        **output: Unpack[OutputParams],
    ) -> pd.DataFrame:
        """Forecast sums over groups of series and over time, with intervals of the sums.

        Parameters
        ----------
        by, every : columns of groups, such as ``"region,shop"`` or ``"all"``, and periods, such as
            ``"month"``, or ``"next 9"`` for the first 9 steps
        X, future, origin, horizon, output : as `predict` takes them

        Returns
        -------
        A row per group and period: ``level``, ids (blank where summed over), start of the period
        (of a week of days its Sunday), ``forecast``, ``mean``, ``lo_80, hi_80, ...``, ``observed``,
        ``filled``, ``steps``, ``calibrated``; errors as of `predict`.
        """
        sums = SumSettings.check({"sum_by": by, "sum_every": every})
        request = self._request(X, future, origin, horizon, output)
        totals = forecast(self._build_predictor(), replace(request, sums=sums)).totals
        return self._frame({} if totals is None else totals.columns())

    def orders(
        self,
        items: Data,
        X: Data | None = None,
        *,
        future: Data | None = None,
        origin: Origin | None = None,
        horizon: int | None = None,
        **output: Unpack[OutputParams],
    ) -> pd.DataFrame:
        """What to order of items: order-up-to levels, safety stocks, quantities, and until when stock lasts.

        Parameters
        ----------
        items : a row for each item: its ids, ``lead_time`` and ``review`` in steps, ``service_level`` or
            ``fill_rate`` in percent, and, if known, ``pack, minimum, on_hand, on_order, lead_time_sd``
        X, future, origin, horizon, output : as `predict` takes them

        Returns
        -------
        A row per item: ids, the last time of the protection period, ``protection`` (its steps),
        ``mean`` demand, ``order_up_to``, ``safety_stock``, ``order``, and the times ``runs_out_50``
        and ``runs_out_95``, or ``""``.
        """
        request = self._request(X, future, origin, horizon, output)
        request = replace(request, orders=convert_table(items))
        return self._frame(forecast(self._build_predictor(), request).orders or {})

    def what_if(
        self,
        changed: Mapping[str, object] | Data,
        X: Data | None = None,
        *,
        future: Data | None = None,
        origin: Origin | None = None,
        horizon: int | None = None,
        since: Origin | None = None,
        by: Names = (),
        every: Names = (),
        **output: Unpack[OutputParams],
    ) -> pd.DataFrame:
        """Forecast under other values: forecast, what_if, difference and its intervals.

        `changed` has values by column, ``{"promo": 0, "price": "+10%"}``, or what these are
        multiplied by, ``{"price*": 1.1}``, or what is added, ``{"price+": 0.5}``; or it is a frame
        of the columns and rows that change. Nothing changes before the time `since`. With `by` or
        `every` the rows are sums, as of `totals`; the others are as of `predict`.
        """
        new_values = changed if isinstance(changed, Mapping) else convert_table(changed)
        sums = SumSettings.check({"sum_by": by, "sum_every": every}) if by or every else None
        request = self._request(X, future, origin, horizon, output)
        request = replace(request, overrides=None, sums=sums)
        answer = what_if(self._build_predictor(), request, new_values, _text(since))
        return self._frame(answer.columns)

    def future_template(
        self,
        X: Data | None = None,
        *,
        origin: Origin | None = None,
        horizon: int | None = None,
    ) -> pd.DataFrame:
        """The rows that `predict` needs as `future` for the same words, known columns blank."""
        fitted = self._build_predictor().fitted
        return self._frame(forecasting.future_template(fitted, _table(X), _text(origin), horizon))

    def plot(
        self,
        X: Data | None = None,
        *,
        series: Names | int = 6,
        actual: Data | None = None,
        history: int | None = None,
        future: Data | None = None,
        origin: Origin | None = None,
        horizon: int | None = None,
        **output: Unpack[OutputParams],
    ) -> "altair.LayerChart | altair.ConcatChart":
        """Draw the past of some series, their forecasts with intervals, and the actual values.

        Parameters
        ----------
        X, future, origin, horizon, output : as `predict` takes them
        series : names of series, parts of ids joined by ``/``; or how many: those with the largest
            errors, or the first
        actual : a table with later values; with an `origin` the default is X
        history : steps of the past; default 3 horizons, and 2 seasons at least

        Returns
        -------
        A chart that a notebook shows; ``chart.save("picture.png")`` writes a file.
        """
        if isinstance(series, int):
            settings = PictureSettings.check({"count": series, "history": history}, "series: ")
        else:
            settings = PictureSettings.check({"series": series, "history": history})
        actual = X if actual is None and origin is not None else actual
        # the errors of all series tell which are the largest
        needs_all = actual is not None and not settings.series
        choose = None if needs_all else partial(series_to_draw, settings=settings)
        request = self._request(X, future, origin, horizon, output)
        answer = forecast(self._build_predictor(), replace(request, overrides=None, choose=choose))
        data = plot_of_forecasts(answer.whole, answer.fitted, request.output)
        if actual is None:
            return altair_chart(build_chart(data, settings))
        later = read_as(convert_table(actual), answer.fitted.schema, horizon=0)
        return altair_chart(build_chart(data, settings, later.panel, later.name))

    def explain(self, X: Data | None = None, *, future: Data | None = None) -> Explanation:
        """The parts that the forecasts are made of.

        Parameters
        ----------
        X, future : as `predict` takes them
        """
        predictor = self._build_predictor()
        table = _table(X)
        later = _table(future)
        panel = forecasting.panel_to_forecast(predictor.fitted, table, later)
        name = getattr(later or table, "name", "the saved table")
        return explain_panel(predictor, panel, name)

    def score(self, X: Data, y: None = None) -> float:
        """Minus the MASE over the rows of `X` that follow those of the fit; higher is better.

        A ValueError if there are none, or other rows than those of the fit precede them: a cross-validation tests
        what follows, ``cv=RollingOrigin(windows=3, horizon=24)``.
        """
        self._refuse_y(y)
        predictor = self._build_predictor()
        fitted = predictor.fitted
        history = fitted.history
        schema = fitted.schema
        horizon = fitted.config.horizon
        later = read_as(convert_table(X), schema, horizon=0)
        zero = schema.missing == "zero"
        actual, earlier = actuals_after(history, later.panel, horizon, zero)
        uncensored, _ = actuals_after(
            history, remove_censored_values(later.panel, schema), horizon, zero
        )
        if earlier:
            problem = f"{earlier} of the rows to score do not come after those of the fit"
            raise UsageError(problem, cure=forecasting.rolling_cure(horizon))
        return -forecasting.error_after(predictor, later, actual, uncensored)

    def backtest(
        self,
        X: Data | tuple[Data, Data],
        *,
        windows: int | None = None,
        step: int | None = None,
        refit: bool = False,
        models: Names = (),
        frozen: bool = False,
        sums: Mapping[str, Names | Levels] | None = None,
        callbacks: Callbacks = NO_CALLBACKS,
    ) -> Backtest:
        """Forecast from rolling origins in the past, and compare with the actual values.

        Parameters
        ----------
        X : as `fit` takes it; or a pair of it and of more rows of known columns, as `fit` takes
            them as `future`
        windows, step : origins, by default 8 or as leave half of the steps to the first fit; and
            steps between them
        refit : fit at each origin, with `warm_start` each from the one before it, not only at the
            oldest
        models : names of models and baselines to compare; default the forecaster's own model
        frozen : forecast by this fitted forecaster as it is, without a fit, and by `models` beside
            it
        sums : the settings ``sum_by`` and ``sum_every``: compare sums as well, see `by` and `every`
            of `totals`; and ``quantiles``, which are measured beside the usual intervals
        callbacks : receive what was read, the progress of the backtest, and of training unless fits
            run side by side
        """
        rolling = BacktestSettings.check({"windows": windows, "step": step, "refit": refit})
        models = (models,) if isinstance(models, str) else tuple(models)
        settings, table_settings = self._settings()
        check_names(settings, models or (settings.model,))
        summed = dict(sums or {})
        output = OutputSettings.check({"quantiles": summed.pop("quantiles", ())})
        future = None
        if isinstance(X, tuple):
            X, future = X
        predictor = self._build_predictor() if frozen else None
        if predictor is None:
            reading = read_to_fit(self._fit_request(X, future, callbacks))
        else:
            later = _table(future)
            reading = forecasting.reading_to_forecast(predictor.fitted, convert_table(X), later)
        return backtest(
            BacktestRequest(
                reading,
                settings,
                rolling,
                models,
                predictor,
                season_given=bool(table_settings.season),
                sums=SumSettings.check(summed) if summed else None,
                quantiles=output.quantiles,
                callbacks=callbacks,
            )
        )

    def attention(self, X: Data | None = None) -> pd.DataFrame:
        """The weight that an attention model gives to each step of the past, a row for each."""
        predictor = self._build_predictor()
        panel = forecasting.panel_to_forecast(predictor.fitted, _table(X))
        series = forecasting.forecast_series(panel)
        weights = predictor.attention(panel, series)
        steps = np.arange(1 - weights.shape[1], 1)
        columns = forecasting.columns_at(panel, self.schema_, series, steps, {"weight": weights})
        return self._frame(columns)

    def save(self, store: str | Writer, keep: int = DEFAULT_STORE.keep) -> VersionInfo:
        """Write a new version into a store, make it the live one, and prune old ones.

        Parameters
        ----------
        store : the folder, or what `Store.lock` yields where the lock is held already
        keep : versions that stay
        """
        if not self._check_fitted().exports:
            self.fitted_ = add_exports(self.fitted_)
        with nullcontext(store) if isinstance(store, Writer) else Store(store).lock() as writer:
            return writer.save(to_contents(self.fitted_), keep)

    @classmethod
    def load(
        cls,
        store: str,
        version: str | None = None,
        device: DeviceName = "auto",
        engine: EngineName = "auto",
    ) -> Self:
        """Read the live version of a store, or another one; nothing in it can run code.

        The settings are those of the fit, and what it inferred of the table, so that another `fit`
        reads and trains alike; only `device` and `engine` are those that are given. `events` and
        `successors` are tuples of the rows that it read. NoInput and ArtifactRefused say that the
        store has no such version, or that it is damaged, unsafe or too new.
        """
        predictor = forecasting.load_predictor(store, version, device, engine)
        fitted = predictor.fitted
        schema = predictor.fitted.schema
        settings = fitted.settings().model_dump() | fitted.run
        settings |= {"device": device, "engine": engine}
        forecaster = cls(**settings).set_params(
            **schema.table_settings(),
            events=schema.dated_events or None,
            successors=schema.successions or None,
        )
        forecaster._serve(predictor)
        return forecaster

    def describe(self) -> list[str]:
        """What `fit` read, what forecasts, and how well it does on held-out values, as lines."""
        return [*getattr(self, "reading_", ()), *describe_fit(self._check_fitted())]

    def models(self) -> list[str]:
        """What forecasts each series of the fit."""
        return list_models(self._check_fitted())

    def _fit_request(self, X: Data, future: Data | None, callbacks: Callbacks) -> FitRequest:
        settings, how = self._settings()
        later = _table(future)
        return FitRequest(convert_table(X), settings, how, future=later, callbacks=callbacks)

    def _request(
        self,
        X: Data | None,
        future: Data | None,
        origin: Origin | None,
        horizon: int | None,
        output: Mapping[str, object],
    ) -> ForecastRequest:
        settings = {name: value for name, value in output.items() if value is not None}
        return ForecastRequest(
            source=_table(X),
            future=_table(future),
            origin=_text(origin),
            horizon=horizon,
            output=OutputSettings.check(settings),
            overrides=self.overrides,
        )

    def _serve(self, predictor: Predictor) -> None:
        self.fitted_ = predictor.fitted
        self.events_ = self.events
        self.successors_ = self.successors
        self.predictor_ = predictor
        self.schema_ = predictor.fitted.schema
        self.plan_ = predictor.fitted.config.plan

    def _build_predictor(self) -> Predictor:
        """What forecasts, with the tables and other settings that were set after the fit."""
        self._check_fitted()
        return forecasting.update_tables(
            self.predictor_,
            None if self.events is self.events_ else self.events,
            None if self.successors is self.successors_ else self.successors,
            {name: getattr(self, name) for name in AFTER_FIT},
        )

    def _frame(self, columns: Columns) -> pd.DataFrame:
        return build_frame(columns, self.schema_.whole_ids)


def _table(data: Data | None) -> Table | None:
    return None if data is None else convert_table(data)


def _text(origin: Origin | None) -> str | None:
    return None if origin is None else str(origin)
