"""Spread sums that people set over series and steps, so that the published numbers add up to them."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from math import fsum

import numpy as np

from forecast.errors import BadData
from forecast.logs import log
from forecast.panel.panel import Flags, Integers, Numbers
from forecast.tables.table import Table

HALVINGS = 200  # of the range that holds the change
DIGITS = 9  # of a sum, at least, that its forecasts are written with
FLOAT_DIGITS = 14  # that a float keeps
SUM_DIGITS = 12  # of a sum that is a percentage
LEAST_WEIGHT = 1e-9  # of the largest one
SLACK = 1e-9  # share by which a sum may miss its bounds


@dataclass(frozen=True)
class WantedSum:
    """What a row of overrides says of a sum of forecasts."""

    row: int  # of the table
    inside: Flags  # [series, steps], which forecasts are added
    observed: float  # what was observed in the period, which counts
    change: Numbers  # [3], a factor, the least and the largest sum
    by_width: bool  # whether uncertain forecasts change more


@dataclass
class Cells:
    """Forecasts that sums are spread over, [series, steps] each."""

    point: Numbers
    width: Numbers  # of an interval
    low: Numbers  # the bounds of a forecast
    high: Numbers
    row: Integers  # the row of the table that has set a forecast, -1 if none has
    fixed: Flags  # whether it keeps its value
    whole: bool  # whether forecasts are whole numbers


def spread_sums(
    cells: Cells, wanted: Sequence[WantedSum], table: Table, refuses: bool = True
) -> None:
    """Set forecasts so that they add up to what is wanted, the smallest sums first.

    Two sums have no forecast in common, or one has all of the other. Each is spread over its
    forecasts that no smaller sum and no other row has set, in proportion to them, or as their
    interval widths are. Raises `BadData`, which names both rows, if it cannot be met; unless it
    `refuses`, such a sum is left out, with a warning.
    """
    done: list[WantedSum] = []
    for sum_ in sorted(wanted, key=lambda one: int(one.inside.sum())):
        inside = sum_.inside
        for other in done:
            shared = other.inside & inside
            if shared.any() and ((other.inside != shared).any() or (inside == shared).all()):
                both = f"it and {table.line(other.row)} overlap, and neither holds the other"
                raise BadData(both, place=table.place(sum_.row), cure="remove one of them")
        done.append(sum_)
        now = fsum(cells.point[inside]) + sum_.observed
        factor, low, high = sum_.change
        total = float(f"{np.clip(now * factor, low, high):.{SUM_DIGITS}g}")
        if cells.whole and factor != 1:
            total = round(total)
        if total == now and low != high:  # a bound that holds, or a factor of 1
            continue
        free = inside & ~cells.fixed
        kept = cells.point[inside & cells.fixed].tolist()
        exact_rest = _decimal(total) - sum(map(_decimal, [sum_.observed, *kept]))
        rest = float(exact_rest)
        least, most = (fsum(bound[free]) for bound in (cells.low, cells.high))
        slack = SLACK * max(abs(total), abs(rest))
        if cells.whole and rest != round(rest):
            problem = f"{total:.12g} is no sum of whole numbers"
            raise BadData(problem, place=table.place(sum_.row), cure="correct the row")
        if not least - slack <= rest <= most + slack:
            error = _not_met(table, sum_, cells, total, rest)
            if refuses:
                raise error
            log.warning("%s; it is left out", error)
            continue
        if free.any():
            weight = cells.width[free] if sum_.by_width else np.abs(cells.point[free])
            low_ends, high_ends = cells.low[free], cells.high[free]
            spread = _spread(cells.point[free], weight, low_ends, high_ends, rest)
            cells.point[free] = _exact(spread, high_ends, exact_rest, cells.whole)
        cells.row[free] = sum_.row
        cells.fixed |= inside


def _not_met(table: Table, sum_: WantedSum, cells: Cells, total: float, rest: float) -> BadData:
    others = np.unique(cells.row[sum_.inside & cells.fixed])
    lines = [table.line(row) for row in others[others >= 0].tolist()]
    set_by = f"; {', '.join(lines)} set the others" if lines else ""
    left = f"{rest:.6g} is left for the others, which have bounds"
    if not (sum_.inside & ~cells.fixed).any():
        left = "nothing is left to change"
    problem = f"a sum of {total:.12g} cannot be met: {left}{set_by}"
    return BadData(problem, place=table.place(sum_.row), cure="correct one of the rows")


def _spread(point: Numbers, weight: Numbers, low: Numbers, high: Numbers, rest: float) -> Numbers:
    """Forecasts [cells] between their bounds that add up to `rest`, changed by multiples of weights."""
    largest = weight.max()
    weight = weight / largest if largest > 0 else np.ones_like(point)
    weight[weight < LEAST_WEIGHT] = 0.0
    kept = fsum(point[weight == 0])
    least, most = (kept + fsum(bound[weight > 0]) for bound in (low, high))
    if not least <= rest <= most:  # forecasts of 0 move if all others are at their bounds
        weight = np.maximum(weight, LEAST_WEIGHT)
    reach = (abs(rest) + np.abs(point).sum()) / LEAST_WEIGHT
    least, most = -reach, reach
    for _ in range(HALVINGS):
        middle = (least + most) / 2
        if np.clip(point + middle * weight, low, high).sum() < rest:
            least = middle
        else:
            most = middle
    return np.asarray(np.clip(point + most * weight, low, high))


def _decimal(number: float) -> Decimal:
    """A number as it is written."""
    return Decimal(repr(number))


def _exact(spread: Numbers, high: Numbers, rest: Decimal, whole: bool) -> Numbers:
    """The same forecasts, rounded so that they add up to `rest` as they are written.

    What is missing after rounding down goes to those that lost most (largest remainders).
    """
    size = Decimal(max(abs(rest), *map(Decimal, spread.tolist()))).adjusted()
    places = max(-int(rest.as_tuple().exponent), DIGITS - size)
    places = 0 if whole else min(places, FLOAT_DIGITS - size)
    unit = Decimal(1).scaleb(-places)
    shares = [Decimal(number) / unit for number in spread.tolist()]
    parts = [share.to_integral_value(ROUND_FLOOR) for share in shares]
    most = high.tolist()
    able = [i for i, part in enumerate(parts) if float((part + 1) * unit) <= most[i]]
    able.sort(key=lambda i: parts[i] - shares[i])
    missing = int(rest / unit - sum(parts))
    for i in able[: max(missing, 0)]:
        parts[i] += 1
    largest = int(np.argmax(spread))
    parts[largest] += (rest / unit - sum(parts)).to_integral_value()
    return np.array([float(part * unit) for part in parts])
