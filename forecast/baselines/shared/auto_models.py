"""Models of the optional package statsforecast that choose their own form, a series at a time."""

import warnings
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from forecast.baselines.shared.gaps import fill_gaps
from forecast.baselines.shared.method import Counts, Mask, Method, Values
from forecast.baselines.shared.seasons import remove_season, restore_season, seasonal_index
from forecast.baselines.shared.windows import forecast_baseline
from forecast.errors import INSTALL, Unavailable

MIN_MODEL_VALUES = 10  # a shorter past is forecast by Theta
MAX_MODEL_VALUES = 300  # newest values that a model is fitted to
MODEL_CONTEXT = 2000  # newest steps that a season is taken out of
MODEL_REFITS = 4  # a model is fitted anew after a quarter to an eighth of the values before
MAX_GROWTH = 10.0  # a forecast that exceeds the largest value by this factor has diverged


@dataclass(frozen=True)
class AutoModel:
    name: str  # of its class in `statsforecast.models`
    longest_season: int  # steps; a longer season is taken out beforehand
    carries: bool = True  # whether a fit can go on from newer values
    options: tuple[tuple[str, int], ...] = ()  # arguments of the class

    def method(self) -> Method:
        return Method(
            extra="stats",
            forecast_series=self.forecast_series,
            context=MODEL_CONTEXT,
            threads=False,
        )

    def forecast_series(
        self,
        values: Values,
        observed: Mask,
        known: Values,
        start: int,
        ends: Counts,
        horizon: int,
        seasons: tuple[int, ...],
    ) -> Values:
        """Forecast windows of one series, by models that are fitted at a few positions of it.

        A window uses the newest fit that has seen nothing after its end, which goes on from the
        values since. What cannot be fitted, or diverges, is forecast by Theta. Raises `Unavailable`
        if statsforecast is not installed.
        """
        try:
            from statsforecast import models
        except ImportError:
            problem = "the baselines arima, ces and ets need the package statsforecast"
            raise Unavailable(problem, cure=INSTALL.format("stats")) from None
        season = seasons[0] if seasons else 1
        points = np.zeros((len(ends), horizon))
        for row, end in enumerate(ends.tolist()):
            steps = slice(max(0, end - MODEL_CONTEXT), end)
            seen = observed[None, steps]
            past = np.where(seen, values[steps], 0.0)
            ahead = self._ahead(models, past, seen, start + end, horizon, season)
            usable = np.abs(ahead) <= MAX_GROWTH * np.abs(past).max()
            if not usable.all():
                ahead = forecast_baseline("theta", past, seen, horizon, season)
            points[row] = ahead
        return points

    def _ahead(
        self, models: Any, past: Values, observed: Mask, time: int, horizon: int, season: int
    ) -> Values:
        """Points [1, horizon] after a past [1, steps] that ends before `time`; NaN without a fit."""
        values = fill_gaps(past, observed, season)[:, observed.argmax() :]
        count = values.shape[1]
        every = 1 << max(1, count // MODEL_REFITS).bit_length() - 1
        newer = time % every if self.carries else 0
        count -= newer
        old = values[:, :count]
        nothing = np.full((1, horizon), np.nan)
        if count < MIN_MODEL_VALUES or np.ptp(old) == 0:
            return nothing

        # `seasonal_index` finds no season that the past does not hold twice
        is_removed = season > self.longest_season or count < 2 * season
        index, factors = seasonal_index(old, np.zeros(1, np.int64), season if is_removed else 1)
        index = np.roll(index, -newer, 1)  # from the end of the fit to that of the window
        recent = remove_season(values, index, factors)[0, -MAX_MODEL_VALUES - newer :]
        old = recent[: len(recent) - newer]
        with warnings.catch_warnings(action="ignore"), np.errstate(all="ignore"):
            try:
                model = _fit(self, models, old.tobytes(), 1 if is_removed else season)
                points = model.forward(recent, horizon) if newer else model.predict(horizon)
            except Exception:  # the package has no error class of its own
                return nothing
            return restore_season(points["mean"][None], index, factors)


@lru_cache(maxsize=512)  # windows of a series share fits
def _fit(model: AutoModel, models: Any, value_bytes: bytes, season: int) -> Any:
    kind = getattr(models, model.name)
    unfitted = kind(season_length=season, **dict(model.options))
    return unfitted.fit(np.frombuffer(value_bytes))
