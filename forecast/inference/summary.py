"""Say in lines what forecasts, and how it compares with its candidates."""

from collections import Counter

import numpy as np

from forecast.ensemble.summary import ranking, verdict
from forecast.events.closed import closed_groups
from forecast.events.effects import NAMED, describe_effects, unseen_events
from forecast.inference.fitted import Fitted


def models_of(fitted: Fitted) -> list[str]:
    """What forecasts each series of the fit."""
    return fitted.ensemble.names(np.arange(1, len(fitted.ensemble.weights)))


def describe_fit(fitted: Fitted) -> list[str]:
    """What forecasts, and how it compares with seasonal naive on held-out values, as lines."""
    counts, series = Counter(map(counted_models, models_of(fitted))).most_common(), len(fitted.history)
    name, count = counts[0]
    if len(counts) > 1:
        others = len(counts) - 1
        name = f"{name} for {count:,} of {series:,} series, {others} other mixture{'s' * (others > 1)} for the rest"
    sentence = verdict(fitted.config.scores, len(fitted.config.components))
    return [f"model    {name}", f"guard    {sentence}", *_closed(fitted), *_effects(fitted)]


def _closed(fitted: Fitted) -> list[str]:
    """Which series always have one value, and when, as lines."""
    groups = closed_groups(fitted.closed, fitted.config.table)
    named = [f"{count:,} series {where}, always {value:g}" for count, where, value in groups[:NAMED]]
    more = f", and {len(groups) - NAMED} more" if len(groups) > NAMED else ""
    return [f"closed   {'; '.join(named)}{more}"] if groups else []


def _effects(fitted: Fitted) -> list[str]:
    """What events do, and which ones ahead the past has not shown, as lines."""
    if fitted.effects is None:
        return []
    unseen = unseen_events(fitted.history, fitted.config.table, fitted.effects)
    more = f"; without effect, as the past has not shown them: {', '.join(unseen[:NAMED])}" if unseen else ""
    return [f"effects  {describe_effects(fitted.effects)}{more}"]


def ranking_of(fitted: Fitted) -> list[str]:
    """The mean losses of all candidates on held-out values, the best first, as lines of a table."""
    return ranking(fitted.config.scores, fitted.settings().metric)


def counted_models(model: str) -> str:
    """A mixture with repeated networks counted: 2 segrnn + theta for segrnn+segrnn+theta."""
    return " + ".join(f"{count} {name}" if count > 1 else name for name, count in Counter(model.split("+")).items())
