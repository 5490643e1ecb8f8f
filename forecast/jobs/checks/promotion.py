"""The gate: decide whether a new fit may replace the live version."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from forecast.ensemble.baseline_forecasts import base_name
from forecast.ensemble.validation import ValidationForecasts
from forecast.errors import ForecastError, as_flag
from forecast.inference.fitted import Fitted
from forecast.inference.predictor import Predictor
from forecast.metrics.quantiles import at_levels
from forecast.panel.infer import Reading, read_as
from forecast.panel.panel import Integers, Numbers, series_index, series_names
from forecast.panel.schema import Schema
from forecast.registry import is_baseline


@dataclass(frozen=True)
class PromotionPriors:
    """Which differences of errors count as worse."""

    # an error may be so many times another one and still count as no worse
    no_worse: float = 1.01
    # the same if there are too few horizons to tell a difference from noise
    much_worse: float = 1.1
    # fewest horizons that tell a difference from noise
    enough: int = 2
    # share of the mean error that is added to both errors, so that tiny errors hardly differ
    nothing: float = 1e-3


PROMOTION_PRIORS = PromotionPriors()


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
        return self.fitted.schema


def should_promote(
    new: Fitted, live: ServingVersion | None, read_as_live: Callable[[], Reading], require_all: bool
) -> tuple[bool, str]:
    """Whether a new fit may go live, and why: it is no worse than live version and baselines.

    `read_as_live` reads the table of the new fit as the live version does; with `require_all` a fit
    without a series of the live version may not go live, or that series would be forgotten.
    """
    lost = _loss_to_baselines(new)
    if live is None:
        return True, f"it is the first version{f', though {lost}' if lost else ''}"
    if lost is not None:
        return False, lost
    missing = sorted(set(live.fitted.ids) - set(new.ids)) if require_all else []
    if missing:
        names = series_names(missing)
        return False, f"{len(missing)} series of {live.version} are not in it ({names})"
    try:
        losses = compared_losses(new, live.predictor, read_as_live())
    except ForecastError as error:
        return True, f"{live.version} cannot read this table ({error.render(as_flag)})"
    if losses is None:
        return True, f"no values since {live.version} could measure both"
    ours, theirs = losses
    worse, rule = is_worse(ours, theirs)
    metric = new.settings().metric.upper()
    live_error = f"the live version, {live.version}, has {theirs.mean():.4g}"
    return not worse, f"{metric} {ours.mean():.4g}; {live_error}: {rule}"


def is_worse(ours: Numbers, theirs: Numbers) -> tuple[bool, str]:
    """Whether losses [horizons] are worse than those of another fit, and the rule in words."""
    mean, error = log_ratio(ours, theirs)
    over = "less than two horizons"
    tolerance = PROMOTION_PRIORS.much_worse
    if len(ours) >= PROMOTION_PRIORS.enough:
        over = f"{len(ours)} horizons"
        tolerance = PROMOTION_PRIORS.no_worse
    change = 100 * np.expm1(mean)
    limit = 100 * np.expm1(np.log(tolerance) + error)
    rule = f"{change:+.1f} % over {over}, where more than {limit:.1f} % counts as worse"
    return bool(mean - error > np.log(tolerance)), rule


def log_ratio(ours: Numbers, theirs: Numbers) -> tuple[float, float]:
    """The mean log ratio of two series of losses [horizons], and its standard error.

    Dividing by n - 1 instead of the root of n (n - 1) widens the error about as much as Student's t
    would for a small n. Horizons that share no value are hardly correlated, so their covariance is
    left out.
    """
    nothing = PROMOTION_PRIORS.nothing * (ours.mean() + theirs.mean())
    nothing += np.finfo(float).tiny
    ratios = np.log((ours + nothing) / (theirs + nothing))
    count = len(ratios)
    error = ratios.std() * np.sqrt(count) / max(count - 1, 1)
    return float(ratios.mean()), float(error)


def number_horizons(dates: Integers, horizon: int) -> Integers:
    """The number of the horizon to which each date belongs.

    Horizons have at least `horizon` dates each; dates that are left over are spread over them.
    """
    count = np.ptp(dates) + 1
    horizons = max(count // horizon, 1)
    return np.asarray((dates - dates.min()) * horizons // count)


def compared_losses(
    new: Fitted, old: Predictor, reading: Reading
) -> tuple[Numbers, Numbers] | None:
    """Losses [horizons] of two fits on values that the new fit held out and the old one never saw.

    None if there are no such values, or the two fits cannot be compared. Raises `BadData` if the
    older fit cannot read the table.
    """
    held_out = new.ensemble.validation
    horizon = new.config.horizon
    config = old.fitted.config
    history = old.fitted.history
    if held_out is None or config.horizon != horizon:
        return None
    if config.table.calendar != new.config.table.calendar:
        return None
    panel = read_as(reading, config.table, horizon=horizon).panel
    series = series_index(panel.ids, new.history.ids)[held_out.series]
    # a series that the old fit lacks is compared at the dates at which the others are
    in_old = series_index(history.ids, new.history.ids)[held_out.series]
    newest_seen = np.append(history.origins, history.origin)[in_old]
    position = held_out.first - panel.starts[series]
    dates = held_out.first[:, None] + np.arange(horizon)
    fresh = held_out.observed & (dates > newest_seen[:, None])
    in_panel = (position > 0) & (position <= panel.lengths[series])
    usable = (series >= 0) & in_panel & fresh.any(1)
    if not usable.any():
        return None
    quantiles = old.quantiles(panel, series[usable], position[usable])
    if config.levels != held_out.levels:
        quantiles = at_levels(quantiles, config.levels, held_out.levels)
    return paired_losses(new, held_out.select(usable, fresh), quantiles)


def paired_losses(
    new: Fitted, held_out: ValidationForecasts, others: Numbers
) -> tuple[Numbers, Numbers] | None:
    """Mean losses [horizons] of held-out forecasts and of others, [windows, horizon, levels].

    A horizon comprises the actual values of all series at as many dates. If times are only numbered
    steps, dates are counted from the end of each series.
    """
    observed = held_out.observed
    if not observed.any():
        return None
    horizon = observed.shape[1]
    ends = new.history.origins[held_out.series] if new.config.table.layout == "rows" else 0
    date = (held_out.first - ends)[:, None] + np.arange(horizon)
    block = np.full(date.shape, -1)
    block[observed] = number_horizons(date[observed], horizon)
    pairs = []
    for number in np.unique(block[observed]):
        inside = block == number
        rows = inside.any(1)
        windows = held_out.select(rows, inside)
        ours = windows.losses(windows.quantiles)
        theirs = windows.losses(others[rows])
        losses = np.stack([ours, theirs])
        usable = np.isfinite(losses).all(0)
        if usable.any():
            values = inside[rows][usable].sum(1)
            pairs.append(np.average(losses[:, usable], axis=1, weights=values))
    if not pairs:
        return None
    ours, theirs = np.transpose(pairs)
    return ours, theirs


def _loss_to_baselines(new: Fitted) -> str | None:
    """How the networks of a new fit are worse than a baseline on held-out values, as text.

    None if they are not worse.
    """
    held_out = new.ensemble.validation
    if not new.ensemble.networks or held_out is None or held_out.rival is None:
        return None
    losses = paired_losses(new, held_out, held_out.rival)
    if losses is None:
        return None
    ours, theirs = losses
    worse, rule = is_worse(ours, theirs)
    if not worse:
        return None
    scores = new.ensemble.scores
    baselines = [label for label in scores if is_baseline(base_name(label))]
    best = min(baselines, key=scores.__getitem__)
    metric = new.settings().metric.upper()
    rival = f"where {best} has {theirs.mean():.4g}"
    return f"{metric} {ours.mean():.4g} on held-out values, {rival}: {rule}"
