"""What the past of windows was like, by known answers; nothing after a window's end changes it."""

from dataclasses import replace

import numpy as np
import pytest

from forecast.intervals.own_past import Recent, largest
from forecast.panel.panel import Panel
from forecast.windows.origins import pasts


def panel_of(*series: list[float], ahead: int = 2) -> Panel:
    sizes = [len(values) + ahead for values in series]
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    values = np.concatenate([[*values, *[0.0] * ahead] for values in series])
    observed = np.isfinite(values)
    for end in offsets[1:]:
        observed[end - ahead : end] = False
    count = len(series)
    return Panel(
        ids=tuple((f"s{number}",) for number in range(count)),
        order=np.arange(count),
        offsets=offsets,
        starts=np.zeros(count, np.int64),
        ahead=ahead,
        values=np.nan_to_num(values),
        observed=observed,
        known=np.zeros((len(values), 0)),
        past=np.zeros((len(values), 0)),
        static=np.zeros((count, 0)),
        status=("ok",) * count,
    )


NAN = float("nan")
PANEL = panel_of([1, 2, NAN, 4, 5, 6], [7, 7, 7, 7])
NEWEST = np.arange(2), PANEL.lengths


def test_pasts_are_padded_on_the_left_and_zero_where_nothing_was_observed() -> None:
    values, observed = next(pasts(PANEL, NEWEST, 6))
    assert values.tolist() == [[1, 2, 0, 4, 5, 6], [0, 0, 7, 7, 7, 7]]
    assert observed.tolist() == [
        [True, True, False, True, True, True],
        [False, False, True, True, True, True],
    ]


def test_the_largest_value_is_that_of_the_newest_steps() -> None:
    falling = panel_of([9, 8, 7, 1, 2], [NAN, NAN, 3, NAN, NAN])
    ends = np.arange(2), falling.lengths
    assert largest(falling, ends, 5).tolist() == [9, 3]
    assert largest(falling, ends, 2).tolist() == [2, -np.inf]


def test_the_recent_mean_counts_new_values_more_and_gaps_not_at_all() -> None:
    rising, falling = (Recent.measure(panel_of(values), (np.zeros(1, np.int64), np.array([6]))) for values in (
        [0, 0, 0, 6, 6, 6], [6, 6, 6, 0, 0, 0]
    ))  # fmt: skip
    assert rising.mean[0] > 4 > 2 > falling.mean[0]
    assert rising.mean[0] + falling.mean[0] == pytest.approx(6)
    assert Recent.measure(panel_of([7, NAN, 7, NAN]), (np.zeros(1, np.int64), np.array([4]))).mean[
        0
    ] == pytest.approx(7)


@pytest.mark.parametrize(("zeros", "rest"), [(4, 0.0), (5, 0.0), (6, 0.4), (8, 1.0), (10, 1.0)])
def test_a_series_rests_where_more_than_half_of_it_lies_at_its_median(
    zeros: int, rest: float
) -> None:
    values = [0.0] * zeros + [float(number) for number in range(3, 13 - zeros)]
    recent = Recent.measure(panel_of(values), (np.zeros(1, np.int64), np.array([10])))
    assert recent.at_rest[0] == pytest.approx(rest)
    assert recent.shift(np.array([[recent.mean[0] + 1]]))[0, 0] == pytest.approx(-rest)


def test_what_comes_after_a_window_does_not_change_its_past() -> None:
    windows = np.zeros(1, np.int64), np.array([3])
    changed = replace(PANEL, values=np.where(np.arange(len(PANEL.values)) >= 3, 1e9, PANEL.values))
    for before, after in zip(pasts(PANEL, windows, 4), pasts(changed, windows, 4), strict=True):
        np.testing.assert_array_equal(before[0], after[0])
    np.testing.assert_array_equal(
        Recent.measure(PANEL, windows).mean, Recent.measure(changed, windows).mean
    )
    np.testing.assert_array_equal(largest(PANEL, windows, 4), largest(changed, windows, 4))
