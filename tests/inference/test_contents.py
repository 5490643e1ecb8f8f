"""A forecaster comes back from its contents as it was, and contents that are not its own are refused."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from forecast.artifacts.format import Contents
from forecast.artifacts.store import Store
from forecast.errors import ArtifactRefused
from forecast.inference import contents as module
from forecast.inference.contents import from_contents, to_contents
from forecast.inference.fitted import Fitted


@pytest.fixture(scope="module")
def fitted(store: Path) -> Fitted:
    return from_contents(Store(store).load()[0])


def test_contents_come_back_as_they_were(fitted: Fitted) -> None:
    first = to_contents(fitted)
    again = to_contents(from_contents(first))
    assert (again.config, again.run) == (first.config, first.run)
    for name in ("weights", "arrays"):
        before, after = getattr(first, name), getattr(again, name)
        assert before.keys() == after.keys()
        for key in before:
            np.testing.assert_array_equal(before[key], after[key])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            lambda c: replace(c, weights={**c.weights, "99/bias": np.zeros(1, np.float32)}),
            "no network for the weights",
        ),
        (lambda c: replace(c, config={**c.config, "more": 1}), "there is no 'more' in Fitted"),
        (
            lambda c: replace(
                c, config={**c.config, "config": {**c.config["config"], "settings": {"budget": 3}}}
            ),
            "settings that the plan has replaced",
        ),
        (lambda c: replace(c, exports={99: b""}), "no network for an export"),
        (lambda c: replace(c, unexported={99: "why"}), "no network for an export"),
        (
            lambda c: replace(c, arrays={**c.arrays, "trained_until": np.zeros(99, np.int64)}),
            "trained_until",
        ),
        (lambda c: replace(c, config={}), "does not hold a valid forecaster"),
    ],
)
def test_contents_of_another_make_are_refused_with_the_reason(
    fitted: Fitted, change: Callable[[Contents], Contents], reason: str
) -> None:
    with pytest.raises(ArtifactRefused, match=reason):
        from_contents(change(to_contents(fitted)))


def test_memory_that_runs_out_is_no_fault_of_the_artifact(
    fitted: Fitted, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hungry(contents: Contents) -> Fitted:
        raise MemoryError

    monkeypatch.setattr(module, "_read", hungry)
    with pytest.raises(MemoryError):
        from_contents(to_contents(fitted))
