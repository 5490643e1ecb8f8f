"""The terms that each series adds to its sums over periods, and the sums of groups."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from forecast.panel.grouping import Key
from forecast.panel.panel import Flags, Numbers
from forecast.totals.periods import Level, Periods

MEAN, OBSERVED, FILLED, LOW, HIGH, YEAR_BEFORE = range(6)
"""The columns of exact sums, in front of the quantiles."""
QUANTILES = 6  # the column of `exact` at which its quantiles begin
ADDED_BY = {
    "exact": np.add,  # [series, periods, QUANTILES + levels]
    "moments": np.add,  # [series, periods, 2 * windows + 4], see `compute_moments`
    "deviation": np.add,  # [series, horizon], standard deviations
    "is_count": np.logical_and,  # [series], whether all values are small whole numbers
    "ahead": np.logical_or,  # [series], whether something is forecast
    "has_year_before": np.logical_or,  # [series, periods], whether something was observed then
}
Summands = dict[str, np.ndarray]
"""Arrays by the names of `ADDED_BY`, of series or of groups of them."""


def compute_moments(errors: Numbers, known: Flags, deviation: Numbers, alone: Numbers) -> Numbers:
    """The moments of values, [..., 2 * windows + 4], which sums add up.

    `errors` [windows, ...] are past errors in standard deviations; `deviation` [...] is the
    standard deviation of each value, in its unit. The moments are the error in each window; the
    variance in each window in which the error is known, else 0; the sum of the squared errors; the
    variance; the standard deviation; and the variance of the sum of the steps of one series, which
    is `alone`.
    """
    scaled = errors * deviation
    variance = deviation**2
    squares = (scaled**2).sum(0)
    by_window = [*scaled, *(known * variance)]
    return np.stack([*by_window, squares, variance, deviation, alone], -1)


def of_one_value(moments: Numbers) -> Flags:
    """[...], by the moments of sums, whether only one summand of a sum is uncertain."""
    variance, deviation, _ = np.moveaxis(moments[..., -3:], -1, 0)
    return np.asarray(np.isclose(variance, deviation**2, rtol=1e-9))


@dataclass
class Groups:
    level: Level
    periods: Periods
    sums: Summands  # a row for each group
    keys: dict[Key, int] = field(default_factory=dict)

    def add(self, keys: Iterable[Key], rows: Summands) -> None:
        """Add the rows [series, ...] of series to the groups that their keys name."""
        numbers = [self.keys.setdefault(key, len(self.keys)) for key in keys]
        codes = np.array(numbers, np.int64)
        if not numbers:
            return
        order = np.argsort(codes, kind="stable")
        starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
        touched = codes[order][starts]
        for name, add in ADDED_BY.items():
            before = self.sums[name]
            shape = (len(self.keys), *before.shape[1:])
            sums = np.full(shape, add.identity, before.dtype)
            sums[: len(before)] = before
            added = add.reduceat(rows[name][order], starts, axis=0)
            sums[touched] = add(sums[touched], added)
            self.sums[name] = sums

    def number_groups(self) -> dict[Key, int]:
        """The keys of the groups of which something is forecast, with their numbers."""
        ahead = self.sums["ahead"]
        groups = sorted(self.keys.items())
        return {key: group for key, group in groups if ahead[group]}
