"""Compare new values, of groups of series and each alone, with what the last run published."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from forecast.intervals.corrections import CORRECTION_PRIORS as OF_INTERVALS
from forecast.jobs.checks.check import limited
from forecast.jobs.checks.finding import Finding, usual_size
from forecast.jobs.checks.tonight import Tonight
from forecast.jobs.replay import times_text
from forecast.panel.panel import Flags, Ids, Integers, Numbers, Panel, ids_at, series_name
from forecast.panel.schema import Schema
from forecast.tables.writing import Frame

MIN_MEMBERS = 5  # fewest values of a group that is compared
LEAST_DEVIATION = np.finfo(float).tiny


@dataclass(frozen=True)
class GroupPriors:
    """When new values are too far from the forecasts; tuned with `python -m workshop.campaigns nights`.

    Distances are logarithms of ratios. In 250 nights of flight delays, storms included, no group
    was more than 1.8 times as far from its forecast as groups usually are; doubled sales are 2.8
    times.
    """

    # a group is on one side if its median value has gone this share of the way to the 95 % end
    most_beyond: float = 0.5
    # and at least this share of its values lies beyond that end: sums of small counts are often low
    outside: float = 0.15
    # how many times the usual distance is too far
    times_usual: float = 2.0
    # no distance below this one counts
    least: float = float(np.log(1.5))
    # no distance of a single series below this one counts, as the series may meet a new season
    least_alone: float = float(np.log(3.0))
    # the usual distance while too few runs have shown it
    unlearned: float = float(np.log(5.0)) / 2.0
    # distances are cut off here: a ratio of 500 million
    farthest: float = 20.0


GROUP_PRIORS = GroupPriors()


class Grouping(NamedTuple):
    """One way to group series: all together, by the values of a column, or each series alone."""

    column: str
    codes: Integers  # [series], number of the group
    names: Sequence[str]  # of the groups, for people


def groupings(ids: Ids, schema: Schema) -> Iterator[Grouping]:
    """The groupings of series: all together, and by the values of each id column."""
    yield Grouping("all", np.zeros(len(ids), np.int64), ["all series"])
    for number, column in enumerate(schema.ids):
        values = np.array([parts[number] for parts in ids], object)
        labels, codes = np.unique(values, return_inverse=True)
        yield Grouping(column, codes, [f"{column} '{label}'" for label in labels])


@limited(
    1.5,
    1.5,
    "how many times the forecast a group's new values are, or the inverse",
    is_share=False,
)
def check_group(tonight: Tonight) -> Finding | None:
    """The group whose new values lie farthest from their forecasts, and the usual distance."""
    if tonight.new is None or not len(tonight.comparable):
        return None
    new = tonight.comparable
    panel = tonight.panel
    schema = tonight.schema
    ways = [*groupings(panel.ids, schema)]
    if len(schema.ids) > 1:
        names = [series_name(ids) for ids in panel.ids]
        ways.append(Grouping("series", np.arange(len(panel)), names))
    distances = {}
    farthest = Finding()
    farthest_ratio = 1.0
    for grouping in ways:
        group = grouping.codes[new["panel"]]
        enough = np.bincount(group) >= MIN_MEMBERS
        distance = np.where(enough, _distances(new, group), 0.0)
        statistic = f"by {grouping.column}"
        distances[statistic] = float(distance.max())
        learned = usual_size(tonight.past, "group", statistic)
        usual = GROUP_PRIORS.times_usual * (GROUP_PRIORS.unlearned if learned is None else learned)

        sizes = np.bincount(grouping.codes)[: len(distance)]
        alone = (sizes == 1) & (len(panel) > 1)
        least = np.where(alone, GROUP_PRIORS.least_alone, GROUP_PRIORS.least)
        beyond = _are_aside(new, group) & (distance > np.maximum(usual, least))
        number = int(np.argmax(np.where(beyond, distance, 0.0)))
        ratio = distance[number] / max(usual, LEAST_DEVIATION)
        if beyond[number] and ratio > farthest_ratio:
            farthest_ratio = ratio
            members = new[group == number]
            farthest = Finding(
                share=float(np.exp(distance[number])),
                usual=float(np.exp(usual)),
                series=ids_at(panel, np.unique(members["panel"])),
                text=_group_text(grouping.names[number], members, panel, schema),
            )
    return replace(farthest, sizes=distances)


@limited(
    6.0,
    1000.0,
    "how far a new value lies from its median, in distances of its 95 % end",
    is_share=False,
)
def check_value(tonight: Tonight) -> Finding | None:
    """The new value farthest from its median; the distance of the 95 % end counts as 1."""
    if tonight.new is None or not len(tonight.comparable):
        return None
    new = tonight.comparable
    panel = tonight.panel
    scores = np.abs(_scores(new))
    row = int(np.argmax(scores))
    value = new.iloc[row]
    series = (panel.ids[value["panel"]],)
    learned = usual_size(tonight.past, "value")
    usual = None if learned is None else GROUP_PRIORS.times_usual * learned
    interval = f"95 % interval {value['lo_95']:.6g} to {value['hi_95']:.6g}"
    name = f"{series_name(series[0])} {_times(new[row : row + 1], panel, tonight.schema)}"
    text = f"{name}: {value['actual']:.6g}, {interval}".strip()
    return Finding(float(scores[row]), usual, series, text=text)


def _times(new: Frame, panel: Panel, schema: Schema) -> str:
    """The first and the last time, as text."""
    return times_text(panel.grid_positions[new["slot"]], schema)


def _scores(new: Frame) -> Numbers:
    """[rows], the distance of each value from the median; 1 is that of the 95 % end."""
    error = (new["actual"] - new["forecast"]).to_numpy()
    end = np.where(error > 0, new["hi_95"], new["lo_95"])
    half_width = np.abs(end - new["forecast"]).to_numpy()
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        scores = np.where(error == 0, 0.0, error / half_width)
    largest = OF_INTERVALS.largest_score
    return np.clip(scores, -largest, largest)


def _group_text(name: str, new: Frame, panel: Panel, schema: Schema) -> str:
    actual = new["actual"].sum()
    forecast = new["forecast"].sum()
    ratio = f"{actual:.6g} beside"
    if forecast > 0 and actual >= 0:
        ratio = f"about {actual / forecast:.2g} times"
    beyond = ~new["actual"].between(new["lo_95"], new["hi_95"])
    times = _times(new[beyond] if beyond.any() else new, panel, schema)
    outside = f"{beyond.sum()} of {len(beyond)} outside 95 % intervals"
    return f"values of {name} at {times} are {ratio} their forecasts, {outside}"


def _distances(new: Frame, group: Integers) -> Numbers:
    """[groups], how far the sum of each group lies from the sum of its forecasts.

    The distance is the absolute logarithm of the ratio of the two. If one of them is not positive,
    it is their difference, divided by the distance of the summed 95 % ends from the forecast.
    """
    names = ("actual", "forecast", "lo_95", "hi_95")
    sums = [np.bincount(group, new[name]) for name in names]
    actual, forecast, low, high = sums
    reach = np.where(actual > forecast, high - forecast, forecast - low)
    positive = (actual > 0) & (forecast > 0)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        relative = np.abs(actual - forecast) / reach
        log_ratio = np.abs(np.log(actual) - np.log(forecast))
    distance = np.where(positive, log_ratio, relative)
    return np.where(actual == forecast, 0.0, np.minimum(distance, GROUP_PRIORS.farthest))


def _are_aside(new: Frame, group: Integers) -> Flags:
    """[groups], whether most values lie on one side of the forecasts, some beyond 95 % ends."""
    scores = _scores(new)
    medians = _medians(scores, group)
    outside = scores * np.sign(medians)[group] > 1
    counts = np.bincount(group)
    shares = np.bincount(group, outside) / np.maximum(counts, 1)
    far = np.abs(medians) > GROUP_PRIORS.most_beyond
    return far & (shares > GROUP_PRIORS.outside)


def _medians(scores: Numbers, group: Integers) -> Numbers:
    """[groups], the median score of each group; 0 for a group without values."""
    ends = np.cumsum(np.bincount(group))
    parts = np.split(scores[np.argsort(group)], ends[:-1])
    return np.array([np.median(part) if len(part) else 0.0 for part in parts])
