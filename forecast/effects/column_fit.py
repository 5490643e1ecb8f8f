"""Estimate what columns known in advance do to values.

Values follow a season, a level that wanders, and the effects of columns. An effect is piecewise
linear in its column; it acts at once and for some steps. It
multiplies values or is added to them, whichever makes the past likelier. Each coefficient has a
prior variance of its own, which the past chooses (automatic relevance determination, MacKay 1994),
so that columns without an effect get none. Each series reacts to a column in its own strength,
which is shrunk towards that of all series.
"""

from dataclasses import dataclass, replace

import numpy as np

from forecast.calendar.calendar import DAYS_OF_YEAR
from forecast.effects.columns import (
    DAYS_OF_MONTH,
    MOST_YEAR_WAVES,
    YEAR_WAVES,
    ColumnEffects,
    columns_by_name,
    columns_of_calendar,
    days_of_month,
    split_year,
    waves_of_year,
)
from forecast.effects.period_days import PERIOD_DAYS, has_period_days
from forecast.logs import log
from forecast.panel.panel import Flags, Integers, Numbers, Panel, column_statistics
from forecast.panel.schema import Schema, indicators


@dataclass(frozen=True)
class ColumnPriors:
    """Constants of the estimation, chosen on made demand, electricity, rented bikes and particles.

    A season of a multiple of `day` steps is a day; 52 weeks are none. With a day, errors are what
    the values of a day and a week before leave; otherwise, what a level leaves.
    """

    day: int = 24  # steps
    weeks: float = 53.0  # a year of fewer steps has no waves: the level follows it
    years: float = 2.0  # of the longest series, at least, for waves of the year
    last_day: float = 0.4  # share of the value a day before that is taken off
    last_week: float = 0.35  # share of the value a week before
    # without a day, a level keeps one of these shares of each error
    kept: tuple[float, ...] = (0.02, 0.1, 0.3, 0.6, 1.0)
    lags: tuple[int, ...] = tuple(range(15))  # steps after which a column acts
    lags_in_days: tuple[int, ...] = (0, 1, 3)  # the same with a day, and
    means_in_days: tuple[int, ...] = (1, 3)  # days whose mean acts
    # quantiles at which the slope may change
    knots: tuple[float, ...] = (0.03, 0.1, 0.35, 0.65, 0.9, 0.97)
    # a column above 0 whose largest value in a series is at most so many times its smallest acts
    # as its logarithm, as prices do; a wider one, if that is less skewed
    narrow: float = 3.0
    different: int = 10  # a column with fewer different values has one slope
    beyond: float = 0.5  # columns count so many deviations beyond the range of their past,
    dearer: float = 1.2  # and narrow ones, such as prices, up to so many times it
    features: int = 800  # coefficients, at most
    rows_each: int = 8  # values for each coefficient, at least
    rows: int = 200_000  # values that effects are learned from, at most
    steps: int = 17_500  # newest steps of a series, at most
    compared: int = 3_000  # newest steps of a series by which levels, factors and sums are compared
    # most phases of a season that have a mean each; the level follows the 52 weeks of a year
    phases: int = 48
    # logarithms of factors deviate by no more than this: errors, which factors multiply, would grow
    # with the column, not with the values
    factor: float = 1.0
    # share of values above 0 that factors need, and of values other than 0 that the year needs
    positive: float = 0.9
    # twice the log likelihood that a column must add for each coefficient (Akaike 1973)
    evidence: float = 2.0
    # variances of a bend that its square must exceed, which is two standard errors: else bends at
    # the ends of a range would follow what level and trend do there
    bend: float = 4.0
    rounds: int = 30  # in which prior variances are chosen
    draws: int = 16  # of the posterior of effects
    blocks: int = 16  # of time, in which products are summed
    own: float = 0.05  # share of a column's variance that season and trend must leave


COLUMN_PRIORS = ColumnPriors()
DAYS_OF_WEEK = 7
MEDIAN = np.pi / 2  # variance of a median, in that of a mean
LEAST_LEVEL_MEMORY = 1e-9  # share of a value that a level may still hold
VARIANCE_ROUNDING = 1e-10  # smaller prior variances, as a share of that of the errors, are 0
LEAST_RIDGE = 1e-3  # penalty for comparisons, as a share of the mean eigenvalue
CONSTANT_UNIT = 1e18  # unit of a column that never changed
ALIKE = "%s moves with a season or a trend: the past can hardly tell their effects apart"


def fit_columns(
    panel: Panel,
    schema: Schema,
    seasons: tuple[int, ...],
    before: Integers,
    year: float,
    earlier: ColumnEffects | None,
    with_draws: bool,
) -> ColumnEffects | None:
    """Estimate effects from values at positions before `before` [series].

    `year` is the steps of a year, 0 for none. Effects multiply or are added like `earlier` ones,
    whose days of the month they have. With `with_draws`, draws from their posterior show how
    certain they are.

    None without columns and effects of the year, or with too few values.
    """
    shown = split_year(year, YEAR_WAVES)
    beside = shown[:0]
    if not _may_show_year(panel, before, year):
        # columns that follow the year would take its effect; one year alone forecasts no other
        beside = shown[: len(shown) * bool(schema.known and before.max() >= year)]
        shown = shown[:0]
    elif earlier is not None:
        shown = max(shown, earlier.year, key=len)
    month = np.zeros(DAYS_OF_MONTH) if earlier is None else earlier.month
    pasts = _pasts(panel, schema, seasons, before, shown, month, beside)
    if not pasts or not pasts[0].columns.size:
        return None
    choices = _choices(pasts) if earlier is None else [earlier.multiplies]
    best = _likeliest(pasts, seasons, shown, month, choices)
    if best is None:
        return None
    whole = _ColumnRegression.prepare(pasts, best.effects, best.kept)
    effects = whole.solve()
    too_large = _deviation(pasts, effects) > COLUMN_PRIORS.factor
    if earlier is None:
        if 0 < year <= DAYS_OF_YEAR:
            month = _month(pasts, schema, effects, best.kept)
        multiplies = effects.multiplies and not too_large
        if len(shown):
            more = split_year(year, MOST_YEAR_WAVES)
            wide = _pasts(panel, schema, seasons, before, more, effects.month, beside)
            wider = _prepare(wide, effects.multiplies, seasons, more, effects.month)
            if wider is not None:
                regression = _ColumnRegression.prepare(wide, wider, best.kept)
                gain = whole.left_out() - regression.left_out()
                if gain > 2 * COLUMN_PRIORS.evidence * (len(more) - len(shown)):
                    shown = more
        if multiplies != effects.multiplies or month.any() or len(shown) > len(effects.year):
            like = replace(effects, multiplies=multiplies, month=month, year=shown)
            return fit_columns(panel, schema, seasons, before, year, like, with_draws)
    # effects that only the year cancels cannot be taken off without it
    if too_large and len(beside):
        return fit_columns(panel, schema, seasons, before, 0.0, earlier, with_draws)
    if not (schema.known or effects.weights.any()):
        return None
    if with_draws:
        effects = replace(effects, draws=whole.draws(effects.weights))
        _warn_alike(pasts, effects, columns_by_name(schema))
    effects = _apply_signs(effects, schema, pasts, best.kept, len(panel))
    return _set_units(panel, schema, effects, before)


def _set_units(
    panel: Panel, schema: Schema, effects: ColumnEffects, before: Integers
) -> ColumnEffects:
    """Effects with the units of series and the means of columns before `before` [series]."""
    units = _units(panel, before)
    centre, typical = _moments(panel, schema, effects, before)
    scale = np.append(units, np.median(units))
    return replace(effects, typical=typical, scale=scale, centre=centre)


def _may_show_year(panel: Panel, before: Integers, year: float) -> bool:
    """Whether the past is long enough for waves of the year, and has few zeros.

    Rare sales would no longer be zero where a wave was taken off.
    """
    if year < COLUMN_PRIORS.weeks or before.max() < COLUMN_PRIORS.years * year:
        return False
    seen = panel.observed & panel.before(before)
    return bool((panel.values[seen] != 0).mean() >= COLUMN_PRIORS.positive)


def _moments(
    panel: Panel, schema: Schema, effects: ColumnEffects, before: Integers
) -> tuple[Numbers, Numbers]:
    """The mean effect of each column in each series, and its deviation within series.

    The last row of the means [series + 1, columns] is that over all series.
    """
    used = panel.observed & panel.before(before)
    series_of_slots = panel.series_of_slots
    count = np.bincount(series_of_slots[used], minlength=len(panel))
    total = count.sum()
    divisors = np.maximum(count, 1)[:, None]  # [series, 1]
    sums = np.zeros((len(panel), len(effects.weights)))
    squares = 0.0
    for slots, by_column in effects.by_part(panel, schema):
        is_used = used[slots]
        values = by_column[is_used]
        series = series_of_slots[slots][is_used]
        np.add.at(sums, series, values)
        means = sums / divisors
        distance = values - means[series]
        squares = squares + (distance**2).sum(0)
    deviation = np.sqrt(squares / total)
    mean = sums.sum(0) / total
    return np.concatenate([sums / divisors, mean[None]]), deviation


@dataclass(frozen=True)
class _SeriesPast:
    """The past of one series."""

    series: int
    unit: float  # standard deviation of the values
    values: Numbers  # [steps], gaps filled
    observed: Flags  # [steps]
    columns: Numbers  # [steps, columns], those known in advance, and those of the calendar
    of_table: int  # how many of the columns are those of the table
    position: Integers  # [steps], on the calendar grid
    phases: Numbers  # [steps, phases], indicators of the level and of seasons; a trend; waves

    def newest(self, steps: int) -> "_SeriesPast":
        newest = {name: value[-steps:] for name, value in vars(self).items() if np.ndim(value)}
        return replace(self, **newest)

    def terms(self, effects: ColumnEffects) -> Numbers:
        """[steps, columns * terms], see `ColumnEffects.terms`."""
        scaled = effects.scale_columns(self.columns)
        terms = np.stack(list(effects.terms(scaled, 0)), 2)
        return terms.reshape(len(scaled), -1)

    def by_column(self, effects: ColumnEffects) -> Numbers:
        """[steps, columns], see `ColumnEffects.by_column`."""
        return effects.by_column(effects.scale_columns(self.columns), 0)

    def errors(
        self, effects: ColumnEffects, terms: Numbers, kept: float
    ) -> tuple[Numbers, Integers, float]:
        """Errors of terms [steps, terms] and, in the last column, of values, in units of the latter.

        What phases explain is taken out. Also returns the grid positions of the errors, and the
        logarithm of the likelihood of the values without terms.
        """
        usable = self.observed
        values = self.values / self.unit
        log_unit = np.full(len(values), np.log(self.unit))
        if effects.multiplies:
            above_zero = self.values > 0
            usable = usable & above_zero
            values = np.log(np.where(above_zero, self.values, self.unit))
            log_unit = values
        columns = np.column_stack([self.phases, terms, values])
        if effects.season == 1:  # a level stays as it is over gaps, such as closed days
            errors = _beside_level(columns[usable], kept)
        else:  # what shares of the values a day and a week before leave
            day = effects.season
            week = DAYS_OF_WEEK * day
            has_value_before = np.insert(usable[:-1], 0, True)
            has_week_before = np.arange(len(usable)) >= week
            usable = usable & has_value_before & has_week_before
            errors = columns.copy()
            errors[day:] -= COLUMN_PRIORS.last_day * columns[:-day]
            errors[week:] -= COLUMN_PRIORS.last_week * columns[:-week]
            errors = errors[usable]
        count = self.phases.shape[1]
        free = len(errors) - count
        if free <= count:
            return np.zeros((0, 1 + terms.shape[1])), self.position[:0], 0.0
        basis, _ = np.linalg.qr(errors[:, :count])
        rest = errors[:, count:]
        rest = rest - basis @ (basis.T @ rest)
        squares = (rest[:, -1] ** 2).sum()
        variance = max(squares / free, VARIANCE_ROUNDING)
        # a density for each of the errors that phases leave: with one for each value, seasons would
        # make adding likelier than multiplying
        likelihood = -free / 2 * np.log(variance) - free * log_unit[usable].mean()
        return rest / np.sqrt(variance), self.position[usable], float(likelihood)


def _units(panel: Panel, before: Integers) -> Numbers:
    """[series], the standard deviation of values before position `before`; 1 if it is 0."""
    last = panel.first_slots + np.maximum(before, 1) - 1
    deviation = panel.expanding_std()[last].astype(np.float64)
    return np.where((deviation > 0) & (before > 0), deviation, 1.0)


def _pasts(
    panel: Panel,
    schema: Schema,
    seasons: tuple[int, ...],
    before: Integers,
    year: Numbers,
    month: Numbers,
    beside: Numbers,
) -> list[_SeriesPast]:
    """The newest past of series, evenly spaced if there are too many values."""
    pasts = []
    has_days = has_period_days(schema.calendar) and _can_show_days(schema, before)
    units = _units(panel, before)
    rows = int(np.minimum(before, COLUMN_PRIORS.steps).sum())
    every = -(-rows // COLUMN_PRIORS.rows)
    settled = panel.settled
    for series in range(0, len(panel), max(1, every)):
        first = int(panel.offsets[series])
        end = first + int(before[series])
        slots = np.arange(max(first, end - COLUMN_PRIORS.steps), end)
        observed = panel.observed[slots]
        if observed.sum() < 2:
            continue
        position = panel.grid_positions[slots]
        known = indicators(settled[slots], schema)
        trend = np.linspace(-1, 1, len(slots))
        beside_columns = (_phases(position, seasons), trend, waves_of_year(position, beside))
        seen_slots = slots[observed]
        of_calendar = columns_of_calendar(position, schema, year, month, has_days)
        past = _SeriesPast(
            series=series,
            unit=float(units[series]),
            values=np.interp(slots, seen_slots, panel.values[seen_slots]),
            observed=observed,
            columns=np.concatenate([known, of_calendar], 1),
            of_table=known.shape[1],
            position=position,
            phases=np.column_stack(beside_columns),
        )
        pasts.append(past)
    return pasts


def _can_show_days(schema: Schema, before: Integers) -> bool:
    """Whether the past has room for the days of periods beside all terms of columns."""
    columns = len(schema.known) * (len(COLUMN_PRIORS.lags) + len(COLUMN_PRIORS.knots))
    return int(before.sum()) >= COLUMN_PRIORS.rows_each * (columns + PERIOD_DAYS)


def _phases(position: Integers, seasons: tuple[int, ...]) -> Numbers:
    """Indicators of the level, of phases of the shortest season, and of its place in longer ones."""
    phases = [np.ones((len(position), 1))]
    shorter = 1
    for season in seasons:
        count = season // shorter
        if season % shorter or count > COLUMN_PRIORS.phases or len(position) < 2 * season:
            continue
        place = position // shorter % count
        phases.append(np.eye(count)[place][:, 1:])
        shorter = season
    return np.concatenate(phases, 1)


def _month(
    pasts: list[_SeriesPast], schema: Schema, effects: ColumnEffects, kept: float
) -> Numbers:
    """What each day of the month does, [31]; 0 where the past does not show it.

    Each is the median of the errors on that day and of a 0, so that Christmas makes no 25th.
    """
    errors = [np.zeros(DAYS_OF_MONTH)]
    days = [np.arange(DAYS_OF_MONTH)]
    for past in pasts:
        rest, position, _ = past.errors(effects, past.by_column(effects), kept)
        errors.append(rest[:, -1] - rest[:, :-1].sum(1))
        days.append(days_of_month(position, schema))
    error = np.concatenate(errors)
    day = np.concatenate(days)
    month = np.array([np.median(error[day == number]) for number in range(DAYS_OF_MONTH)])
    # in standard errors, as if series moved together
    squares = month**2 * np.bincount(day) / (MEDIAN * error.var() * len(pasts) + VARIANCE_ROUNDING)
    shown = (squares > COLUMN_PRIORS.bend) & (
        squares.sum() > COLUMN_PRIORS.evidence * DAYS_OF_MONTH
    )
    return np.asarray(month * shown)


def _prepare(
    pasts: list[_SeriesPast],
    multiplies: bool,
    seasons: tuple[int, ...],
    year: Numbers,
    month: Numbers,
) -> ColumnEffects | None:
    """Effects without coefficients; None if there are no columns, or too many for the values."""
    known = np.concatenate([past.columns for past in pasts])
    seen = np.isfinite(known)
    logarithms = np.log(np.where(known > 0, known, 1.0))
    above_zero = ((known > 0) | ~seen).all(0)
    first = np.cumsum([0, *(len(past.columns) for past in pasts[:-1])])
    largest = np.maximum.reduceat(np.where(seen, logarithms, -np.inf), first)
    smallest = np.minimum.reduceat(np.where(seen, logarithms, np.inf), first)
    most = np.log(COLUMN_PRIORS.narrow)
    narrow = (largest - smallest <= most).all(0)
    of_price = above_zero & narrow
    # prices of cheap and of dear items have one slope: bends would be those of single items
    apart = of_price & (largest.max(0) - smallest.min(0) > most)
    less_skewed = _skewness(logarithms) < _skewness(known)
    logarithm = above_zero & multiplies & (narrow | less_skewed)
    values = np.where(logarithm, logarithms, known)
    middle, deviation = column_statistics(np.where(seen, values, np.nan))
    unit = np.where(deviation > 0, deviation, CONSTANT_UNIT)
    scaled = np.nan_to_num((values - middle) / unit)
    step = np.log(COLUMN_PRIORS.dearer)
    prices = np.stack([smallest.min(0) - step, largest.max(0) + step])  # [2, columns]
    prices = np.where(logarithm, prices, np.exp(prices))
    cheapest, dearest = np.where(of_price, (prices - middle) / unit, np.nan)
    low = np.fmin(scaled.min(0, initial=0.0) - COLUMN_PRIORS.beyond, cheapest)
    high = np.fmax(scaled.max(0, initial=0.0) + COLUMN_PRIORS.beyond, dearest)
    limits = np.stack([low, high], 1)

    knots = np.repeat(limits[:, 1:], len(COLUMN_PRIORS.knots), 1)  # there, a slope never changes
    count = known.shape[1]
    of_table = pasts[0].of_table
    for number, column in enumerate(scaled.T[:of_table]):
        if len(np.unique(column)) >= COLUMN_PRIORS.different and not apart[number]:
            knots[number] = np.quantile(column, COLUMN_PRIORS.knots)
    by_day = bool(seasons) and seasons[0] % COLUMN_PRIORS.day == 0
    effects = ColumnEffects(
        multiplies=multiplies,
        of_table=of_table,
        season=seasons[0] if by_day else 1,
        year=year,
        month=month,
        lags=np.array(COLUMN_PRIORS.lags_in_days if by_day else COLUMN_PRIORS.lags),
        means=np.array(COLUMN_PRIORS.means_in_days if by_day else (), np.int64),
        logarithm=np.asarray(logarithm, np.int64),
        middle=middle,
        unit=unit,
        limits=limits,
        knots=knots,
        weights=np.zeros((count, 0)),
        typical=np.zeros(count),
        scale=np.ones(1),
        centre=np.zeros((1, count)),
        reaction=np.ones((1, count)),
        draws=np.zeros((0, count, 0)),
    )
    rows = sum(past.observed.sum() for past in pasts)
    return _affordable(effects, rows)


def _affordable(effects: ColumnEffects, rows: int) -> ColumnEffects | None:
    """The effects with as many terms as that many rows allow; None if they allow no term."""
    at_once = replace(effects, lags=effects.lags[:1], means=effects.means[:0])
    simplest = replace(at_once, knots=effects.knots[:, :0])
    most_weights = min(COLUMN_PRIORS.features, rows // COLUMN_PRIORS.rows_each)
    own = effects.of_table
    columns = len(effects.knots)
    for candidate in (effects, at_once, simplest) if own else (simplest,):
        width = candidate.width
        if 0 < own * width + columns - own <= most_weights:  # those of the calendar act at once
            return replace(candidate, weights=np.zeros((columns, width)))
    return None


def _skewness(columns: Numbers) -> Numbers:
    """The size of the skewness of columns [rows, columns], without NaN."""
    mean, deviation = column_statistics(columns)
    scaled = (columns - mean) / np.where(deviation > 0, deviation, np.inf)
    skewness, _ = column_statistics(scaled**3)
    return np.abs(skewness)


@dataclass(frozen=True)
class _ColumnRegression:
    """Sums over series of products of the errors of terms and of values, by block of time."""

    effects: ColumnEffects  # without coefficients
    kept: float  # share of an error that a level keeps
    products: Numbers  # [blocks, terms + 1, terms + 1], values last
    counts: Integers  # [blocks]
    likelihood: float = 0.0  # its logarithm

    @classmethod
    def prepare(
        cls, pasts: list[_SeriesPast], effects: ColumnEffects, kept: float
    ) -> "_ColumnRegression":
        first = min(int(past.position[0]) for past in pasts)
        end = 1 + max(int(past.position[-1]) for past in pasts)
        size = effects.weights.size
        products = np.zeros((COLUMN_PRIORS.blocks, size + 1, size + 1))
        counts = np.zeros(COLUMN_PRIORS.blocks, np.int64)
        likelihood = 0.0
        for past in pasts:
            terms = past.terms(effects)
            used = np.flatnonzero(terms.any(0))
            errors, position, alone = past.errors(effects, terms[:, used], kept)
            within = np.ix_(*[np.append(used, size)] * 2)
            block = (position - first) * COLUMN_PRIORS.blocks // (end - first)
            for number in np.unique(block):
                own = errors[block == number]
                products[number][within] += own.T @ own
                counts[number] += len(own)
            likelihood += alone
        sums = cls(effects, kept, products, counts)
        terms, product, square, count = sums.moments
        explained = product @ _ridge(terms, product)
        left = max(square - float(explained), VARIANCE_ROUNDING)
        variance = left / max(count, 1)
        likelihood -= count / 2 * np.log(variance)
        return replace(sums, likelihood=likelihood)

    @property
    def moments(self) -> tuple[Numbers, Numbers, float, int]:
        """Products of terms [terms, terms], of terms and values [terms], of values, and their
        number.
        """
        total = self.products.sum(0)
        terms = total[:-1, :-1]
        product = total[:-1, -1]
        square = float(total[-1, -1])
        return terms, product, square, int(self.counts.sum())

    def left_out(self) -> float:
        """Squares of errors in each block of time that effects in all others leave."""
        squares = 0.0
        for own in self.products:
            rest = self.products.sum(0) - own
            change = np.append(-_ridge(rest[:-1, :-1], rest[:-1, -1]), 1.0)
            squares += float(change @ own @ change)
        return squares

    def draws(self, weights: Numbers) -> Numbers:
        """Draws from the posterior of all coefficients, [draws, columns, terms].

        The prior of a column's effect deviates by a factor of e, or a deviation of the values, over
        the range that counts: the past leaves it so where it says nothing. `weights` [columns,
        terms] tell how large errors are.
        """
        terms, product, square, count = self.moments
        own = weights.ravel()
        left = square - 2 * own @ product + own @ terms @ own
        noise = max(left / max(count, 1), VARIANCE_ROUNDING)
        low, high = self.effects.limits.T
        # a column that never changes has no effect
        spans = np.where(high > low, high - low, np.inf)
        variance = np.tile(spans[:, None] ** -2, (1, weights.shape[1]))
        variance[:, 1:] /= weights.shape[1]
        root = np.sqrt(variance.ravel())
        # in axes of their own, as the terms of categories may add up to one another
        information, axes = np.linalg.eigh(root[:, None] * terms * root / noise)
        information = np.maximum(information, VARIANCE_ROUNDING)
        pull = (root * product) @ axes / noise
        mean = pull / (1 + information)
        # errors that last, or that series share, make sums of a block larger than chance does
        by_block = self.products[:, :-1] @ np.append(-root * (axes @ mean), 1.0)
        scores = (root * by_block) @ axes / noise
        excess = np.maximum((scores**2).sum(0) / information, 1.0)
        precision = 1 + information / excess
        mean = pull / excess / precision
        chance = np.random.default_rng(0).standard_normal((COLUMN_PRIORS.draws, len(root)))
        draws = root * ((mean + chance / np.sqrt(precision)) @ axes.T)
        return np.asarray(draws.reshape(-1, *weights.shape))

    def _ends(self, width: int) -> Integers:
        """Where groups of coefficients end that are worth having together: those of a column."""
        ends = np.arange(1, len(self.effects.knots))
        if self.effects.has_days:  # its weekdays stand together, Easter is the last
            ends = np.append(ends[ends <= self.effects.of_table], len(ends))
        return np.unique(ends) * width

    def solve(self) -> ColumnEffects:
        """The effects with coefficients; a column that is not worth its coefficients has none."""
        terms, product, square, count = self.moments
        offered = np.diag(terms) > VARIANCE_ROUNDING
        weights, covariance = relevant_weights(terms, product, square, count, offered)
        unsure = weights**2 <= COLUMN_PRIORS.bend * np.diag(covariance)
        unsure &= self.effects.is_bend
        if unsure.any():
            weights, covariance = relevant_weights(terms, product, square, count, offered & ~unsure)
        width = self.effects.weights.shape[1]
        for column in np.split(np.arange(len(weights)), self._ends(width)):
            own = weights[column]
            within = np.ix_(column, column)
            precision = np.linalg.pinv(covariance[within])
            gain = own @ precision @ own
            coefficients = 1 + offered[column].sum()
            if gain <= COLUMN_PRIORS.evidence * coefficients:
                weights[column] = 0.0
        return replace(self.effects, weights=weights.reshape(-1, width))


def _ridge(terms: Numbers, product: Numbers) -> Numbers:
    """Coefficients [terms] of sums of products of terms, and of terms and values."""
    ridge = LEAST_RIDGE * np.trace(terms) / len(terms) + VARIANCE_ROUNDING
    return np.linalg.solve(terms + ridge * np.eye(len(terms)), product)


def _choices(pasts: list[_SeriesPast]) -> list[bool]:
    """Whether effects may multiply values: they may always be added."""
    values = np.concatenate([past.values for past in pasts])
    if values.min() >= 0 and (values > 0).mean() >= COLUMN_PRIORS.positive:
        return [False, True]
    return [False]


def _deviation(pasts: list[_SeriesPast], effects: ColumnEffects) -> float:
    """The standard deviation of all effects together within a series."""
    squares = [past.by_column(effects).sum(1).var() for past in pasts]
    return float(np.sqrt(np.mean(squares)))


def _likeliest(
    pasts: list[_SeriesPast],
    seasons: tuple[int, ...],
    year: Numbers,
    month: Numbers,
    choices: list[bool],
) -> _ColumnRegression | None:
    """The regression of the newest past that makes its values likeliest.

    It tells which share of an error a level keeps, and whether effects multiply or are added.
    """
    newest = [past.newest(COLUMN_PRIORS.compared) for past in pasts]
    regressions = []
    for multiplies in choices:
        effects = _prepare(pasts, multiplies, seasons, year, month)
        if effects is None:
            return None
        kept = COLUMN_PRIORS.kept if effects.season == 1 else (0.0,)
        regressions += [_ColumnRegression.prepare(newest, effects, share) for share in kept]
    return max(regressions, key=lambda regression: regression.likelihood)


def _enforce_sign(effects: ColumnEffects, weights: Numbers, sign: int) -> Numbers:
    """Coefficients of a column, [terms], with which no change that lasts moves a step the wrong way.

    A slope of the other sign becomes 0, and what comes later never outweighs what comes at once.
    """
    slopes = len(effects.lags) + len(effects.means)
    signed = weights.copy()
    slope = np.cumsum([weights[0], *weights[slopes:]])
    slope = sign * np.maximum(sign * slope, 0.0)
    signed[0] = slope[0]
    signed[slopes:] = np.diff(slope)

    since = np.arange(1 + effects.reach)[:, None]
    days = effects.means * effects.season
    of_lags = since >= effects.lags[1:]
    of_means = np.minimum((1 + since) / days, 1.0)
    later = np.hstack([of_lags, of_means])
    against = -(sign * later @ weights[1:slopes]).min(initial=0.0)
    share = np.abs(slope).min() / max(against, VARIANCE_ROUNDING)
    signed[1:slopes] *= min(1.0, share)
    return signed


def relevant_weights(
    terms: Numbers, product: Numbers, square: float, count: int, offered: Flags
) -> tuple[Numbers, Numbers]:
    """Coefficients by automatic relevance determination, [terms], and their covariance.

    The arguments are sums of products over `count` rows: of terms [terms, terms], of terms with
    values [terms], and of values. Terms that are not `offered` have no coefficient.
    """
    weights = np.zeros(len(product))
    variance = offered * 1.0
    covariance = np.zeros_like(terms)
    noise = 1.0
    for _ in range(COLUMN_PRIORS.rounds):
        used = np.flatnonzero(variance)
        root = np.sqrt(variance[used])
        within = np.ix_(used, used)
        used_terms = terms[within]
        used_product = product[used]
        matrix = root[:, None] * used_terms * root / noise + np.eye(len(used))
        inverse = np.linalg.inv(matrix)
        own = root * (inverse @ (root * used_product)) / noise
        determined = 1 - np.diag(inverse)
        explained = 2 * own @ used_product - own @ used_terms @ own
        free = max(count - determined.sum(), 1.0)
        noise = max((square - explained) / free, VARIANCE_ROUNDING)

        weights[:] = 0.0
        weights[used] = own
        squares = weights**2
        variance = np.where(squares < VARIANCE_ROUNDING, 0.0, squares)
        variance[used] /= np.maximum(determined, VARIANCE_ROUNDING)
    covariance[within] = noise * np.linalg.pinv(used_terms)
    return weights, covariance


def _warn_alike(pasts: list[_SeriesPast], effects: ColumnEffects, places: dict[str, slice]) -> None:
    """Warn of columns that hardly move but with a season, a trend or waves of the year."""
    squares = np.zeros((2, len(effects.weights)))
    for past in pasts:
        columns = effects.scale_columns(past.columns)
        waves = columns[:, sum(place.stop - place.start for place in places.values()) :]
        level = past.phases[:, :1]
        for number, phases in enumerate((level, np.hstack([past.phases, waves]))):
            basis, _ = np.linalg.qr(phases)
            rest = columns - basis @ (basis.T @ columns)
            squares[number] += (rest**2).sum(0)
    for name, place in places.items():
        whole, own = squares[:, place].sum(1)
        if own < COLUMN_PRIORS.own * whole:
            log.warning(ALIKE, name)


def _apply_signs(
    effects: ColumnEffects,
    schema: Schema,
    pasts: list[_SeriesPast],
    kept: float,
    count: int,
) -> ColumnEffects:
    """Effects, draws of them and reactions of series [count + 1] with the signs that users gave."""
    places = columns_by_name(schema)
    draws = effects.draws
    signs = [(places[name].start, sign) for name, sign in schema.signs.items()]
    for column, sign in signs:
        for weights in (effects.weights, *draws):
            weights[column] = _enforce_sign(effects, weights[column], sign)
    reaction = np.ones((count + 1, len(effects.weights)))
    if len(pasts) > 1:
        rows = [past.series for past in pasts]
        reaction[rows] = _reactions(pasts, effects, kept)
    for column, _ in signs:
        reaction[:, column] = np.maximum(reaction[:, column], 0.0)
    return replace(effects, reaction=reaction, draws=draws)


def _reactions(pasts: list[_SeriesPast], effects: ColumnEffects, kept: float) -> Numbers:
    """How strongly each series reacts to each column, [series, columns].

    The less certain a reaction is, the more it is shrunk towards 1 (empirical Bayes).
    """
    size = len(effects.weights)
    products = np.zeros((len(pasts), size, size))
    moments = np.zeros((len(pasts), size))
    for number, past in enumerate(pasts):
        errors, _, _ = past.errors(effects, past.by_column(effects), kept)
        own = errors[:, :-1]
        products[number] = own.T @ own
        rest = errors[:, -1] - own.sum(1)
        moments[number] = own.T @ rest
    precision = np.diagonal(products, axis1=1, axis2=2)
    shown = precision > VARIANCE_ROUNDING
    distance = moments**2 / np.where(shown, precision, 1.0)  # squares, in standard errors
    excess = (distance - 1).sum(0, where=shown)
    total = np.maximum(precision.sum(0), VARIANCE_ROUNDING)
    variance = np.maximum(excess / total, VARIANCE_ROUNDING)
    prior = np.diag(1 / variance)
    change = np.linalg.solve(products + prior, moments[..., None])
    return np.asarray(1 + change[..., 0])


def _beside_level(columns: Numbers, kept: float) -> Numbers:
    """What a level leaves of columns [steps, columns], which keeps a share of each error."""
    level = kept * columns
    decay = 1 - kept
    step = 1
    while step < len(level) and decay > LEAST_LEVEL_MEMORY:
        level[step:] = level[step:] + decay * level[:-step]
        decay = decay**2
        step *= 2
    errors = columns.copy()
    errors[1:] -= level[:-1]
    return errors
