"""Forecaster: the scikit-learn-style face, and the only room that knows the order of the stages."""

import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError

from forecast.artifacts.fitted import RUN_ONLY, Config, Fitted, from_contents, read_plan, to_contents
from forecast.artifacts.store import Store, VersionInfo, Writer
from forecast.errors import ArtifactRefused, BadData, ForecastError, UsageError
from forecast.evaluation.baselines import BASELINES
from forecast.evaluation.calibration import say_few_scores
from forecast.evaluation.metrics import mase, seasonal_errors
from forecast.evaluation.quantiles import LEVELS, output_numbers
from forecast.models.shared.model import RecurrentModel
from forecast.parameters import NestedParams
from forecast.selection.auto import compared_with, train_networks
from forecast.selection.components import memory_of
from forecast.selection.judge import Judge
from forecast.selection.mixture import CHOSEN, choose_mixture
from forecast.series.building import add_future, build_panel, calendar_of, format_positions, judge, require_known
from forecast.series.calendar import default_horizon
from forecast.series.comparing import compare, mean_level
from forecast.series.covariates import fit_statistics
from forecast.series.detection import check_schema, describe, infer_schema
from forecast.series.panel import SKIPPED, Panel
from forecast.series.reading import table_from_frame
from forecast.series.schema import Schema
from forecast.series.spans import choose_lags, choose_lookback
from forecast.series.table import Table
from forecast.series.transforms import fit_power, undo_power
from forecast.series.writing import forecast_frame, guard_formulas, interval_columns
from forecast.settings import OutputSettings, TableSettings, TrainSettings
from forecast.training.devices import pick_device, threads
from forecast.training.fitting import Fitter
from forecast.training.holding import choose_spans, held_out_places
from forecast.training.inputs import Inputs, network_shape, numbers_in
from forecast.training.loop import Progress
from forecast.training.members import median_of_members, network_quantiles, rebuild
from forecast.training.plan import Member

log = logging.getLogger("forecast")

Data = Any  # a pandas DataFrame or Series, or a Table
Names = tuple[str, ...]

COMMON = 95.0  # the interval, in percent, whose calibration fit speaks of
LEAST_STEPS = 100  # a budget that ends training earlier leaves a network that has hardly learned
CHUNK = 8192  # windows that are forecast at once
RESERVE = 0.5  # seconds of a budget that are kept for saving


class NotFitted(ForecastError, NotFittedError):
    """A method that needs a fitted forecaster was called before fit."""

    exit_code = 66


@dataclass(frozen=True)
class Forecasts:
    """A table of forecasts, and the series that get none with the reason: ``{("store 7",): "missing"}``."""

    frame: pd.DataFrame
    skipped: dict[tuple[str, ...], str]


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
    layout, time, id, target, freq, aggregate, season, known, past, static, holidays, date_format, timezone, dst,
    on_duplicate, max_missing, strict : how a table becomes series

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
        scaling: Literal["standard", "robust", "mean", "last", "none"] | None = None,
        transform: Literal["none", "log", "power"] = "none",
        loss: Literal["quantile", "mae", "mse", "huber"] = "quantile",
        optimizer: Literal["adamw", "adam"] = "adamw",
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
        metric: Literal["mase", "rmsse", "mae", "rmse", "smape"] = "mase",
        seed: int = 0,
        device: Literal["auto", "cpu", "cuda", "mps"] = "auto",
        layout: Literal["long", "wide", "rows"] | None = None,
        time: str | None = None,
        id: Names = (),
        target: Names = (),
        freq: str | None = None,
        aggregate: Literal["sum", "mean", "last"] | None = None,
        season: tuple[int, ...] = (),
        known: Names = (),
        past: Names = (),
        static: Names = (),
        holidays: str | None = None,
        date_format: str | None = None,
        timezone: str | None = None,
        dst: Literal["earlier", "later", "error"] = "error",
        on_duplicate: Literal["error", "first", "last", "mean", "sum"] = "error",
        max_missing: float = 0.5,
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
        self.holidays = holidays
        self.date_format = date_format
        self.timezone = timezone
        self.dst = dst
        self.on_duplicate = on_duplicate
        self.max_missing = max_missing
        self.strict = strict

    def fit(
        self,
        X: Data,
        y: None = None,
        *,
        started: float | None = None,
        on_read: Callable[[list[str]], None] | None = None,
        on_step: Callable[[Progress], None] | None = None,
    ) -> Self:
        """Infer what the table holds, and train.

        Parameters
        ----------
        X : a DataFrame, long or wide, a Series, or a Table
        y : not used, here because scikit-learn passes it
        started : `time.monotonic()` from which the budget counts; default now
        on_read : is given what was read and inferred, as lines, before training
        on_step : is given the progress after each training step

        Raises
        ------
        UsageError
            If a setting is unknown or out of bounds, or contradicts the table.
        BadData
            If the table cannot be used; the message says where and how to mend it.
        """
        started = time.monotonic() if started is None else started
        settings, table_settings = self._settings()
        table = _table(X)
        schema = infer_schema(table, table_settings)
        horizon = settings.horizon or default_horizon(schema.calendar, schema.season)
        panel = build_panel(table, schema, ahead=horizon)
        lags = choose_lags(panel, schema.season)
        lookback = settings.lookback or choose_lookback(horizon, lags, int(panel.lengths.max()))
        panel = judge(panel, schema, lookback, table.name)
        if on_read is not None:
            on_read([*describe(schema, panel), f"horizon  {horizon}, from the last {lookback} steps"])
        deadline = None if settings.budget is None else started + settings.budget - RESERVE
        self.fitted_ = self._fit_panel(panel, schema, table.name, deadline, on_step)
        self._settle()
        return self

    def _fit_panel(
        self,
        panel: Panel,
        schema: Schema,
        name: str,
        deadline: float | None = None,
        on_step: Callable[[Progress], None] | None = None,
    ) -> Fitted:
        settings, _ = self._settings()
        horizon, longest = panel.ahead, int(panel.lengths.max())
        lags = choose_lags(panel, schema.season)
        lookback = settings.lookback or choose_lookback(horizon, lags, longest)
        kept = np.flatnonzero(~np.isin(panel.status, SKIPPED))
        used = panel.select(kept)
        if int(used.lengths.max()) < horizon + 2:
            raise BadData(
                f"{name}: the longest series has {int(used.lengths.max())} values, too few to learn a horizon of "
                f"{horizon} from; pass a smaller --horizon"
            )
        season = schema.season[0] if schema.season else 1
        spans = choose_spans(used.lengths, lookback, horizon, lags[0] if lags else 1)
        power = fit_power(settings.transform, used, season)
        statistics = fit_statistics(used, schema, spans.train_end)
        inputs = Inputs.of(
            used,
            schema,
            statistics,
            power=power,
            lags=lags,
            levels=LEVELS,
            ids=panel.ids,
            loss=settings.loss,
            horizon=horizon,
            device=pick_device(settings.device),
        )
        fitter = Fitter(inputs, spans, held_out_places(spans), settings)
        plan = read_plan(settings.plan) if settings.plan else None
        judge = Judge.of(inputs, fitter.places, power, settings.metric)
        plan, trained = train_networks(fitter, judge, lookback, plan, deadline, on_step)
        if any(one.cut is not None and one.cut < LEAST_STEPS for one in trained):
            fewest = min(one.steps for one in trained)
            log.warning("the budget ended training after %d steps; that is hardly any, pass a larger --budget", fewest)
        mixture = choose_mixture(
            inputs,
            judge,
            [
                (plan.members[group[0]].model, median_of_members([trained[i].held_out.numpy() for i in group]))
                for group in plan.groups()
            ],
            compared_with(settings),
            lookback=lookback,
            memory=memory_of(lookback, lags, longest),
        )
        say_few_scores(mixture.calibration.windows, COMMON)
        groups = plan.groups()
        used_members = [number for group in mixture.networks for number in groups[group]]
        seen = [plan.members[number].lookback + max(lags, default=0) for number in used_members]
        history = panel.tail(max(mixture.memory, lookback, *seen))
        return Fitted(
            config=Config(
                table=schema,
                settings=settings.model_dump(exclude=RUN_ONLY, exclude_defaults=True),
                plan=plan,
                horizon=horizon,
                lookback=lookback,
                memory=mixture.memory,
                lags=lags,
                levels=LEVELS,
                power=power,
                train_end=str(format_positions(schema, calendar_of(schema), panel.origins.max(keepdims=True))[0]),
                components=mixture.components,
                networks=mixture.networks,
                scores=mixture.scores,
                validation=tuple(one.validation for one in trained),
                trained_steps=tuple(one.steps for one in trained),
            ),
            statistics=statistics,
            level=mean_level(panel.tail(lookback + max(lags, default=0))),
            seasonal_error=seasonal_errors(panel.values, panel.observed, panel.offsets, season),
            mixture=mixture,
            history=history,
            weights=[{name: value.numpy() for name, value in trained[i].weights.items()} for i in used_members],
        )

    def predict(
        self,
        X: Data | None = None,
        *,
        future: Data | None = None,
        origin: str | None = None,
        horizon: int | None = None,
        levels: tuple[float, ...] = (80.0, 95.0),
        explain: bool = False,
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
        output = OutputSettings.check({"levels": levels, "explain": explain})
        return self.forecast(X, future=future, origin=origin, horizon=horizon, output=output).frame

    def forecast(
        self,
        X: Data | None = None,
        *,
        future: Data | None = None,
        origin: str | None = None,
        horizon: int | None = None,
        output: OutputSettings | None = None,
    ) -> Forecasts:
        """As `predict`, with all output settings, and with the series that get no forecast."""
        fitted = self._check_fitted()
        config, output = fitted.config, output or OutputSettings()
        horizon = self._horizon(horizon)
        panel = self._panel(X, future, origin)
        given = X if future is None else future
        require_known(panel, config.table, horizon, "the saved table" if given is None else _table(given).name)
        words = np.array(panel.status)
        series = panel.order[~np.isin(words[panel.order], SKIPPED)]
        quantiles = self._quantiles(panel, series, joint=output.joint)[:, :horizon]
        columns = ["forecast", *interval_columns(output.levels)]
        numbers = output_numbers(quantiles, config.levels, output)
        calendar = calendar_of(config.table)
        positions = panel.origins[series][:, None] + 1 + np.arange(horizon)
        times = format_positions(config.table, calendar, positions.ravel())
        frame = forecast_frame(panel, config.table, times, series, numbers, columns)
        if output.integer:
            frame[columns] = frame[columns].astype(np.int64)
        if output.explain:
            numbers_of = numbers_in(fitted.history.ids, panel.ids)[series]
            frame["model"] = np.repeat(fitted.mixture.names(numbers_of), horizon)
            frame["status"] = np.repeat(words[series], horizon)
        if output.excel_safe:
            frame = guard_formulas(frame, config.table.ids)
        skipped = {panel.ids[i]: str(words[i]) for i in np.flatnonzero(np.isin(words, SKIPPED))}
        gone = set(fitted.history.ids) - set(panel.ids)
        return Forecasts(frame, {**skipped, **dict.fromkeys(sorted(gone), "gone")})

    def score(self, X: Data, y: None = None) -> float:
        """Minus the MASE of the forecasts over the rows of `X` after the end of the fit; higher is better.

        Parameters
        ----------
        X : a table that holds rows after the fitted end, at most a horizon of them count
        """
        fitted = self._check_fitted()
        config, history = fitted.config, fitted.history
        later = build_panel(_table(X), config.table, ahead=0)
        actual = np.full((len(history), config.horizon), np.nan)
        rank = {one: i for i, one in enumerate(history.ids)}
        for i, one in enumerate(later.ids):
            if one in rank:
                own = later.slots(i)
                step = later.starts[i] + np.arange(own.stop - own.start) - history.origins[rank[one]] - 1
                used = later.observed[own] & (step >= 0) & (step < config.horizon)
                actual[rank[one], step[used]] = later.values[own][used]
        if not np.isfinite(actual).any():
            raise BadData(f"no row lies within {config.horizon} steps after the end of the fit, {config.train_end}")
        series = np.flatnonzero(~np.isin(history.status, SKIPPED))
        with_known = add_future(history, _table(X), config.table) if config.table.known else history
        quantiles = self._quantiles(with_known, series)
        point = quantiles[..., config.levels.index(0.5)]
        return -mase(actual[series], point, fitted.seasonal_error[series])

    def attention(self, X: Data | None = None) -> pd.DataFrame:
        """The weight that an attention model gives to each step of the past, a row per series and step.

        Raises
        ------
        UsageError
            If the model has no attention.
        """
        fitted = self._check_fitted()
        weighing: list[tuple[Member, Any]] = [
            (members[0], networks[0])
            for members, networks in zip(fitted.config.members(), self.networks_, strict=True)
            if hasattr(networks[0], "attention")
        ]
        if not weighing:
            raise UsageError("no network with attention forecasts here; fit --model attention-lstm --no-guard")
        member, network = weighing[0]
        panel = self._panel(X, None, None)
        series = panel.order[~np.isin(np.array(panel.status)[panel.order], SKIPPED)]
        windows = self._inputs(panel).windows(member)
        index = torch.from_numpy(np.ascontiguousarray(series)).to(windows.device)
        with torch.no_grad():
            batch = windows.batch(index, windows.lengths[index])
            weights = network.attention(batch).cpu().double().numpy()  # [series, lookback]
        table = fitted.config.table
        positions = panel.origins[series][:, None] + np.arange(1 - weights.shape[1], 1)
        times = format_positions(table, calendar_of(table), positions.ravel())
        return forecast_frame(panel, table, times, series, weights[..., None], ["weight"])

    def save(self, store: str | Writer, keep: int = 5) -> VersionInfo:
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
            knobs = {**fitted.config.settings, "device": device}
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
        config = self.fitted_.config
        self.schema_, self.plan_ = config.table, config.plan
        device, series, loss = pick_device(self.device), len(self.fitted_.history), self.fitted_.settings().loss
        self.networks_: list[list[RecurrentModel]] = []
        saved = iter(self.fitted_.weights)
        for group in config.members():
            self.networks_.append([])
            member = group[0]
            shape = network_shape(
                config.table, config.horizon, member.lookback, config.lags, config.levels, series, loss
            )
            for _ in group:
                weights = {name: torch.from_numpy(array) for name, array in next(saved).items()}
                self.networks_[-1].append(rebuild(member, shape, weights, device))

    def describe(self) -> list[str]:
        """What forecasts, and how it and what it was compared with did on held-out values, as lines."""
        fitted = self._check_fitted()
        counts = Counter(self.models())
        whole = len(fitted.history)
        shares = [name if n == whole else f"{name} for {n:,} series" for name, n in counts.most_common()]
        scores = dict(fitted.config.scores)
        if not scores:
            return [f"model    {', '.join(shares)}", "guard    nothing was held out to compare on"]
        chosen, metric = scores.pop(CHOSEN), fitted.settings().metric.upper()
        others = [f"{name} {score:.3g}" for name, score in sorted(scores.items(), key=lambda one: one[1])]
        return [f"model    {', '.join(shares)}", f"guard    {metric} {chosen:.3g} held out; {', '.join(others)}"]

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
            raise UsageError(f"--horizon {horizon}: at least 1 step")
        if horizon > most:
            again = f"`forecast fit DATA --horizon {horizon}`"
            raise UsageError(f"--horizon {horizon}: this forecaster was fitted for {most}; fit again with {again}")
        return horizon

    def _panel(self, X: Data | None, future: Data | None, origin: str | None) -> Panel:
        config = self.fitted_.config
        if X is None:
            if origin is not None:
                raise UsageError("--origin needs DATA: the artifact keeps only what a forecast from its own end needs")
            history = self.fitted_.history
            return history if future is None else add_future(history, _table(future), config.table)
        table, schema = _table(X), config.table.model_copy(update={"on_duplicate": self.on_duplicate})
        check_schema(schema, table)
        later = None if future is None else _table(future)
        panel = build_panel(table, schema, ahead=config.horizon, future=later, origin=origin, lookback=config.lookback)
        fitted = self.fitted_
        return compare(panel, fitted.history.ids, fitted.level, table.name, config.lookback, self.strict)

    def _inputs(self, panel: Panel) -> Inputs:
        fitted = self.fitted_
        config = fitted.config
        return Inputs.of(
            panel,
            config.table,
            fitted.statistics,
            power=config.power,
            lags=config.lags,
            levels=config.levels,
            ids=fitted.history.ids,
            loss=fitted.settings().loss,
            horizon=config.horizon,
            device=pick_device(self.device),
        )

    def _quantiles(
        self,
        panel: Panel,
        series: NDArray[np.int64],
        position: NDArray[np.int64] | None = None,
        joint: bool = False,
    ) -> NDArray[np.float64]:
        """[windows, horizon, levels] in the target's own unit: what comes after slot `position` of each of `series`."""
        fitted, inputs = self.fitted_, self._inputs(panel)
        place = panel.lengths[series] if position is None else position
        places = np.ascontiguousarray(series), np.ascontiguousarray(place)
        config, seed = fitted.config, fitted.settings().seed
        parts = [np.zeros((0, config.horizon, len(config.levels)))]
        for start in range(0, len(series), CHUNK):
            some = places[0][start : start + CHUNK], places[1][start : start + CHUNK]
            with threads(config.plan.threads):
                networks = [
                    median_of_members([network_quantiles(one, inputs.windows(members[0]), some, seed) for one in group])
                    for members, group in zip(config.members(), self.networks_, strict=True)
                ]
            mixed = fitted.mixture.quantiles(inputs, some, inputs.numbers[some[0]], networks, joint)
            parts.append(undo_power(mixed, config.power))
        return np.concatenate(parts)


def _table(data: Data) -> Table:
    return data if isinstance(data, Table) else table_from_frame(data)
