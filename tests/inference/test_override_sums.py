"""Sums that people set are met to the last digit; what is locked stays, and what cannot be met names its rows."""

import re
from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from math import fsum

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.errors import BadData
from forecast.inference.override_sums import Cells, WantedSum, spread_sums
from forecast.tables.reading import table_from_frame

TABLE = table_from_frame(pd.DataFrame({"row": range(9)}), "people.csv")
SHOPS, STEPS = 6, 4
# a tree of groups: everything, two regions, their shops; and the steps of one region alone
GROUPS = [
    np.ones((SHOPS, STEPS), bool),
    *(np.arange(SHOPS)[:, None] // 3 == region for region in range(2)),
    *(np.arange(SHOPS)[:, None] == shop for shop in range(SHOPS)),
]
GROUPS = [np.broadcast_to(group, (SHOPS, STEPS)).copy() for group in GROUPS]


def cells_of(point: np.ndarray, locked: np.ndarray, whole: bool, high: float = np.inf) -> Cells:
    point = np.round(point) if whole else point
    return Cells(
        point=point.copy(),
        width=1 + point / 3,
        low=np.zeros_like(point),
        high=np.full_like(point, high),
        row=np.full(point.shape, -1),
        fixed=locked.copy(),
        whole=whole,
    )


def written(numbers: Iterable[float]) -> Decimal:
    """The sum of numbers as they are written."""
    return sum(Decimal(repr(float(number))) for number in numbers) + Decimal(0)


def wanted(row: int, group: np.ndarray, total: float, by_width: bool = False) -> WantedSum:
    return WantedSum(row, group, 0.0, np.array([1.0, total, total]), by_width)


@given(
    points=st.lists(st.floats(0, 1e4), min_size=SHOPS * STEPS, max_size=SHOPS * STEPS),
    locks=st.lists(st.booleans(), min_size=SHOPS * STEPS, max_size=SHOPS * STEPS),
    chosen=st.lists(st.integers(0, len(GROUPS) - 1), min_size=1, max_size=4, unique=True),
    factors=st.lists(st.floats(0.3, 3.0), min_size=4, max_size=4),
    whole=st.booleans(),
    by_width=st.booleans(),
)
def test_sums_are_exact_and_locks_stay(
    points: list[float],
    locks: list[bool],
    chosen: list[int],
    factors: list[float],
    whole: bool,
    by_width: bool,
) -> None:
    locked = np.array(locks).reshape(SHOPS, STEPS)
    published = np.array([float(f"{number:.7g}") for number in points])
    published = np.where(published < 1e-3, 0.0, published).reshape(SHOPS, STEPS)
    cells = cells_of(published, locked, whole)
    before = cells.point.copy()
    sums = []
    for row, number in enumerate(chosen):
        total = fsum(before[GROUPS[number]]) * factors[row]
        total = float(np.round(total) if whole else np.round(total, 3))

        sums.append(wanted(row, GROUPS[number], total, by_width))
    try:
        spread_sums(cells, sums, TABLE)
    except BadData as error:
        problem = str(error)
    else:
        problem = ""
    if problem:
        assert re.search(r"row \d: a sum of .* cannot be met", problem)
        return
    for one in sums:
        assert written(cells.point[one.inside]) == written([one.change[1]])
    np.testing.assert_array_equal(cells.point[locked], before[locked])
    assert cells.point.min() >= 0
    untouched = ~np.logical_or.reduce([one.inside for one in sums])
    np.testing.assert_array_equal(cells.point[untouched], before[untouched])
    if whole:
        assert (cells.point == np.round(cells.point)).all()


def test_a_sum_is_spread_in_proportion_or_as_widths_are() -> None:
    point = np.arange(1.0, 25.0).reshape(SHOPS, STEPS)
    cells = cells_of(point, np.zeros(point.shape, bool), whole=False)
    spread_sums(cells, [wanted(0, GROUPS[0], 600.0)], TABLE)
    np.testing.assert_allclose(cells.point, 2 * point)
    assert cells.point.sum() == 600.0
    cells = cells_of(point, np.zeros(point.shape, bool), whole=False)
    spread_sums(cells, [wanted(0, GROUPS[0], 600.0, by_width=True)], TABLE)
    change = cells.point - point
    np.testing.assert_allclose(change, 300 * cells.width / cells.width.sum(), rtol=1e-6)


def test_a_bound_that_holds_changes_nothing_and_a_percentage_is_of_the_sum() -> None:
    point = np.full((SHOPS, STEPS), 10.0)
    cells = cells_of(point, np.zeros(point.shape, bool), whole=False)
    holds = replace(wanted(0, GROUPS[0], 0.0), change=np.array([1.0, -np.inf, 500.0]))
    more = replace(wanted(1, GROUPS[1], 0.0), change=np.array([1.05, -np.inf, np.inf]))
    spread_sums(cells, [holds, more], TABLE)
    assert fsum(cells.point[GROUPS[1]]) == 126.0
    assert (cells.point[GROUPS[2]] == 10.0).all()


@pytest.mark.parametrize(
    ("sums", "words"),
    [
        (
            [wanted(0, GROUPS[1], 50.0), wanted(1, GROUPS[0], 40.0)],
            "row 2: .*; row 1 set the others",
        ),
        ([wanted(0, GROUPS[1], 50.0), wanted(1, GROUPS[1], 60.0)], "row 2: it and row 1 overlap"),
        (
            [wanted(0, GROUPS[3], 5.0), wanted(1, GROUPS[0] & (np.arange(STEPS) < 2), 9.0)],
            "row 2: it and row 1 overlap, and neither holds the other",
        ),
        ([wanted(0, GROUPS[0], -1.0)], "row 1: a sum of -1 cannot be met"),
        ([wanted(0, GROUPS[0], 1e9)], "row 1: a sum of 1000000000 cannot be met"),
    ],
)
def test_what_cannot_be_met_names_its_rows(sums: list[WantedSum], words: str) -> None:
    point = np.full((SHOPS, STEPS), 10.0)
    cells = cells_of(point, np.zeros(point.shape, bool), whole=False, high=1e5)
    with pytest.raises(BadData, match=words):
        spread_sums(cells, sums, TABLE)


def test_all_locked_and_half_a_piece_cannot_be_met() -> None:
    point = np.full((SHOPS, STEPS), 10.0)
    cells = cells_of(point, np.ones(point.shape, bool), whole=False)
    with pytest.raises(BadData, match="nothing is left to change"):
        spread_sums(cells, [wanted(0, GROUPS[0], 300.0)], TABLE)
    spread_sums(cells, [wanted(0, GROUPS[0], 240.0)], TABLE)
    cells = cells_of(point, np.zeros(point.shape, bool), whole=True)
    with pytest.raises(BadData, match="no sum of whole numbers"):
        spread_sums(cells, [wanted(0, GROUPS[0], 300.5)], TABLE)
