"""Stored arrays have the shapes, types and bounds of the fields that hold them, or are refused."""

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import pytest
from numpy.typing import NDArray

from forecast.artifacts.specs import Spec, build_record, from_lists


@dataclass(frozen=True)
class Stored:
    share: Annotated[NDArray[np.float32], Spec("series", 0, 1)]
    past: Annotated[NDArray[np.float64], Spec("series 1", nan=True)]
    owner: Annotated[NDArray[np.int64], Spec("events", low=0, below="series")]


SIZES = {"series": 2}
SOUND: dict[str, Any] = {
    "share": np.float32([0, 1]),
    "past": np.array([[np.nan], [-3]]),
    "owner": np.array([1, 1, 0]),
}


def test_arrays_within_their_bounds_pass() -> None:
    arrays = build_record(Stored, SOUND, SIZES)
    assert vars(arrays) == SOUND


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"share": np.float32([0, 1.5])}, "'share' must hold numbers from 0 to 1"),
        ({"share": np.float32([0, np.nan])}, "'share' must hold numbers"),
        ({"share": np.float64([0, 1])}, "'share' is float64 of shape"),
        ({"share": np.float32([0])}, r"'share' is float32 of shape \(1,\)"),
        ({"past": np.array([[np.inf], [0]])}, "'past' must hold numbers"),
        ({"past": np.array([0.0, 0])}, "'past' is float64 of shape"),
        ({"owner": np.array([2])}, "'owner' must hold numbers from 0 to 1"),
        ({"more": np.zeros(1)}, "the arrays are not share, past"),
    ],
)
def test_other_arrays_are_refused_with_the_reason(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        build_record(Stored, SOUND | change, SIZES)


def test_lists_become_arrays_where_no_number_changes() -> None:
    lists = {"share": [0, 1], "past": [[1], [2.5]], "owner": []}
    assert from_lists(Stored, lists, SIZES | {"events": 0}).owner.dtype == np.int64
    for owner in ([0.5], ["0"], [[0]], [None]):
        with pytest.raises((TypeError, ValueError)):
            from_lists(Stored, lists | {"owner": owner}, SIZES | {"events": 1})
