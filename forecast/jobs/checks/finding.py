"""What checks find, their limits, and the past runs from which they learn what is usual."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Self

import numpy as np
from pydantic import Field, model_validator

from forecast.jobs.record import Record
from forecast.panel.panel import Ids
from forecast.settings import SettingsGroup

MIN_REFERENCE_RUNS = 20  # fewest past runs with which a run is compared
USUAL = 0.95  # quantile of the statistics of past runs up to which a statistic is usual
HELD_RUNS = 7  # a finding of so many runs, over as many days, is taken for the new normal


class Limits(SettingsGroup):
    """Beyond `warn` a check warns, beyond `error` it is an error; no share is beyond 1."""

    warn: float = Field(ge=0, description="the share beyond which it warns")
    error: float = Field(ge=0, description="the share beyond which it is an error")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.warn > self.error:
            raise ValueError(f"warn {self.warn:g} lies above error {self.error:g}")
        return self

    def __str__(self) -> str:
        return f"warn {self.warn:g}, error {self.error:g}"


@dataclass(frozen=True)
class Finding:
    """What a check measured.

    Attributes
    ----------
    share : the statistic of the check: a share of series, another number that the limits of the
        check describe, or for a rule a count; None if there is nothing to compare
    usual : the usual statistic of past runs, up to which there is no alarm; None while there are
        too few runs
    series : ids of the affected series
    size : the size of jumps, with which later runs compare theirs
    sizes : distances by kind of group, with which later runs compare theirs
    text : the finding in words
    runs : times of the affected earlier runs
    """

    share: float | None = None
    usual: float | None = 0.0
    series: Ids = ()
    size: float | None = None
    sizes: Mapping[str, float] = field(default_factory=dict)
    text: str = ""
    runs: Sequence[str] = ()

    def statistic(self) -> dict[str, float]:
        numbers = {"share": self.share, "usual": self.usual, "size": self.size, **self.sizes}
        return {
            name: round(float(number), 6) for name, number in numbers.items() if number is not None
        }


def select_reference_runs(runs: Sequence[Record]) -> list[Record]:
    """The runs from which checks learn what is usual: they published, and nothing was wrong.

    A run with a finding is left out, unless it was accepted or the runs of a week before it had the
    same finding. A run is also left out if its newest values were revised later, or if it was dated
    ahead of its clock or its data.
    """
    revised = {as_of for run in runs for as_of in run.revised}
    return [
        run
        for run in runs
        if (not run.findings or run.held or is_accepted(run))
        and run.settled
        and not run.dated_ahead
        and run.as_of not in revised
    ]


def is_accepted(run: Record) -> bool:
    return run.published and bool(run.accepted)


def usual_size(past: Sequence[Record], name: str, what: str = "share") -> float | None:
    """The usual value of a statistic: a high quantile over past runs.

    It is larger if a recent run with a larger value was accepted; None if neither is known.
    """
    sized = [run for run in past if what in run.checks.get(name, {})]
    sizes = [run.checks[name][what] for run in sized]
    usual = [run.checks[name][what] for run in sized[:HELD_RUNS] if is_accepted(run)]
    if len(sizes) >= MIN_REFERENCE_RUNS:
        usual.append(float(np.quantile(sizes, USUAL)))
    return max(usual, default=None)


def has_held(name: str, runs: Sequence[Record]) -> bool:
    """Whether all runs of the past week had this finding.

    At least the newest seven runs count; `runs` are newest first.
    """
    checked = [run for run in runs if run.checks and not run.dated_ahead]
    if len(checked) < HELD_RUNS:
        return False
    week_ago = datetime.fromisoformat(checked[0].as_of) - timedelta(days=7)
    of_week = [run for run in checked if datetime.fromisoformat(run.as_of) > week_ago]
    newest = max(of_week, checked[:HELD_RUNS], key=len)
    return all(name in run.findings for run in newest)
