"""Windows of any shape for the tests of baselines."""

import numpy as np
from hypothesis import strategies as st

from forecast.baselines.shared.method import Mask, Values, baseline_method
from forecast.baselines.shared.windows import _in_parts, forecast_baseline

NAN = float("nan")


@st.composite
def gappy_windows(draw: st.DrawFn) -> Values:
    """A few windows of any shape, padded on the left, with gaps."""
    windows, span = draw(st.integers(1, 4)), draw(st.integers(1, 40))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    past = np.round(random.normal(size=(windows, span)) * 10.0 ** draw(st.integers(-3, 6)), 3)
    past[random.random((windows, span)) < draw(st.sampled_from([0.0, 0.2, 0.8]))] = NAN
    past[np.arange(span) < random.integers(0, span + 1, windows)[:, None]] = NAN
    return past


def forecast_windows(name: str, past: Values, observed: Mask, horizon: int, season: int) -> Values:
    """Forecast windows by any baseline; one of whole series takes each window as a series."""
    method = baseline_method(name)
    by_series = method.forecast_series
    if by_series is None:
        return forecast_baseline(name, past, observed, horizon, season)

    def points(values: Values, seen: Mask, seasons: tuple[int, ...]) -> Values:
        ahead = np.zeros((len(values), horizon))
        for row, first in enumerate(seen.argmax(1).tolist()):
            steps = values.shape[1] - first
            known = np.zeros((steps + horizon, 0))
            series = values[row, first:], seen[row, first:], known, -steps, np.array([steps])
            ahead[row] = by_series(*series, horizon, seasons)[0]
        return ahead

    seasons = (season,) if season > 1 else ()
    return _in_parts(method, points, past, observed, seasons, (horizon,))
