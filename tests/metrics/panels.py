"""Panels of a few values, whose measures are worked out by hand."""

import numpy as np

from forecast.panel.panel import Panel

NAN = float("nan")


def panel_of(*series: tuple[int, list[float]], horizon: int) -> Panel:
    """Series by their first grid position and their values, NaN where missing, named a, b and so on."""
    slots = [np.array([*values, *[NAN] * horizon], float) for _, values in series]
    values = np.concatenate(slots)
    count = len(series)
    return Panel(
        ids=tuple((name,) for name in "abcdefgh"[:count]),
        order=np.arange(count),
        offsets=np.cumsum([0, *map(len, slots)]),
        starts=np.array([start for start, _ in series]),
        ahead=horizon,
        values=np.nan_to_num(values),
        observed=np.isfinite(values),
        known=np.empty((len(values), 0)),
        past=np.empty((len(values), 0)),
        static=np.empty((count, 0)),
        status=("ok",) * count,
    )
