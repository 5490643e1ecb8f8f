"""The line from the first observed value to the last, continued."""

import numpy as np

from forecast.baselines.shared.method import Mask, Method, Values


def forecast(values: Values, observed: Mask, horizon: int, season: int) -> Values:
    span = values.shape[1]
    oldest, newest = observed.argmax(1)[:, None], span - 1 - observed[:, ::-1].argmax(1)[:, None]
    first, last = np.take_along_axis(values, oldest, 1), np.take_along_axis(values, newest, 1)
    slope = (last - first) / np.maximum(newest - oldest, 1)
    line: Values = last + slope * (span - 1 - newest + np.arange(1, horizon + 1))
    return line


METHOD = Method(forecast, default_rank=3, evens=True)
