"""The gate: whether a new fit may go live in the place of the version that serves."""

from dataclasses import dataclass

import numpy as np

from forecast.ensemble.baseline_forecasts import base_name
from forecast.ensemble.ensemble import CHOSEN
from forecast.ensemble.names import is_baseline
from forecast.errors import ForecastError, as_flag
from forecast.inference.fitted import Fitted
from forecast.inference.predictor import Predictor
from forecast.panel.comparing import check_levels
from forecast.panel.naming import series_names
from forecast.panel.panel import Panel
from forecast.panel.reading import Reading, read_as

TOLERANCE = 1.01  # error over that of another which still counts as no worse

Id = tuple[str, ...]


@dataclass(frozen=True)
class ServingVersion:
    """A version, and the forecaster that it holds."""

    version: str
    hash: str
    predictor: Predictor

    @property
    def fitted(self) -> Fitted:
        """What the version holds."""
        return self.predictor.fitted


def judge(new: Fitted, live: ServingVersion | None, reading: Reading, require_all: bool) -> tuple[bool, str]:
    """Whether a new fit may go live: it is no worse than the live version and the baselines on the newest origins.

    Parameters
    ----------
    reading : the table of the new fit
    require_all : a fit without a series of the live version may not go live, or that series would be forgotten

    Returns
    -------
    The answer, and the reason in words.
    """
    lost = _loses_to_baselines(new)
    if live is None:
        return True, f"it is the first version{f', though {lost}' if lost else ''}"
    if lost is not None:
        return False, lost
    missing = sorted(set(live.fitted.history.ids) - set(new.history.ids))
    if missing and require_all:
        return False, f"{len(missing)} series of {live.version} are not in it ({series_names(missing)})"
    try:
        losses = compared_losses(new, live.predictor, reading)
    except ForecastError as error:
        return True, f"{live.version} cannot read this table ({error.told(as_flag)})"
    if losses is None:
        return True, f"nothing has come since {live.version} that both could be measured on"
    ours, theirs = losses
    metric = new.settings().metric.upper()
    words = f"{metric} {ours:.4g} on what came since {live.version}, which has {theirs:.4g}"
    return ours <= theirs * TOLERANCE, words


def compared_losses(new: Fitted, old: Predictor, reading: Reading) -> tuple[float, float] | None:
    """Mean loss of a new fit and of an older one on what the new one held out and the older one never saw.

    Both are measured by the metric of the new fit, on the steps after the end of the older fit.

    Parameters
    ----------
    reading : the table of the new fit

    Returns
    -------
    The two losses; None where there is no such step, or the two cannot be compared.

    Raises
    ------
    BadData
        If the older fit cannot read the table.
    """
    held, horizon = new.ensemble.validation, new.config.horizon
    config, history = old.fitted.config, old.fitted.history
    if held is None or config.horizon != horizon or config.table.calendar != new.config.table.calendar:
        return None
    panel = _read_by(old.fitted, reading)
    rank, end = _positions_of(panel.ids), _positions_of(history.ids)
    ids = [new.history.ids[i] for i in held.series]
    series = np.array([rank.get(one, -1) for one in ids], np.int64)
    seen = np.array([history.origins[end[one]] if one in end else -(2**62) for one in ids], np.int64)
    position = held.first - panel.starts[series]
    fresh = held.observed & (held.first[:, None] + np.arange(horizon) > seen[:, None])
    usable = (series >= 0) & (position > 0) & (position <= panel.lengths[series]) & fresh.any(1)
    if not usable.any():
        return None
    quantiles = old.quantiles(panel, series[usable], position[usable])
    judged = held.select(usable, fresh)
    losses = np.stack([judged.losses(judged.points), judged.losses(quantiles[..., config.levels.index(0.5)])])
    finite = np.isfinite(losses).all(0)
    return (float(losses[0, finite].mean()), float(losses[1, finite].mean())) if finite.any() else None


def _read_by(fitted: Fitted, reading: Reading) -> Panel:
    """The table as an older fit reads it; a strict one refuses levels that moved."""
    config = fitted.config
    panel = read_as(reading, config.table, horizon=config.horizon).panel
    if config.table.strict:
        check_levels(panel, fitted.history.ids, fitted.level, config.lookback, reading.name, strict=True)
    return panel


def _loses_to_baselines(new: Fitted) -> str | None:
    """How networks of a new fit lose to a baseline on what it held out; None where they do not."""
    config = new.config
    error = config.scores.get(CHOSEN)
    baselines = {label: score for label, score in config.scores.items() if is_baseline(base_name(label))}
    if error is None or not config.networks or not baselines:
        return None
    best = min(baselines, key=baselines.__getitem__)
    if error <= baselines[best] * TOLERANCE:
        return None
    metric = new.settings().metric.upper()
    return f"{metric} {error:.4g} on held-out values, where {best} has {baselines[best]:.4g}"


def _positions_of(ids: tuple[Id, ...]) -> dict[Id, int]:
    return {one: position for position, one in enumerate(ids)}
