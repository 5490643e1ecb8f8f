"""The line from the first observed value to the last, continued."""

import numpy as np

from forecast.baselines.shared.method import Mask, Method, Values


def forecast(values: Values, observed: Mask, horizon: int, season: int) -> Values:
    span = values.shape[1]
    rows = np.arange(len(values))
    oldest = observed.argmax(1)
    since = observed[:, ::-1].argmax(1)
    newest = span - 1 - since
    last = values[rows, newest]
    first = values[rows, oldest]
    slope = (last - first) / np.maximum(newest - oldest, 1)
    steps = np.arange(span, span + horizon) - newest[:, None]
    return np.asarray(last[:, None] + slope[:, None] * steps)


METHOD = Method(forecast, default_rank=3, evens=True)
