"""Make forecasts of series and of their sums agree: least squares, weighted by how sure each of them is.

The solution is that of Wickramasuriya, Athanasopoulos and Hyndman (2019) with a diagonal matrix of variances, written
as a correction of the series by what the forecasts of sums add to what the series say already.
"""

from collections.abc import Callable

import numpy as np

from forecast.evaluation.quantiles import standard_deviation
from forecast.panel.hierarchy import Levels, members_of, with_sums
from forecast.panel.panel import SUM, Flags, Integers, Numbers, Panel

Quantiles = Callable[[Panel, Integers, Integers], Numbers]  # of windows of a panel, by series and position


def reconciled(
    quantiles: Quantiles,
    means: Callable[[Numbers], Numbers],
    levels: tuple[float, ...],
    sums: Panel,
    windows: tuple[Integers, Integers],
) -> Numbers:
    """Quantiles of windows of series that are no sums, [windows, horizon, levels], after reconciliation.

    `sums` is a panel with the sums after its series, and `windows` are those of the panel without them. All series that
    have begun at a window's origin are forecast with it.
    """
    series, position = windows
    origins, floor = sums.starts[series] + position, sums.floor()
    totals, members = members_of(sums)
    alone, parts = np.flatnonzero(~sums.skipped), dict[int, Numbers]()
    for origin in np.unique(origins):
        rows = np.flatnonzero(origins == origin)
        both = np.concatenate([np.union1d(alone, series[rows]), totals])
        ends = np.minimum(origin - sums.starts, sums.lengths)[both]
        both, ends = both[ends > 0], ends[ends > 0]
        base = quantiles(sums, both, ends)
        is_sum = np.isin(both, totals)
        of_series = members[np.isin(totals, both)][:, both[~is_sum]]
        deviation = standard_deviation(base, levels)
        agreeing = _agreed(base[~is_sum], means(base), deviation, is_sum, of_series, floor[both])
        parts |= dict(zip(rows.tolist(), agreeing[np.searchsorted(both[~is_sum], series[rows])], strict=True))
    return np.stack([parts[row] for row in range(len(series))]) if parts else quantiles(sums, series, position)


def _agreed(
    base: Numbers, means: Numbers, deviation: Numbers, is_sum: Flags, members: Flags, floor: Numbers
) -> Numbers:
    """Quantiles of series [series, horizon, levels], moved to what their means are after reconciliation.

    Means and standard deviations [series and sums, horizon] are of all. Where no value lies below 0 quantiles are
    multiplied, so that none does afterwards.
    """
    variance, matrix = deviation**2, members.astype(np.float64)
    own, expected = variance[~is_sum], means[~is_sum]
    shift = np.zeros_like(expected)
    for step in range(expected.shape[1]):
        spread = matrix * own[:, step]
        gap = means[is_sum, step] - matrix @ expected[:, step]
        system = spread @ matrix.T + np.diag(variance[is_sum, step])
        system[np.diag_indices_from(system)] += 1e-12 * max(float(np.trace(system)), 1e-300)
        shift[:, step] = spread.T @ np.linalg.solve(system, gap)
    positive = (floor[~is_sum] >= 0)[:, None] & (expected > 0)
    factor = np.where(positive, np.maximum(1 + shift / np.where(positive, expected, 1.0), 0.0), 1.0)
    return np.asarray(base * factor[..., None] + np.where(positive, 0.0, shift)[..., None])


def panel_with_sums(panel: Panel, ids: tuple[str, ...], levels: Levels) -> Panel | None:
    """The panel with its sums; None where its series do not end together, so that they have none."""
    alone = np.array(panel.status or ("ok",)) != SUM
    ends = panel.origins[alone] if panel.status else panel.origins
    if (ends != ends[0]).any() or len(set(panel.ids)) < len(panel):
        return None
    return with_sums(panel, ids, levels)
