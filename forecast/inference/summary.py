"""Say in lines what forecasts, and how it compares with its candidates."""

from collections import Counter

import numpy as np

from forecast.ensemble.summary import ranking, verdict
from forecast.inference.fitted import Fitted


def models_of(fitted: Fitted) -> list[str]:
    """What forecasts each series of the fit."""
    return fitted.ensemble.names(np.arange(1, len(fitted.ensemble.weights)))


def describe_fit(fitted: Fitted) -> list[str]:
    """What forecasts, and how it compares with seasonal naive on held-out values, as lines."""
    counts, series = Counter(models_of(fitted)), len(fitted.history)
    names = [name if count == series else f"{name} for {count:,} series" for name, count in counts.most_common()]
    sentence = verdict(fitted.config.scores, len(fitted.config.components))
    return [f"model    {', '.join(names)}", f"guard    {sentence}"]


def ranking_of(fitted: Fitted) -> list[str]:
    """The mean losses of all candidates on held-out values, the best first, as lines of a table."""
    return ranking(fitted.config.scores, fitted.settings().metric)
