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
    counts, series = Counter(map(counted_models, models_of(fitted))).most_common(), len(fitted.ensemble.weights) - 1
    name, count = counts[0]
    if len(counts) > 1:
        others = len(counts) - 1
        name = f"{name} for {count:,} of {series:,} series, {others} other mixture{'s' * (others > 1)} for the rest"
    sentence = verdict(fitted.config.scores, len(fitted.config.components))
    lines = [f"model    {name}", f"guard    {sentence}"]
    if fitted.config.sums:
        count = len(fitted.history) - len(fitted.ids)
        way = "are made to agree with theirs" if fitted.config.reconciles else "stay, as theirs do not lower errors"
        lines.append(f"sums     {count:,} sums were trained on; forecasts of series {way}")
    groups = closed_groups(fitted.closed, fitted.config.table)
    if groups:
        named = [f"{count:,} series {where}, always {value:g}" for count, where, value in groups[:NAMED]]
        more = f", and {len(groups) - NAMED} more" if len(groups) > NAMED else ""
        lines.append(f"closed   {'; '.join(named)}{more}")
    if fitted.effects is not None:
        unseen = unseen_events(fitted.history, fitted.config.table, fitted.effects)
        more = f"; without effect, as the past has not shown them: {', '.join(unseen[:NAMED])}" if unseen else ""
        lines.append(f"effects  {describe_effects(fitted.effects)}{more}")
    return lines


def ranking_of(fitted: Fitted) -> list[str]:
    """The mean losses of all candidates on held-out values, the best first, as lines of a table."""
    return ranking(fitted.config.scores, fitted.settings().metric)


def counted_models(model: str) -> str:
    """A mixture with repeated networks counted: 2 segrnn + theta for segrnn+segrnn+theta."""
    return " + ".join(f"{count} {name}" if count > 1 else name for name, count in Counter(model.split("+")).items())
