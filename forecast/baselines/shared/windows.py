"""Forecast many windows by a baseline.

Some at a time, those shorter than a season without one, on one scale.
"""

from collections.abc import Callable, Iterator

import numpy as np

from forecast.baselines.shared.method import Counts, Mask, Method, Values, baseline_method
from forecast.baselines.shared.trends import clear_lines
from forecast.parallel import cores
from forecast.pretrained.forecasting import Network
from forecast.threads import in_threads

Seasons = tuple[int, ...]
Ahead = Callable[[Values, Mask, Seasons], Values]
"""From pasts, whether each value was observed, and seasons to an array whose first axis is windows.
"""

# what a cache holds
BASELINE_WINDOWS_AT_ONCE = 512
BASELINE_VALUES_AT_ONCE = 2_000_000
WINDOWS_MULTIPLE = 64  # windows get a multiple of so many, or all


def forecast_baseline(name: str, past: Values, observed: Mask, horizon: int, season: int) -> Values:
    """Forecast each window from its own past.

    A window shorter than one season is forecast as if it had none.

    Pasts are [windows, context], padded on the left. The points, [windows, horizon], are finite, 0
    where nothing was observed. Raises `UsageError` for an unknown baseline, and `Unavailable` for a
    missing package.
    """
    method = baseline_method(name)
    own = method.forecast
    if own is None:
        raise TypeError("the method forecasts whole series")

    def points(values: Values, seen: Mask, seasons: Seasons) -> Values:
        return own(values, seen, horizon, *(seasons or (1,)))

    seasons = (season,) if season > 1 else ()
    return _in_parts(method, points, past, observed, seasons, (horizon,))


def forecast_own_quantiles(
    method: Method,
    past: Values,
    observed: Mask,
    horizon: int,
    seasons: Seasons,
    levels: tuple[float, ...],
    network: Network | None = None,
) -> Values:
    """The quantiles of a method that has its own, ascending, [windows, horizon, levels].

    See `forecast_baseline`.
    """
    own = method.quantiles
    if own is None:
        raise TypeError("the method has no quantiles of its own")

    def quantiles(values: Values, seen: Mask, seasons: Seasons) -> Values:
        ahead = own(network, values, seen, horizon, seasons, levels)
        return np.sort(ahead, -1)

    return _in_parts(method, quantiles, past, observed, seasons, (horizon, len(levels)))


def _in_parts(
    method: Method,
    forecast: Ahead,
    past: Values,
    observed: Mask,
    seasons: Seasons,
    shape: tuple[int, ...],
) -> Values:
    """Forecast windows some at a time, those together that span the same seasons, [windows,
    *shape].

    No forecast depends on the windows beside it, even in its last bits but for the pretrained
    network.
    """
    windows, span = past.shape
    result = np.zeros((windows, *shape))
    observed = observed & np.isfinite(past)
    length = span - observed.argmax(1)
    length[~observed.any(1)] = 0

    def fill(part: tuple[Counts, int, Seasons]) -> None:
        rows, width, spanned = part
        seen = observed[rows, span - width :]
        values = np.where(seen, past[rows, span - width :], 0.0)
        exponent = np.zeros(len(rows), int)
        if not method.as_read:  # values of at most 1, by a power of two, which is exact
            _, exponent = np.frexp(np.abs(values).max(1))
        with np.errstate(over="ignore"):
            values = np.ldexp(values, -exponent[:, None])
            if method.straightens:
                ahead = _beside_lines(forecast, values, seen, spanned, shape[0])
            else:
                ahead = forecast(values, seen, spanned)
            ahead = np.ldexp(ahead.T, exponent).T
        result[rows] = np.nan_to_num(ahead)

    by_size = BASELINE_VALUES_AT_ONCE // max(span, 1, *seasons)
    by_core = -(-windows // cores())
    at_once = max(1, min(BASELINE_WINDOWS_AT_ONCE, by_core, by_size))
    parts = []
    for width, spanned, rows in _alike(length, span, seasons):
        for low in range(0, len(rows), at_once):
            parts.append((rows[low : low + at_once], width, spanned))
    in_threads(fill, parts, method.threads)
    return result


def _beside_lines(
    forecast: Ahead, values: Values, observed: Mask, seasons: Seasons, horizon: int
) -> Values:
    """Forecast windows without the lines that they clearly follow, and put these back."""
    season = (seasons or (1,))[0]
    lines, in_logs = clear_lines(values, observed, horizon, season)
    is_log = in_logs[:, None]
    logs = np.log(np.where(observed & is_log, values, 1.0))
    rest = np.where(is_log, logs, values) - lines[:, :-horizon]
    rest = np.where(observed, rest, 0.0)
    ahead = forecast(rest, observed, seasons)
    ahead = ahead.T + lines[:, -horizon:].T
    grown = np.exp(np.where(in_logs, ahead, 0.0))
    return np.where(in_logs, grown, ahead).T


def _alike(length: Counts, span: int, seasons: Seasons) -> Iterator[tuple[int, Seasons, Counts]]:
    """Columns, seasons and numbers of windows of about one length that span the same seasons.

    Not those of length 0.
    """
    unit = max(WINDOWS_MULTIPLE, max(seasons, default=1) // 4)
    columns = np.minimum(-(-length // unit) * unit, span)
    ascending = sorted(seasons)
    spanned = np.searchsorted(ascending, length, side="right")  # how many of them
    counts = len(seasons) + 1  # none to all of them
    kind = columns * counts + spanned
    is_seen = length > 0
    for number in np.unique(kind[is_seen]).tolist():
        width, count = divmod(number, counts)
        held = tuple(season for season in seasons if season in ascending[:count])
        rows = np.flatnonzero((kind == number) & is_seen)
        yield width, held, rows
