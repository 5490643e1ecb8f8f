"""Ridge regression on the last seasons and on columns known in advance (LEAR, Lago et al. 2021)."""

from dataclasses import dataclass

import numpy as np

from forecast.baselines.shared.gaps import fill_gaps
from forecast.baselines.shared.method import Counts, Mask, Method, Values
from forecast.baselines.shared.ridge import ridge
from forecast.panel.panel import column_statistics


@dataclass(frozen=True)
class RegressionPriors:
    """Constants of the regression.

    They were tuned on hourly demand of electricity, bike rentals, particles in the air, and the
    hourly series of M4.
    """

    # numbers of newest seasons from which maps are learned; the forecasts of these maps are
    # averaged. Effects are learned from all spans but the first.
    spans: tuple[int, ...] = (84, 180, 730)
    # regressors are the values so many seasons back, and those a week back
    near: tuple[int, ...] = (1, 2)
    # before effects of columns known in advance are learned, these shares of the values a season
    # and a week earlier are subtracted
    last_season: float = 0.4
    last_week: float = 0.35
    steps_back: tuple[int, ...] = (0, 1, 3)  # lags at which a column known in advance is used
    means: tuple[int, ...] = (1, 3)  # its means over so many seasons are used, too
    hinges: tuple[float, ...] = (1 / 3, 2 / 3)  # its slope may change at these quantiles
    # if the skewness is larger, values are measured from a low quantile, not from the median
    skewed: float = 0.8
    low: float = 0.1  # that quantile
    # columns, and values in windows, are clipped to so many standard deviations
    farthest: float = 4.0
    smallest: float = 1e-6  # least standard deviation of a window, in units of the series
    most_long: int = 14  # the longer season, such as a week of days, has at most so many seasons
    rows: int = 6  # with fewer seasons to learn from, the last season is repeated
    widened: float = 0.2  # forecasts may leave the range of the past by this share of the range
    # weight of the map from windows that end at any step; the map of seasons has the rest
    share_of_windows: float = 0.4
    windows: int = 4_000  # the map from windows is learned from about so many windows
    profile: int = 10  # a profile is shrunk as if so many further seasons were 0
    window_seasons: int = 7  # length of such a window, in seasons, if there is no longer season
    most_season: int = 96  # with longer seasons, there is no map from windows: it would take long
    # effects are learned anew after about an eighth of the past, which is a power of 2 of seasons
    refits: int = 8


REGRESSION_PRIORS = RegressionPriors()
MAX_LEARNED_STEPS = 17_500  # at most so many newest steps are learned from
REGRESSION_CONTEXT = (
    MAX_LEARNED_STEPS + 2_500
)  # steps that a forecast may depend on, as effects may be older
NORMAL_DEVIATION = 0.6745  # median absolute deviation of a standard normal distribution
REFIT_COST = 4e7  # fixed cost of a forecast, in operations


def forecast_series(
    values: Values,
    observed: Mask,
    known: Values,
    start: int,
    ends: Counts,
    horizon: int,
    seasons: tuple[int, ...],
) -> Values:
    """Forecast windows of one series by maps that are learned from its past.

    First, values are transformed: to the inverse hyperbolic sine of their distance from the median,
    in standard deviations (Uniejewski, Weron and Ziel 2018). If values are skewed, the distance is
    measured from a low quantile (a high one if they are skewed to the left), in units of its mean.

    Then an additive effect of the columns known in advance is learned, which is piecewise linear in
    each column. It is the same for all steps of a season, plus a shrunken correction for each step.

    The remainder is the weighted mean of two forecasts. The first regresses all steps of a season
    on whole seasons: the last two, and the one a week before. The second is a linear map from
    windows that end at any step, less the profile of the week; it reads the newest season and the
    first two seasons of the newest week.

    Effects, profile and the map from windows are learned at a few positions of a series. A window
    uses the newest of them that have seen nothing after its end.
    """
    season = seasons[0] if seasons else 1
    counts = [steps // season for steps in seasons[1:] if steps % season == 0]
    long_season = next(
        (count for count in counts if count <= REGRESSION_PRIORS.most_long), 1
    )  # in seasons

    old = np.minimum(ends, MAX_LEARNED_STEPS) // (REGRESSION_PRIORS.refits * season)
    old = np.clip(old, 1, REGRESSION_PRIORS.refits)
    doublings = np.log2(old).astype(np.int64)
    every = season * 2**doublings
    learned = (start + ends) // every * every - start
    usable = (learned > 0) & (ends - learned <= REGRESSION_CONTEXT - MAX_LEARNED_STEPS)
    learned = np.where(usable, learned, ends)

    points = np.zeros((len(ends), horizon))
    for age in np.unique(learned).tolist():
        rows = np.flatnonzero(learned == age)
        low = max(0, age - MAX_LEARNED_STEPS)
        low += int(observed[low:age].argmax())
        stop = int(ends[rows].max())
        gaps = observed[None, low:stop]
        past = fill_gaps(values[None, low:stop], gaps, season)[0]
        columns = known[low : stop + horizon]
        learner = _Learner(past, columns, age - low, season, long_season)
        points[rows] = learner.forecast(ends[rows] - low, horizon)
    return points


@dataclass(frozen=True)
class _Learner:
    """Learns effects and maps from the past of a series before position `age`, and forecasts."""

    values: Values  # [steps], without gaps
    known: Values  # [steps + horizon, columns], columns known in advance
    age: int
    season: int
    long_season: int  # length of a longer season in seasons, such as 7 days of a week; 1 for none

    def forecast(self, ends: Counts, horizon: int) -> Values:
        """Forecast windows that end before positions `ends`, [windows, horizon]."""
        past = self.values[: self.age]
        middle, unit = _scale(past)
        if unit <= 1e-14 * np.abs(past).max():
            return np.repeat(self.values[ends - 1, None], horizon, 1)
        scaled = np.arcsinh((self.values - middle) / unit)
        effect = self._effects(scaled)
        rest = scaled - effect[: len(scaled)]

        points = np.zeros((len(ends), horizon))
        for row, end in enumerate(ends.tolist()):
            spans = {min(end, span * self.season) for span in REGRESSION_PRIORS.spans}
            pasts = [rest[end - span : end] for span in sorted(spans)]
            ahead = [self._next_seasons(past, horizon) for past in pasts]
            points[row] = np.mean(ahead, 0)
        seasons = self.long_season if self.long_season > 1 else REGRESSION_PRIORS.window_seasons
        lags = self.season * seasons
        steps = ends[:, None] + np.arange(horizon)
        if self.season <= REGRESSION_PRIORS.most_season and self.age - horizon >= 2 * lags:
            profile = self._profile(rest[: self.age])
            profile = np.resize(profile, len(rest) + horizon)
            beyond = rest - profile[: len(rest)]
            by_window = self._from_windows(beyond, ends, horizon, lags) + profile[steps]
            points += REGRESSION_PRIORS.share_of_windows * (by_window - points)
        points += effect[steps]

        low = past.min()
        high = past.max()
        reach = REGRESSION_PRIORS.widened * (high - low)
        bounds = np.array([low - reach, high + reach])
        bounds = np.arcsinh((bounds - middle) / unit)
        points = np.clip(points, *bounds)
        return np.asarray(np.sinh(points) * unit + middle)

    def _effects(self, scaled: Values) -> Values:
        """Return the effect of columns known in advance at each step, [steps + horizon].

        It is the mean of the effects that are learned from several spans.
        """
        effect = np.zeros(len(self.known))
        spans = np.zeros(len(self.known))
        begins = {max(0, self.age - span * self.season) for span in REGRESSION_PRIORS.spans[1:]}
        for begin in begins:
            spans[begin:] += 1
            if self.known.shape[1]:
                past = scaled[begin : self.age]
                effect[begin:] += self._effect(past, self.known[begin:])
        return effect / np.maximum(spans, 1)

    def _effect(self, values: Values, known: Values) -> Values:
        """Learn the effect of columns known in advance [steps, columns] from `values`.

        Returns the effect at each step, [steps].
        """
        season = self.season
        age = len(values)
        count = age // season
        before = max(2, self.long_season)
        rows = count - before
        if rows < REGRESSION_PRIORS.rows:
            return np.zeros(len(known))
        begin = age % season

        def changes(steps: Values) -> Values:
            """Subtract shares of values a season and a week earlier, [season, rows, columns]."""
            by_season = steps[begin:age].reshape(count, season, -1)
            by_season = by_season.swapaxes(0, 1)
            last_season = REGRESSION_PRIORS.last_season * by_season[:, before - 1 : -1]
            last_week = REGRESSION_PRIORS.last_week * by_season[:, :-before]
            return by_season[:, before:] - last_season - last_week

        columns = _features(known, age, season)
        moved = changes(columns)
        target = changes(values)
        centred = moved - moved.mean(1, keepdims=True)
        centred_target = target - target.mean(1, keepdims=True)
        all_steps = centred.reshape(season * rows, -1)
        weights, _ = ridge(all_steps, centred_target.reshape(-1, 1))
        days = self._dummies(np.arange(rows))
        days = np.broadcast_to(days, (season, *days.shape))
        columns_and_days = np.concatenate([moved, days], 2)
        own, _ = ridge(columns_and_days, target - moved @ weights)
        by_step = weights + own[:, : columns.shape[1]]  # [season, columns, 1]
        step = (np.arange(len(known)) - begin) % season
        own_weights = by_step[step, :, 0]  # [steps, columns]
        effect = (columns * own_weights).sum(1)
        return np.asarray(effect - effect[begin:age].mean())

    def _next_seasons(self, past: Values, horizon: int) -> Values:
        """Forecast the next steps, [horizon], by maps of whole seasons.

        The maps are learned from the past, [steps].
        """
        season = min(self.season, len(past))
        begin = len(past) % season
        whole = past[begin:].reshape(-1, season)
        count = -(-horizon // season)
        seasons = [self._next_season(whole, later) for later in range(count)]
        return np.concatenate(seasons)[:horizon]

    def _next_season(self, whole: Values, later: int) -> Values:
        """Forecast one of the next seasons, [season], from past seasons `whole` [seasons, season].

        `later` is the number of seasons between the past and that season.
        """
        count = len(whole)
        week = self.long_season - later % self.long_season
        back = sorted({*REGRESSION_PRIORS.near, week})
        dummies = self._dummies(np.arange(count + 1))
        if self.long_season == 1 or count - later - back[-1] < REGRESSION_PRIORS.rows:
            back = sorted(REGRESSION_PRIORS.near)
            dummies = dummies[:, :0]
        rows = np.arange(back[-1], count - later)
        if len(rows) < REGRESSION_PRIORS.rows:
            return np.asarray(whole[-1])

        def columns(at: Counts) -> Values:
            before = [whole[at - ago] for ago in back]
            return np.concatenate([*before, dummies[at]], 1)

        weights, intercept = ridge(columns(rows), whole[rows + later])
        newest = columns(np.array([count]))
        ahead = newest @ weights + intercept
        return np.asarray(ahead[0])

    def _dummies(self, season: Counts) -> Values:
        """Return dummies for the place of seasons in the longer one, [seasons, long_season - 1]."""
        return np.eye(self.long_season)[season % self.long_season, :-1]

    def _profile(self, values: Values) -> Values:
        """Return what each step of the longer season adds to the mean.

        The fewer seasons there are, the more it is shrunk towards 0.
        """
        length = self.season * self.long_season
        phase = np.arange(len(values)) % length
        total = np.bincount(phase, values - values.mean(), length)
        count = np.bincount(phase, minlength=length)
        return total / (count + REGRESSION_PRIORS.profile)

    def _from_windows(self, values: Values, ends: Counts, horizon: int, lags: int) -> Values:
        """Forecast the next steps of windows, [windows, horizon], by one linear map.

        The map is learned from windows that end at any step before `age`. A window has `lags`
        steps, of which the map reads the first two seasons and the last one. Its values are
        standardised by the mean and standard deviation of the window.
        """
        season = self.season
        last = self.age - horizon
        positions = last - lags
        every = max(1, -(-positions // REGRESSION_PRIORS.windows))
        rows = np.arange(last, lags - 1, -every)
        read = np.r_[-lags : 2 * season - lags, -season:0]
        ahead = np.arange(horizon)
        sums = np.append(0.0, np.cumsum(values))
        squares = np.append(0.0, np.cumsum(values**2))

        def scale(at: Counts) -> tuple[Values, Values]:
            """Return the mean and standard deviation of windows, [windows, 1] each."""
            mean = sums[at] - sums[at - lags]
            mean = mean[:, None] / lags
            square = squares[at] - squares[at - lags]
            square = square[:, None] / lags
            variance = np.maximum(square - mean**2, REGRESSION_PRIORS.smallest**2)
            return mean, np.sqrt(variance)

        def rescale(at: Counts, steps: Counts) -> Values:
            mean, unit = scale(at)
            window = values[at[:, None] + steps]
            distance = (window - mean) / unit
            return np.asarray(
                np.clip(distance, -REGRESSION_PRIORS.farthest, REGRESSION_PRIORS.farthest)
            )

        weights, intercept = ridge(rescale(rows, read), rescale(rows, ahead))
        mean, unit = scale(ends)
        scaled_ahead = rescale(ends, read) @ weights + intercept
        return scaled_ahead * unit + mean


def _scale(past: Values) -> tuple[float, float]:
    """Return the point from which values are measured, and the unit.

    The point is the median. If values are skewed, it is a quantile near their dense end, so that
    the transform resembles a logarithm.
    """
    middle = np.median(past)
    deviation = past.std()
    distance = np.median(np.abs(past - middle))
    unit = max(distance / NORMAL_DEVIATION, deviation)
    scaled = (past - past.mean()) / (deviation or 1.0)
    skewness = (scaled**3).mean()
    if abs(skewness) > REGRESSION_PRIORS.skewed:
        level = REGRESSION_PRIORS.low if skewness > 0 else 1 - REGRESSION_PRIORS.low
        middle = np.quantile(past, level)
        unit = np.abs(past - middle).mean()
    return middle, unit


def _features(known: Values, age: int, season: int) -> Values:
    """Return features of columns known in advance, [steps, features].

    They are the standardised columns and their hinges, at several lags and averaged over seasons.
    """
    mean, deviation = column_statistics(known[:age])
    unit = np.where(deviation > 0, deviation, np.inf)
    scaled = np.where(np.isfinite(known), known - mean, 0.0) / unit
    scaled = np.clip(scaled, -REGRESSION_PRIORS.farthest, REGRESSION_PRIORS.farthest)
    columns = [scaled]
    for column in scaled.T:
        if len(np.unique(column[:age])) > 2:
            knots = np.quantile(column[:age], REGRESSION_PRIORS.hinges)
            columns.append(np.maximum(column[:, None] - knots, 0.0))
    now = np.concatenate(columns, 1)

    steps = np.arange(len(now))
    features = [now[np.maximum(steps - back, 0)] for back in REGRESSION_PRIORS.steps_back]
    sums = np.insert(np.cumsum(now, 0), 0, 0.0, axis=0)
    for seasons in REGRESSION_PRIORS.means:
        oldest = np.maximum(steps + 1 - seasons * season, 0)
        count = steps + 1 - oldest
        total = sums[1:] - sums[oldest]
        features.append(total / count[:, None])
    return np.concatenate(features, 1)


def cost(steps: float, columns: int, horizon: int, season: int) -> float:
    """Estimate the number of operations for the forecast of one window of a series."""
    steps = min(steps, MAX_LEARNED_STEPS)
    lagged = len(REGRESSION_PRIORS.steps_back) + len(REGRESSION_PRIORS.means)
    features = lagged * (1 + len(REGRESSION_PRIORS.hinges)) * columns
    effects = 4 * steps * features**2 + 10 * season * features**3
    effects *= len(REGRESSION_PRIORS.spans) - 1

    read = 3 * season * (season <= REGRESSION_PRIORS.most_season)
    windows = min(steps, REGRESSION_PRIORS.windows)
    any_step = 2 * read * windows * (read + horizon) + 10 * read**3

    seasons = steps / season
    wide = (len(REGRESSION_PRIORS.near) + 1) * season
    narrow = min(seasons, wide)
    maps = len(REGRESSION_PRIORS.spans) * -(-horizon // season)
    by_season = maps * narrow * (2 * seasons * wide + 10 * narrow**2)
    return REFIT_COST + effects + any_step + by_season


METHOD = Method(
    default_rank=12, context=REGRESSION_CONTEXT, forecast_series=forecast_series, cost=cost
)
