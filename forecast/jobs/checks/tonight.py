"""What the checks of a job see: the values and forecasts of a run, and the runs before it."""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from forecast.effects.kinds import touched_by_events
from forecast.inference.fitted import Fitted
from forecast.inference.forecasting import Forecasts
from forecast.jobs.checks.accuracy import Earlier
from forecast.jobs.checks.finding import Finding
from forecast.jobs.record import Record
from forecast.jobs.replay import RunInput
from forecast.panel.panel import Flags, Id, Ids, Numbers, Panel, ids_at
from forecast.panel.schema import Schema
from forecast.settings import OutputSettings
from forecast.tables.writing import Frame, build_frame
from forecast.totals.sums import Totals

MIN_VALUES = 20  # fewest values of a series that is compared with others, or with the last run


class Comparison(NamedTuple):
    """Forecasts beside what the last run published for the same times."""

    change: Numbers  # [series, horizon], of the points; 0 at times that only one run has
    size: float  # sum of the earlier points without signs
    steps: Flags  # [horizon], which times both runs have
    ratio: Numbers  # [series], of the widths of 80 % intervals
    jumps: Numbers  # [series], sum of changes in earlier widths
    usable: Flags  # [series], whether there is a width, and a past of some values


@dataclass(frozen=True)
class Tonight:
    """A run that is about to write its forecasts.

    Attributes
    ----------
    totals : sums of the forecasts
    past : the earlier runs from which checks learn what is usual, newest first
    runs : all earlier runs, newest first
    data_age : age of the newest value, in seconds
    new : what the last run published for values that arrived since, as `in_panel` has it
    published : ids of the series that the last run published
    before : what the last run forecast from; None if that no longer exists
    earlier : what the last run published for the same times, without steps that are touched by
        events of unknown effect; None without a last run
    """

    forecasts: Forecasts
    fitted: Fitted
    settings: OutputSettings
    totals: Sequence[Totals] = ()
    past: Sequence[Record] = ()
    runs: Sequence[Record] = ()
    data_age: float | None = None
    new: Frame | None = None
    published: Set[Id] = frozenset()
    before: RunInput | None = None
    earlier: Earlier | None = None

    @property
    def panel(self) -> Panel:
        return self.forecasts.panel

    @property
    def schema(self) -> Schema:
        return self.fitted.schema

    @property
    def table(self) -> Frame:
        """The forecasts as the job writes them."""
        return build_frame(self.forecasts.columns)

    @property
    def ids(self) -> Ids:
        return ids_at(self.panel, self.forecasts.series)

    @cached_property
    def new_series(self) -> Ids:
        """The series to forecast that the last run did not have, if there was one."""
        if self.new is None:
            return ()
        # those that ended are never published
        forecast = ids_at(self.panel, np.flatnonzero(~self.panel.skipped))
        return tuple(ids for ids in forecast if ids not in self.published)

    @cached_property
    def comparable(self) -> Frame:
        """The rows of `new` whose forecasts were more than a guess, and knew the events."""
        panel = self.panel
        new = self.new
        if new is None:
            raise ValueError("there is no earlier run")
        before = panel.counts - np.bincount(new["panel"], minlength=len(panel))
        short = before < max(MIN_VALUES, 2 * self.schema.shortest_season)
        known = None if self.before is None else self.before.schema
        left_out = short[panel.series_of_slots] | mark_unknown_events(panel, self.fitted, known)
        return new[~left_out[new["slot"]]]

    @cached_property
    def comparison(self) -> Comparison | None:
        """The forecasts beside those of the last run; None if there is nothing to compare."""
        if self.earlier is None or not len(self.forecasts.series):
            return None
        _, published = self.earlier
        shared = np.isfinite(published[..., :1])
        before = np.where(shared, published, 0.0)
        now = np.where(shared, self.forecasts.published, 0.0)
        change = now[..., 0] - before[..., 0]
        width_before = (before[..., 2] - before[..., 1]).sum(1)
        width_now = (now[..., 2] - now[..., 1]).sum(1)
        has_enough = self.panel.counts[self.forecasts.series] >= MIN_VALUES
        usable = has_enough & (width_before > 0)
        unit = np.where(usable, width_before, 1.0)
        return Comparison(
            change,
            size=np.abs(before[..., 0]).sum(),
            steps=np.asarray(shared.any((0, 2))),
            ratio=width_now / unit,
            jumps=np.abs(change).sum(1) / unit,
            usable=usable,
        )

    def share(
        self, affected: Flags, count: int, usual: float | None = 0.0, size: float | None = None
    ) -> Finding:
        """A finding on the `affected` series [series], as a share of `count` series."""
        series = ids_at(self.panel, self.forecasts.series[affected])
        return Finding(len(series) / count if count else None, usual, series, size)


def mark_unknown_events(panel: Panel, fitted: Fitted, before: Schema | None) -> Flags:
    """[slots], whether an event of unknown effect touches the slot.

    The version has not learned the effect, or only one of the two compared runs has the event.
    """
    declared = fitted.schema.dated_events
    events = fitted.effects.events
    learned = () if events is None else events.labels
    earlier = () if before is None else before.dated_events
    unknown = [event for event in earlier if event not in declared]
    for event in declared:
        not_learned = event.kind == "effect" and event.name not in learned
        if not_learned or event not in earlier:
            unknown.append(event)
    with_unknown = {"holidays": None, "dated_events": tuple(unknown)}
    return touched_by_events(panel, fitted.schema.model_copy(update=with_unknown))
