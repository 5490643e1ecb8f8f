"""Which backend runs the networks, and what is said where none can."""

from dataclasses import replace
from pathlib import Path

import pytest

from forecast.errors import Unavailable, UsageError
from forecast.inference import predictor as engines
from forecast.inference.fitted import Fitted
from forecast.inference.forecasting import load_fitted
from forecast.inference.predictor import pick_engine, require_engine


@pytest.fixture(scope="module")
def fitted(store: Path) -> Fitted:
    """With an export of each network."""
    found = load_fitted(str(store))
    return replace(found, exports=dict.fromkeys(range(len(found.network_weights)), b""))


def only(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    monkeypatch.setattr(engines, "installed", lambda package: package in packages)


@pytest.mark.parametrize(
    ("packages", "engine", "device", "picked"),
    [
        (("torch", "onnxruntime"), "auto", "auto", "onnx"),
        (("torch", "onnxruntime"), "auto", "cpu", "onnx"),
        (("torch", "onnxruntime"), "auto", "cuda", "torch"),
        (("torch", "onnxruntime"), "torch", "cpu", "torch"),
        (("torch",), "auto", "auto", "torch"),
        (("onnxruntime",), "onnx", "cpu", "onnx"),
    ],
)
def test_onnx_runs_what_it_can_and_torch_the_rest(
    fitted: Fitted, monkeypatch: pytest.MonkeyPatch, packages: tuple[str, ...], engine: str, device: str, picked: str
) -> None:
    only(monkeypatch, *packages)
    assert pick_engine(fitted, engine, device) == picked


def test_onnx_is_refused_for_another_device_than_the_cpu(fitted: Fitted) -> None:
    with pytest.raises(UsageError, match="runs on the CPU only"):
        pick_engine(fitted, "onnx", "cuda")


@pytest.mark.parametrize(("engine", "cure"), [("auto", "pip install torch"), ("onnx", "onnx"), ("torch", "torch")])
def test_without_any_package_the_error_names_what_to_install(
    fitted: Fitted, monkeypatch: pytest.MonkeyPatch, engine: str, cure: str
) -> None:
    only(monkeypatch)
    with pytest.raises(Unavailable, match=f"install.*{cure}"):
        pick_engine(fitted, engine)


def test_a_network_without_an_export_is_run_by_torch_or_named(fitted: Fitted, monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "torch", "onnxruntime")
    none, reason = (
        replace(fitted, exports={}, unexported={}),
        replace(fitted, exports={}, unexported={0: "it is too large"}),
    )
    assert pick_engine(none) == pick_engine(reason) == "torch"
    with pytest.raises(Unavailable, match="saved without exports"):
        pick_engine(none, "onnx")
    model = fitted.config.members()[0][0].model
    with pytest.raises(Unavailable, match=f"{model} has no export, as it is too large"):
        pick_engine(reason, "onnx")


def test_a_model_is_not_trained_for_an_engine_that_cannot_run_it(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "onnx", "onnxruntime")
    require_engine("onnx", "gru")
    require_engine("torch", "deepar")
    with pytest.raises(UsageError, match="deepar has no export"):
        require_engine("onnx", "deepar")
    only(monkeypatch, "onnxruntime")
    with pytest.raises(Unavailable, match="not installed"):
        require_engine("onnx", "gru")


def test_a_package_that_cannot_be_imported_is_not_installed() -> None:
    assert engines.installed("json")
    assert not engines.installed("no_such_package_of_ours")
