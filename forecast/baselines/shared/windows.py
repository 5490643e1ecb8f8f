"""Forecast many windows by a baseline: some at a time, those shorter than a season without one, on one scale."""

from collections.abc import Callable, Iterator

import numpy as np

from forecast.baselines.shared.method import Counts, Mask, Method, Values, baseline_method
from forecast.baselines.shared.seasons import SMOOTHED_SEASON
from forecast.parallel import cores
from forecast.pretrained.forecasting import Network
from forecast.threads import in_threads

Seasons = tuple[int, ...]
Ahead = Callable[[Values, Mask, Seasons], Values]
"""From pasts, whether each value was observed, and seasons to an array whose first axis is windows."""

WINDOWS_AT_ONCE, VALUES_AT_ONCE = 512, 2_000_000  # what a cache holds
COLUMNS, MANY_COLUMNS = (
    64,
    4096,
)  # windows get a multiple of so many, or all; the second those beyond `MAX_SMOOTHED`


def forecast_baseline(name: str, past: Values, observed: Mask, horizon: int, season: int) -> Values:
    """Forecast each window from its own past; a window shorter than one season is forecast as if it had none.

    Pasts are [windows, context], padded on the left. The points, [windows, horizon], are finite, 0 where nothing was
    observed. Raises `UsageError` for an unknown baseline, and `Unavailable` for a missing package.
    """
    method = baseline_method(name)

    def points(values: Values, seen: Mask, seasons: Seasons) -> Values:
        return method.forecast(values, seen, horizon, *(seasons or (1,)))

    return _in_parts(method, points, past, observed, (season,) if season > 1 else (), (horizon,))


def forecast_own_quantiles(
    method: Method,
    past: Values,
    observed: Mask,
    horizon: int,
    seasons: Seasons,
    levels: tuple[float, ...],
    network: Network | None = None,
) -> Values:
    """The quantiles of a method that has its own, ascending, [windows, horizon, levels]; see `forecast_baseline`."""

    def quantiles(values: Values, seen: Mask, seasons: Seasons) -> Values:
        if method.quantiles is None:
            raise TypeError("the method has no quantiles of its own")
        return np.asarray(
            np.sort(method.quantiles(network, values, seen, horizon, seasons, levels), -1)
        )

    return _in_parts(method, quantiles, past, observed, seasons, (horizon, len(levels)))


def _in_parts(
    method: Method,
    forecast: Ahead,
    past: Values,
    observed: Mask,
    seasons: Seasons,
    shape: tuple[int, ...],
) -> Values:
    """Forecast windows some at a time, those together that span the same seasons, [windows, *shape].

    No forecast depends on the windows beside it, even in its last bits but for the pretrained network.
    """
    windows, span = past.shape
    result = np.zeros((windows, *shape))
    observed = observed & np.isfinite(past)
    length = np.where(observed.any(1), span - observed.argmax(1), 0)

    def fill(part: tuple[Counts, int, Seasons]) -> None:
        rows, width, spanned = part
        seen = observed[rows, span - width :]
        values = np.where(seen, past[rows, span - width :], 0.0)
        exponent = np.frexp(np.abs(values).max(1))[1] * (not method.as_read)
        with np.errstate(over="ignore"):  # values of at most 1, by a power of two, which is exact
            ahead = forecast(np.ldexp(values, -exponent[:, None]), seen, spanned)
            result[rows] = np.nan_to_num(np.ldexp(ahead, exponent.reshape(-1, *[1] * len(shape))))

    at_once = max(
        1, min(WINDOWS_AT_ONCE, -(-windows // cores()), VALUES_AT_ONCE // max(span, 1, *seasons))
    )
    parts = []
    for width, spanned, rows in _alike(length, span, seasons):
        parts += [
            (rows[low : low + at_once], width, spanned) for low in range(0, len(rows), at_once)
        ]
    in_threads(fill, parts, method.threads)
    return result


def _alike(length: Counts, span: int, seasons: Seasons) -> Iterator[tuple[int, Seasons, Counts]]:
    """Columns, seasons and numbers of windows of about one length that span the same seasons; not those of length 0."""
    unit = MANY_COLUMNS if max(seasons, default=1) > SMOOTHED_SEASON else COLUMNS
    columns = np.minimum(-(-length // unit) * unit, span)
    kind = columns * (len(seasons) + 1) + (length[:, None] >= np.sort(seasons)).sum(1)
    for each in np.unique(kind[length > 0]).tolist():
        width, spans = divmod(each, len(seasons) + 1)
        spanned = tuple(season for season in seasons if season in sorted(seasons)[:spans])
        yield width, spanned, np.flatnonzero((kind == each) & (length > 0))
