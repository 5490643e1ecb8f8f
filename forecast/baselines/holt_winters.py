"""Exponential smoothing of level, trend and season (Holt 1957, Winters 1960), for many series at once."""

import numpy as np

from forecast.baselines.shared.gaps import recent_values
from forecast.baselines.shared.method import Counts, Mask, Method, Values
from forecast.baselines.shared.seasons import remove_season, restore_season, seasonal_index

LEVELS = (0.02, 0.1, 0.25, 0.45, 0.7, 0.95)  # share of an error that moves the level
TRENDS = (0.0, 0.05, 0.2)  # share of the level's move that moves the trend; 0 means no trend
DAMPINGS = (0.85, 0.95, 1.0)  # share of the trend that remains a step later
SEASONS = (0.0, 0.1, 0.5)  # share of the rest of an error that moves the season
LONG_SEASON = 24  # a season of more steps stays fixed
FIRST_VALUES = 10  # values that the first level and trend come from
MIN_VALUES = 5  # fewer values repeat the last one
WINDOWS_AT_ONCE = 128  # what a cache holds, and enough for threads not to wait for the interpreter
LOGS_AT_ONCE = 8  # forecasts that are multiplied before the logarithm is taken
MIN_ERROR = 1e-12  # smallest standard deviation of errors, as values are at most 1
MIN_LEVEL = 1e-3  # share of the mean that a level stays above where the season is a factor


def forecast(values: Values, observed: Mask, horizon: int, season: int) -> Values:
    """Forecast by the mean over a grid of smoothing parameters, weighted by how well each of them fits the past.

    The forms are those of ETS (Hyndman et al. 2008): no trend, or one that may be damped, and no season or, where Theta
    finds one, an additive or a multiplicative one. Each form and parameter counts by its Akaike weight (Kolassa 2011),
    so that nothing is optimised and no single choice decides. A season of more than 24 steps stays as classical
    decomposition finds it. Fewer than five values repeat the last one.
    """
    values, start = recent_values(values, observed, season)
    index, multiplicative = seasonal_index(values, start, season)
    updated = index.any(1) & (season <= LONG_SEASON)
    result = np.zeros((len(values), horizon))
    for some, smooth in (
        (updated & multiplicative, _with_factors),
        (updated & ~multiplicative, _with_summands),
        (~updated, _fixed),
    ):
        rows = np.flatnonzero(some)
        for low in range(0, len(rows), WINDOWS_AT_ONCE):
            part = rows[low : low + WINDOWS_AT_ONCE]
            two = np.pad(part, (0, max(0, 2 - len(part))), mode="edge")  # numpy adds up a single one in another order
            result[part] = smooth(values[two], start[two], index[two], multiplicative[two], horizon)[: len(part)]
    return np.where((values.shape[1] - start < MIN_VALUES)[:, None], values[:, -1:], result)


def _with_factors(values: Values, start: Counts, index: Values, multiplicative: Mask, horizon: int) -> Values:
    """Forecast windows whose season may be factors, or summands all the same, [windows, horizon]."""
    mean = values.sum(1) / (values.shape[1] - start)
    summands = (index - 1) * mean[:, None]
    runs = smoothed(values, start, index, True, horizon), smoothed(values, start, summands, False, horizon)
    return _mixed(np.concatenate([runs[0][0], runs[1][0]]), np.concatenate([runs[0][1], runs[1][1]], 1))


def _with_summands(values: Values, start: Counts, index: Values, multiplicative: Mask, horizon: int) -> Values:
    return _mixed(*smoothed(values, start, index, False, horizon))


def _fixed(values: Values, start: Counts, index: Values, multiplicative: Mask, horizon: int) -> Values:
    """Take a season out, forecast what is left, and put it back, [windows, horizon]."""
    present = np.arange(values.shape[1]) >= start[:, None]
    plain = np.where(present, remove_season(values, index, multiplicative), 0.0)
    points = _with_summands(plain, start, np.zeros((len(values), 1)), multiplicative, horizon)
    return restore_season(points, index, multiplicative)


def _mixed(criterion: Values, ahead: Values) -> Values:
    """The mean of forecasts [horizon, points, windows] by the Akaike weights of criteria [points, windows]."""
    weight = np.exp((criterion.min(0) - criterion) / 2)
    mean: Values = np.einsum("pw,hpw->wh", weight / weight.sum(0), ahead)
    return mean


def smoothed(values: Values, start: Counts, index: Values, factors: bool, horizon: int) -> tuple[Values, Values]:
    """Smooth windows with every point of the grid.

    Parameters
    ----------
    values, start : values [windows, span] without gaps from column `start` [windows] on, zeros before;
        positive where the season is a factor
    index : [windows, season], the season that each window begins with, the first column for the first step ahead
    factors : whether the season is a factor, and errors are relative, or a summand, and they are absolute

    Returns
    -------
    Akaike's criterion, corrected for small samples, [points, windows]; forecasts, [horizon, points, windows]
    """
    span, season = values.shape[1], index.shape[1]
    run = _Smoothing(values, start, index, factors)
    begins = np.bincount(start, minlength=span) > 0
    steps = np.ascontiguousarray(values.T)
    for step in range(int(start.min()), span):
        if begins[step]:
            run.begin(start == step)
        run.add(steps[step], (step - span) % season)
    return run.criterion((span - start).astype(np.float64)), run.ahead(horizon)


class _Smoothing:
    """The states of all windows for every point of the grid, and their squared errors so far."""

    def __init__(self, values: Values, start: Counts, index: Values, factors: bool) -> None:
        season = index.shape[1]
        points = [
            (level, level * trend, (1 - level) * seasonal, damping if trend else 0.0)
            for level in LEVELS
            for trend in TRENDS
            for damping in (DAMPINGS if trend else DAMPINGS[:1])
            for seasonal in (SEASONS if season > 1 else SEASONS[:1])
        ]
        shape = len(points), len(values)
        # a parameter for each window, too: numpy is slow where it has to repeat one
        parameters = np.repeat(np.array(points).T[..., None], len(values), 2)
        self.alpha, self.beta, self.gamma, self.damping = parameters  # [points, windows] each
        self.factors, self.index = factors, index.T[:, None]
        first, slope = _beginning(values, start, index, factors)
        self.lowest = np.broadcast_to(MIN_LEVEL * values.sum(1) / (values.shape[1] - start), shape).copy()
        self.first, self.slope = np.broadcast_to(first, shape), slope * (self.damping > 0)
        self.level, self.trend = self.first.copy(), self.slope.copy()
        self.seasons = np.broadcast_to(self.index, (season, *shape)).copy()  # [season, points, windows]
        self.squares, self.logs, self.error, self.buffer = (np.zeros(shape) for _ in range(4))
        self.made, self.pending = np.ones(shape), 0  # the product of forecasts whose logarithm is not yet in `logs`

    def begin(self, new: Mask) -> None:
        """Start some windows: the steps before were padding."""
        self.level[:, new], self.trend[:, new] = self.first[:, new], self.slope[:, new]
        self.seasons[:, :, new] = self.index[..., new]
        self.squares[:, new] = self.logs[:, new] = 0.0
        self.made[:, new] = 1.0

    def add(self, value: Values, phase: int) -> None:
        """Add the next value of each window, [windows]."""
        level, trend, now, error, buffer = self.level, self.trend, self.seasons[phase], self.error, self.buffer
        trend *= self.damping
        level += trend
        if self.factors:
            np.maximum(level, self.lowest, out=level)
            np.divide(value, np.multiply(level, now, out=buffer), out=error)
            error -= 1
            self.made *= buffer
            self.pending += 1
            if self.pending == LOGS_AT_ONCE:
                self._take_logs()
        else:
            np.subtract(value, level, out=error)
            error -= now
        self.squares += np.multiply(error, error, out=buffer)
        if len(self.seasons) > 1:
            np.multiply(error, self.gamma, out=buffer)
            now += np.multiply(buffer, now, out=buffer) if self.factors else buffer
        if self.factors:
            error *= level
        trend += np.multiply(error, self.beta, out=buffer)
        level += np.multiply(error, self.alpha, out=buffer)

    def _take_logs(self) -> None:
        self.logs += np.log(self.made, out=self.buffer)
        self.made[:], self.pending = 1.0, 0

    def criterion(self, count: Values) -> Values:
        """Akaike's criterion for windows of so many values."""
        self._take_logs()
        free = 2 + 3 * (self.damping > 0)  # the season comes from the decomposition
        likelihood = count * np.log(np.maximum(self.squares / count, MIN_ERROR**2)) + 2 * self.logs
        criterion: Values = likelihood + 2 * free * count / np.maximum(count - free - 1, 1)
        return criterion

    def ahead(self, horizon: int) -> Values:
        """Forecasts, [horizon, points, windows]; the states move along."""
        result = np.empty((horizon, *self.level.shape))
        for step, out in enumerate(result):
            self.trend *= self.damping
            self.level += self.trend
            now = self.seasons[step % len(self.seasons)]
            np.multiply(self.level, now, out=out) if self.factors else np.add(self.level, now, out=out)
        return result


def _beginning(values: Values, start: Counts, index: Values, factors: bool) -> tuple[Values, Values]:
    """The level before the first value and the trend, by a line through the first values, [windows] each."""
    span, season = values.shape[1], index.shape[1]
    column = start[:, None] + np.arange(FIRST_VALUES)  # [windows, FIRST_VALUES]
    inside = column < span
    column = np.minimum(column, span - 1)
    first, profile = np.take_along_axis(values, column, 1), np.take_along_axis(index, (column - span) % season, 1)
    first = np.where(inside, first / profile if factors else first - profile, 0.0)
    count = inside.sum(1)
    time = np.where(inside, np.arange(FIRST_VALUES) - ((count - 1) / 2)[:, None], 0.0)  # centred in each window
    slope = (first * time).sum(1) / np.maximum((time**2).sum(1), 1.0)
    return first.sum(1) / count - slope * (count + 1) / 2, slope


METHOD = Method(forecast, default_place=9)
