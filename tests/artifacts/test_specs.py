"""What is saved of a record has the shapes, types and bounds of its fields, or is refused."""

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import pytest
from numpy.typing import NDArray

from forecast.artifacts.specs import NOT_SAVED, Spec, build_record, split_record


@dataclass(frozen=True)
class Inner:
    labels: Annotated[tuple[str, ...], Spec("labels")]
    effect: Annotated[NDArray[np.float64], Spec("series+1 labels")]


@dataclass(frozen=True)
class Stored:
    share: Annotated[NDArray[np.float32], Spec("series", 0, 1)]
    past: Annotated[NDArray[np.float64], Spec("series 1", nan=True)]
    owner: Annotated[NDArray[np.int64], Spec("events", low=0, below="series")]
    stride: Annotated[int, Spec(low=1)]
    inner: Inner | None = None
    cache: Annotated[list[int] | None, NOT_SAVED] = None


SIZES = {"series": 2}
SOUND: dict[str, Any] = {
    "share": np.float32([0, 1]),
    "past": np.array([[np.nan], [-3]]),
    "owner": np.array([1, 1, 0]),
    "stride": np.array(3),
}


def test_a_record_comes_back_as_it_was() -> None:
    inner = Inner(("a", "b"), np.zeros((3, 2)))
    record = Stored(SOUND["share"], SOUND["past"], SOUND["owner"], 3, inner, [1])
    arrays, values = split_record(record)
    assert values == {"inner": {"labels": ["a", "b"]}}
    again = build_record(Stored, arrays, values, SIZES)
    assert again.inner is not None
    assert again.inner.labels == inner.labels
    assert (again.stride, again.cache) == (3, None)
    assert build_record(Stored, arrays, values, SIZES, cache=[2]).cache == [2]
    assert build_record(Stored, SOUND, {}, SIZES).inner is None


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
        ({"stride": np.array(0)}, "'stride' must hold numbers from 1"),
        ({"stride": np.array([1])}, "'stride' is int64 of shape"),
        ({"more": np.zeros(1)}, "there is no 'more' in Stored"),
    ],
)
def test_other_arrays_are_refused_with_the_reason(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        build_record(Stored, SOUND | change, {}, SIZES)


def test_texts_of_another_number_are_refused() -> None:
    arrays = SOUND | {"inner.effect": np.zeros((3, 2))}
    with pytest.raises(ValueError, match="'effect' is float64 of shape"):
        build_record(Stored, arrays, {"inner": {"labels": ["a"]}}, SIZES)
