"""Parts of a stored version are what they must be, or are refused."""

from typing import Any

import numpy as np
import pytest

from forecast.artifacts.specs import as_lists
from forecast.events.closed import Closed
from forecast.events.effects import Effects
from forecast.inference.contents import read_closed, read_effects

SIZES = {"series": 2, "series+1": 3}
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


def test_closed_positions_and_effects_come_back_from_lists() -> None:
    assert as_lists(read_closed(as_lists(CLOSED), SIZES)) == as_lists(CLOSED)
    assert as_lists(read_effects(as_lists(EFFECTS), SIZES)) == as_lists(EFFECTS)


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
        read_closed(as_lists(CLOSED) | change, SIZES)


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
        read_effects(as_lists(EFFECTS) | change, SIZES)
