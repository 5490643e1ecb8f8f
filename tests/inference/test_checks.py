"""Parts of a stored version are what they must be, or are refused."""

from typing import Any

import numpy as np
import pytest

from forecast.events.closed import Closed
from forecast.events.effects import Effects
from forecast.inference.checks import Spec, check_arrays, read_by_series, read_closed, read_effects
from forecast.inference.contents import as_lists

SPECS = {"share": Spec((2,), np.float32, 0, 1), "past": Spec((2,), np.float64, gaps=True)}
SOUND = {"share": np.float32([0, 1]), "past": np.array([np.nan, -3])}

CLOSED = Closed(
    np.array([0, 0, 1]), np.array([7, 7, 7]), np.array([5, 6, 0]), np.zeros(3), ((1, "Advent"),)
)
EFFECTS = Effects(
    labels=("Christmas",),
    days=np.array([3]),
    effect=np.full((2, 1, 8), -0.5),
    typical=np.full((2, 1), -0.5),
    exponent=-1,
    profile=np.ones((3, 7)),
    unit=np.zeros(3),
    reaction=np.ones(3),
)


def test_arrays_within_their_bounds_pass() -> None:
    check_arrays("calibration", SOUND, SPECS)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"share": np.float32([0, 1.5])}, "'share' must hold numbers from 0 to 1"),
        ({"share": np.float32([0, np.nan])}, "'share' must hold numbers"),
        ({"share": np.float64([0, 1])}, "'share' is float64 of shape"),
        ({"share": np.float32([0])}, r"'share' is float32 of shape \(1,\)"),
        ({"past": np.array([np.inf, 0])}, "'past' must hold numbers"),
        ({"more": np.zeros(1)}, "does not hold the arrays that it must"),
    ],
)
def test_other_arrays_are_refused_with_the_reason(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=f"calibration.*{reason}"):
        check_arrays("calibration", SOUND | change, SPECS)


def test_closed_positions_and_effects_come_back_from_lists() -> None:
    assert as_lists(read_closed(as_lists(CLOSED), 2)) == as_lists(CLOSED)
    assert as_lists(read_effects(as_lists(EFFECTS), 2)) == as_lists(EFFECTS)


@pytest.mark.parametrize(
    "change",
    [
        {"series": [0, 1, 0]},  # not in order
        {"series": [0, 0, 2]},  # there are two
        {"phase": [5, 7, 0]},  # beyond the season
        {"season": [7, 7, 0]},
        {"value": [0.0, 0.0, 1e300]},
        {"value": [0.0, 0.0]},
        {"opened": [[3, "Advent"]]},
        {"opened": [[1, "x" * 401]]},
        {"more": []},
    ],
)
def test_closed_positions_that_contradict_each_other_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # each with a reason of its own
        read_closed(as_lists(CLOSED) | change, 2)


@pytest.mark.parametrize(
    "change",
    [
        {"labels": ["x" * 401]},
        {"labels": [1]},
        {"exponent": 5},
        {"exponent": True},
        {"days": [-1]},
        {"unit": [0.0, -1.0, 0.0]},
        {"profile": np.zeros((3, 7)).tolist()},
        {"reaction": [1.0, 1.0]},
        {"reaction": [1.0, 1.0, 1e300]},
        {"more": []},
    ],
)
def test_effects_that_contradict_each_other_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        read_effects(as_lists(EFFECTS) | change, 2)


def test_levels_are_one_number_for_each_series_none_below_zero() -> None:
    np.testing.assert_array_equal(read_by_series([1, None], 2), [1, np.nan])
    for values in ([1.0], [1.0, "2"], [1.0, True], [1.0, -1.0], (1.0, 2.0)):
        with pytest.raises(ValueError, match="levels and seasonal errors"):
            read_by_series(values, 2)
