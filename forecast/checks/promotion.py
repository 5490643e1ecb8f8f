"""The gate: whether a new fit may go live in the place of the version that serves."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from forecast.ensemble.baseline_forecasts import base_name
from forecast.ensemble.validation import ValidationForecasts
from forecast.errors import ForecastError, as_flag
from forecast.inference.fitted import Fitted
from forecast.inference.predictor import Predictor
from forecast.panel.naming import series_names
from forecast.panel.panel import Integers, Numbers, series_index
from forecast.panel.schema import Schema
from forecast.reading.comparing import check_levels
from forecast.reading.reading import Reading, read_as
from forecast.registry import is_baseline

NO_WORSE = 1.01  # error over that of another which still counts as no worse
MUCH_WORSE = 1.1  # the same where there is too little to tell noise from a difference
ENOUGH = 2  # horizons, from which on they tell it
NOTHING = 1e-3  # share of the mean error below which errors differ by nothing


@dataclass(frozen=True)
class ServingVersion:
    version: str
    predictor: Predictor
    hash: str = ""

    @property
    def fitted(self) -> Fitted:
        return self.predictor.fitted

    @property
    def schema(self) -> Schema:
        return self.fitted.config.table


def should_promote(
    new: Fitted, live: ServingVersion | None, read_as_live: Callable[[], Reading], require_all: bool
) -> tuple[bool, str]:
    """Whether a new fit may go live, and why: it is no worse than the live version and the baselines on new values.

    `read_as_live` reads the table of the new fit as the live version does; with `require_all` a fit without a series of
    the live version may not go live, or that series would be forgotten.
    """
    lost = _loss_to_baselines(new)
    if live is None:
        return True, f"it is the first version{f', though {lost}' if lost else ''}"
    if lost is not None:
        return False, lost
    if require_all and (missing := sorted(set(live.fitted.ids) - set(new.ids))):
        return (
            False,
            f"{len(missing)} series of {live.version} are not in it ({series_names(missing)})",
        )
    try:
        pairs = compared_losses(new, live.predictor, read_as_live())
    except ForecastError as error:
        return True, f"{live.version} cannot read this table ({error.render(as_flag)})"
    if pairs is None:
        return True, f"no values since {live.version} could measure both"
    worse, rule = is_worse(*pairs)
    metric = new.settings().metric.upper()
    ours, theirs = (losses.mean() for losses in pairs)
    return (
        not worse,
        f"{metric} {ours:.4g}; the live version, {live.version}, has {theirs:.4g}: {rule}",
    )


def is_worse(ours: Numbers, theirs: Numbers) -> tuple[bool, str]:
    """Whether losses [horizons] are worse than those of another on the same horizons, and the rule in words."""
    count, (mean, error) = len(ours), log_ratio(ours, theirs)
    over, tolerance = (
        (f"{count} horizons", NO_WORSE)
        if count >= ENOUGH
        else ("less than two horizons", MUCH_WORSE)
    )
    change, limit = (100 * np.expm1(ratio) for ratio in (mean, np.log(tolerance) + error))
    rule = f"{change:+.1f} % over {over}, where more than {limit:.1f} % counts as worse"
    return bool(mean - error > np.log(tolerance)), rule


def log_ratio(ours: Numbers, theirs: Numbers) -> tuple[float, float]:
    """The mean logarithm of losses [horizons] over others, and its standard error; errors of nothing are alike.

    The divisor n - 1 in the place of the root of n (n - 1) is about what Student's t asks for where n is small.
    Horizons that share no value are hardly correlated: their covariance is left out.
    """
    nothing = NOTHING * (ours.mean() + theirs.mean()) + np.finfo(float).tiny
    ratios = np.log((ours + nothing) / (theirs + nothing))
    return float(ratios.mean()), float(
        ratios.std() * np.sqrt(len(ratios)) / max(len(ratios) - 1, 1)
    )


def horizons_of(dates: Integers, horizon: int) -> Integers:
    """The number of the horizon that each date falls into: none is shorter, the rest is shared out among them."""
    count = np.ptp(dates) + 1
    return np.asarray((dates - dates.min()) * max(count // horizon, 1) // count)


def compared_losses(
    new: Fitted, old: Predictor, reading: Reading
) -> tuple[Numbers, Numbers] | None:
    """Losses [horizons] of a new fit and of an older one on what the new one held out and the older one never saw.

    None where there is nothing, or the two cannot be compared; BadData where the older one cannot read the table.
    """
    held_out, horizon = new.ensemble.validation, new.config.horizon
    config, history = old.fitted.config, old.fitted.history
    if (
        held_out is None
        or config.horizon != horizon
        or config.table.calendar != new.config.table.calendar
    ):
        return None
    panel = read_as(reading, config.table, horizon=horizon).panel
    if config.table.strict:
        check_levels(
            panel, history.ids, old.fitted.level, config.lookback, reading.name, strict=True
        )
    series = series_index(panel.ids, new.history.ids)[held_out.series] - 1
    # of a new series, values at the dates of the others count
    seen = np.r_[history.origins.max(), history.origins][
        series_index(history.ids, new.history.ids)[held_out.series]
    ]
    position = held_out.first - panel.starts[series]
    fresh = held_out.observed & (held_out.first[:, None] + np.arange(horizon) > seen[:, None])
    usable = (series >= 0) & (position > 0) & (position <= panel.lengths[series]) & fresh.any(1)
    if not usable.any():
        return None
    points = old.quantiles(panel, series[usable], position[usable])[..., config.levels.index(0.5)]
    return paired_losses(new, held_out.select(usable, fresh), points)


def paired_losses(
    new: Fitted, held_out: ValidationForecasts, others: Numbers
) -> tuple[Numbers, Numbers] | None:
    """Mean losses of held-out forecasts and of other points [windows, horizon], [horizons] twice; None without a pair.

    A horizon holds the actuals of as many dates, of all series; where times are only steps, dates are counted from the
    end of each series.
    """
    horizon = held_out.observed.shape[1]
    if not held_out.observed.any():
        return None
    ends = new.history.origins[held_out.series] if new.config.table.layout == "rows" else 0
    date = (held_out.first - ends)[:, None] + np.arange(horizon)
    block = np.full(date.shape, -1)
    block[held_out.observed] = horizons_of(date[held_out.observed], horizon)
    pairs = []
    for number in np.unique(block[held_out.observed]):
        inside = block == number
        rows = inside.any(1)
        part = held_out.select(rows, inside)
        losses = np.stack([part.losses(part.points), part.losses(others[rows])])
        usable = np.isfinite(losses).all(0)
        if usable.any():
            pairs.append(np.average(losses[:, usable], axis=1, weights=inside[rows][usable].sum(1)))
    return (np.array(pairs)[:, 0], np.array(pairs)[:, 1]) if pairs else None


def _loss_to_baselines(new: Fitted) -> str | None:
    """How networks of a new fit lose to a baseline on what it held out; None where they do not."""
    config, held_out = new.config, new.ensemble.validation
    if not config.networks or held_out is None or held_out.rival is None:
        return None
    pairs = paired_losses(new, held_out, held_out.rival)
    worse, rule = (False, "") if pairs is None else is_worse(*pairs)
    if pairs is None or not worse:
        return None
    baselines = {
        label: score for label, score in config.scores.items() if is_baseline(base_name(label))
    }
    best, metric = min(baselines, key=baselines.__getitem__), new.settings().metric.upper()
    ours, theirs = (losses.mean() for losses in pairs)
    return f"{metric} {ours:.4g} on held-out values, where {best} has {theirs:.4g}: {rule}"
