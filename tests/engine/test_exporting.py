"""Exports are compared with torch before they are believed, and left out where time is short."""

from typing import Any

import numpy as np
import pytest

from forecast.engine import exporting
from forecast.engine.exporting import add_exports
from forecast.engine.fit import fit
from forecast.engine.requests import FitRequest
from forecast.inference.fitted import Fitted
from forecast.settings import TrainSettings
from tests._inputs import read_days


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    """With one small network."""
    reading = read_days([10 + day % 5 + day / 9 for day in range(40)])
    knobs = {
        "model": "gru",
        "params": {"hidden_size": 4},
        "steps": 2,
        "members": 1,
        "baselines": ("last",),
    }
    settings = TrainSettings(**knobs, guard=False, device="cpu")
    return fit(FitRequest(reading, settings, sums=False))


@pytest.fixture
def packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "has_package", lambda package: True)


def test_without_the_packages_nothing_is_exported(
    fitted: Fitted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "has_package", lambda package: package != "onnx")
    assert add_exports(fitted) is fitted


class Wrong:
    """A graph whose numbers are not those of torch."""

    def __init__(self, data: bytes, name: str) -> None:
        pass

    def run(self, inputs: Any, shape: tuple[int, ...]) -> np.ndarray:
        return np.full((len(next(iter(inputs.values()))), *shape), 1e6)


@pytest.mark.usefixtures("packages")
def test_an_export_that_computes_something_else_is_not_kept(
    fitted: Fitted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "forecast.models.shared.exporting.export", lambda network, batch, opset: b"file"
    )
    monkeypatch.setattr(exporting, "Graph", Wrong)
    found = add_exports(fitted)
    assert not found.exports
    assert found.unexported[0].startswith("it differs from torch by 1e+06 ")


@pytest.mark.usefixtures("packages")
def test_a_file_that_cannot_be_written_or_is_too_large_is_said(
    fitted: Fitted, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(network: object, batch: object, opset: int) -> bytes:
        raise RuntimeError("no such\noperator")

    monkeypatch.setattr("forecast.models.shared.exporting.export", broken)
    assert add_exports(fitted).unexported[0] == "torch cannot write it (no such operator)"
    monkeypatch.setattr(
        "forecast.models.shared.exporting.export", lambda network, batch, opset: b"123456"
    )
    monkeypatch.setattr(exporting, "LARGEST_EXPORT", 5)
    assert add_exports(fitted).unexported[0] == "its file would have 6 bytes"
