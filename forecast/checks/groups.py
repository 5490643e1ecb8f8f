"""Compare new values with what the last run published for them: of groups of series, and each alone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from forecast.checks.accuracy import NewActuals
from forecast.checks.limits import Finding, usual_size
from forecast.ledger.record import Record
from forecast.panel.naming import series_name
from forecast.panel.panel import Flags, Ids, Integers, Numbers, Panel
from forecast.panel.schema import Schema, calendar_of, position_texts

MIN_MEMBERS = 5  # values of a group
TINY = np.finfo(float).tiny


@dataclass(frozen=True)
class GroupPriors:
    """When new values of a group are beyond what was published, from `python -m tests.faults nights`.

    Distances are logarithms of ratios. In 250 nights of flight delays, storms included, no group was
    more than 1.8 times as far from its forecast as groups usually are; doubled sales are 2.8 times.
    """

    # of the way to the 95 % end, beyond which most values of a group lie
    most_beyond: float = 0.5
    # least share of its values beyond that end: sums of small counts are often low
    outside: float = 0.15
    # how much farther than usual a group lies
    times_usual: float = 2.0
    # below which no distance is looked at
    least: float = float(np.log(1.5))
    # the same for one series of several, which may be new to a season
    least_alone: float = float(np.log(3.0))
    # the usual distance until enough runs have shown it
    unlearned: float = float(np.log(5.0)) / 2.0
    # the largest distance of a group: a ratio of 500 million
    farthest: float = 20.0


PRIORS = GroupPriors()


class Grouping(NamedTuple):
    """One way to group series: all as one, by the values of a column, or each for itself."""

    column: str
    codes: Integers  # [series]
    names: Sequence[str]  # of the groups, for people


def groupings(ids: Ids, schema: Schema) -> Iterator[Grouping]:
    """All series as one group, and those of each value of each id column."""
    yield Grouping("all", np.zeros(len(ids), np.int64), ["all series"])
    for number, column in enumerate(schema.ids):
        values = np.array([parts[number] for parts in ids], object)
        labels, codes = np.unique(values, return_inverse=True)
        yield Grouping(column, codes, [f"{column} '{label}'" for label in labels])


def group_finding(new: NewActuals, panel: Panel, schema: Schema, past: Sequence[Record]) -> Finding:
    """The group whose new values lie farthest from what was published, relative to what is usual."""
    scores = new.scores()
    series = panel.series_of_slots[new.slot]
    distances = {}
    farthest = Finding()
    farthest_ratio = 1.0
    count = 0
    ways = [*groupings(panel.ids, schema)]
    if len(schema.ids) > 1:
        names = [series_name(ids) for ids in panel.ids]
        ways.append(Grouping("series", np.arange(len(panel)), names))
    for grouping in ways:
        group = grouping.codes[series]
        distance = np.where(np.bincount(group) >= MIN_MEMBERS, _distances(new, group), 0.0)
        statistic = f"by {grouping.column}"
        distances[statistic] = float(distance.max())
        learned = usual_size(past, "group", statistic)
        usual = PRIORS.times_usual * (PRIORS.unlearned if learned is None else learned)

        sizes = np.bincount(grouping.codes)[: len(distance)]
        alone = (sizes == 1) & (len(panel) > 1)
        least = np.where(alone, PRIORS.least_alone, PRIORS.least)
        beyond = _are_aside(scores, group) & (distance > np.maximum(usual, least))
        count += int(beyond.sum())
        number = int(np.argmax(np.where(beyond, distance, 0.0)))
        ratio = distance[number] / max(usual, TINY)
        if beyond[number] and ratio > farthest_ratio:
            farthest_ratio = ratio
            inside = group == number
            members = np.unique(series[inside])
            farthest = Finding(
                share=float(np.exp(distance[number])),
                usual=float(np.exp(usual)),
                series=tuple(panel.ids[i] for i in members),
                text=_group_text(grouping.names[number], new.select(inside), panel, schema),
            )
    others = f", and {count - 1} other groups are far off" if count > 1 else ""
    return replace(farthest, sizes=distances, text=f"{farthest.text}{others}")


def value_finding(new: NewActuals, panel: Panel, schema: Schema, past: Sequence[Record]) -> Finding:
    """The one new value that lies farthest from its median, in distances of its 95 % end."""
    scores = np.abs(new.scores())
    row = int(np.argmax(scores))
    learned = usual_size(past, "value")
    slot = new.slot[row]
    ids = panel.ids[panel.series_of_slots[slot]]
    time = _slots_text(new.slot[[row]], panel, schema)
    interval = f"95 % interval {new.low[row]:.6g} to {new.high[row]:.6g}"
    text = f"{series_name(ids)} {time}: {panel.values[slot]:.6g}, {interval}"
    return Finding(
        share=float(scores[row]),
        usual=None if learned is None else PRIORS.times_usual * learned,
        series=(ids,),
        text=text.strip(),
    )


def _group_text(name: str, new: NewActuals, panel: Panel, schema: Schema) -> str:
    actual = new.actual.sum()
    forecast = new.median.sum()
    beyond = (new.actual < new.low) | (new.actual > new.high)
    outside = new.slot[beyond] if beyond.any() else new.slot
    ratio = f"{actual:.6g} beside"
    if forecast > 0 and actual >= 0:
        ratio = f"about {actual / forecast:.2g} times"
    return (
        f"values of {name} at {_slots_text(outside, panel, schema)} are {ratio} their forecasts, "
        f"{beyond.sum()} of {len(beyond)} outside 95 % intervals"
    )


def _slots_text(slots: Integers, panel: Panel, schema: Schema) -> str:
    return times_text((panel.positions + panel.starts[panel.series_of_slots])[slots], schema)


def times_text(positions: Integers, schema: Schema) -> str:
    """The first and the last time of grid positions, for people."""
    ends = np.array([positions.min(), positions.max()])
    return " to ".join(dict.fromkeys(position_texts(schema, calendar_of(schema), ends)))


def _distances(new: NewActuals, group: Integers) -> Numbers:
    """How far the sum of each group lies from its forecast: the logarithm of the ratio where both are above 0.

    Elsewhere it is counted in distances of the sums of the 95 % ends.
    """
    actual = np.bincount(group, new.actual)
    forecast = np.bincount(group, new.median)
    low = np.bincount(group, new.low)
    high = np.bincount(group, new.high)
    reach = np.where(actual > forecast, high - forecast, forecast - low)
    positive = (actual > 0) & (forecast > 0)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        relative = np.abs(actual - forecast) / reach
        distance = np.where(positive, np.abs(np.log(actual) - np.log(forecast)), relative)
    return np.where(actual == forecast, 0.0, np.minimum(distance, PRIORS.farthest))


def _are_aside(scores: Numbers, group: Integers) -> Flags:
    """[groups], whether most values of each lie on one side, some of them beyond their 95 % ends."""
    medians = _medians(scores, group)
    outside = scores * np.sign(medians)[group] > 1
    shares = np.bincount(group, outside) / np.maximum(np.bincount(group), 1)
    return np.asarray((np.abs(medians) > PRIORS.most_beyond) & (shares > PRIORS.outside))


def _medians(scores: Numbers, group: Integers) -> Numbers:
    """[groups], the median score of each, 0 of those without one."""
    order = np.lexsort((scores, group))
    count = np.bincount(group)
    first = np.cumsum(count) - count
    low = scores[order][np.minimum(first + (count - 1) // 2, len(order) - 1)]
    high = scores[order][np.minimum(first + count // 2, len(order) - 1)]
    return np.where(count > 0, (low + high) / 2, 0.0)
