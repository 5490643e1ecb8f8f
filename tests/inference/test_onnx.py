"""Exported networks forecast as torch does, and a setting decides which of the two is used."""

import json
from collections.abc import Callable
from pathlib import Path
from shlex import split
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast import Forecaster
from forecast.artifacts.store import Store
from forecast.models import model_names
from tests.conftest import Ran

pytest.importorskip("onnxruntime")

Command = Callable[..., Ran]
QUICK = ("--steps", 6, "--members", 1, "--no-guard", "--horizon", 5, "--quiet")
SAMPLED = {"deepar"}  # models that have no export
# one of each kind of layer for the gate; a fit compares each export with torch, too, before it is saved
KINDS = {"deepar", "segrnn", "esrnn", "attention-lstm", "finetuned", "mingru"}
MODELS = [
    name if name in KINDS else pytest.param(name, marks=pytest.mark.slow) for name in model_names()
]


@pytest.fixture
def shops(tmp_path: Path, panel_frame: pd.DataFrame) -> Path:
    """A long table with columns of each kind, and some missing values."""
    frame = panel_frame.copy()
    frame.loc[frame.index[7:300:31], "units"] = np.nan
    frame.loc[(frame["shop"] == "s003") & (frame["day"] < "2024-03-01"), "units"] = np.nan
    path = tmp_path / "shops.csv"
    frame.dropna(subset="units").to_csv(path, index=False)
    frame[frame["day"] > "2024-03-10"].drop(columns=["units", "price"]).assign(
        day=lambda rows: (pd.to_datetime(rows["day"]) + pd.Timedelta(days=9)).dt.strftime(
            "%Y-%m-%d"
        )
    ).to_csv(tmp_path / "future.csv", index=False)
    return path


@pytest.mark.parametrize("name", MODELS)
def test_an_export_forecasts_as_torch_does(forecast: Command, shops: Path, name: str) -> None:
    store = shops.parent / "store"
    columns = split("--id shop --target units --known promo --past price --static size")
    fitted = forecast("fit", shops, "--artifact", store, "--model", name, *columns, *QUICK)
    assert fitted.code == 0, fitted.err
    predict = (
        "predict",
        "--artifact",
        store,
        "--future",
        shops.parent / "future.csv",
        "--quiet",
        "--engine",
    )
    if name in SAMPLED:
        contents, _ = Store(store).load()
        assert contents.exports == {}
        assert "samples" in contents.unexported[0]
        assert (
            "exports  0 of 1 network to ONNX; it samples paths"
            in forecast("inspect", "--artifact", store).out
        )
        refused = forecast(*predict, "onnx")
        assert refused.code == 69
        assert f"{name} has no export" in refused.err
        return
    assert (
        json.loads(forecast("inspect", "--artifact", store, "--json").out)["exports"]["networks"]
        == 1
    )
    by_torch, by_onnx = forecast(*predict, "torch"), forecast(*predict, "onnx")
    assert (by_torch.code, by_onnx.code) == (0, 0), by_onnx.err
    numbers = [frame.iloc[:, 2:].to_numpy() for frame in (by_torch.frame, by_onnx.frame)]
    np.testing.assert_allclose(numbers[0], numbers[1], atol=1e-3)  # of values about 100
    assert forecast(*predict, "auto").out == by_onnx.out


def test_the_shape_of_a_table_does_not_change_what_an_export_forecasts(
    store: Path, passengers: Path
) -> None:
    frame = pd.read_csv(passengers)
    copies = pd.DataFrame({f"copy {i}": frame["passengers"] * (1 + i / 200) for i in range(200)})
    wide = pd.concat([frame, copies], axis=1)
    predict = Forecaster.load(str(store), engine="onnx").predict
    together = predict(wide).query("series == 'copy 7'")["forecast"].to_numpy()
    alone = predict(wide[["month", "copy 7"]])["forecast"].to_numpy()
    np.testing.assert_array_equal(together, alone)


def test_forecasts_of_a_saved_version_are_the_same_in_every_process(
    forecast: Command, store: Path
) -> None:
    first = forecast("predict", "--artifact", store, "--quiet")
    assert first.out == forecast("predict", "--artifact", store, "--quiet").out


def test_a_season_longer_than_the_lookback_is_exported(
    tmp_path: Path, forecast: Command, passengers: Path
) -> None:
    store = str(tmp_path / "store")
    forecast("fit", passengers, "--artifact", store, "--model", "segrnn", "--lookback", "8", *QUICK)
    assert (
        json.loads(forecast("inspect", "--artifact", store, "--json").out)["exports"]["networks"]
        == 1
    )


def test_an_export_has_no_part_in_the_hash_of_an_artifact(tmp_path: Path, store: Path) -> None:
    model = Forecaster.load(str(store))
    with_exports = model.save(str(tmp_path / "with"))
    contents, _ = Store(tmp_path / "with").load()
    assert contents.exports
    contents.exports.clear()
    with Store(tmp_path / "without").lock() as writer:
        assert writer.save(contents).hash == with_exports.hash


def test_a_version_without_exports_is_forecast_by_torch(
    tmp_path: Path, forecast: Command, store: Path
) -> None:
    contents, _ = Store(store).load()
    contents.exports.clear()
    with Store(tmp_path / "store").lock() as writer:
        writer.save(contents)
    predict = ("predict", "--artifact", tmp_path / "store", "--quiet")
    assert (
        forecast(*predict).out
        == forecast("predict", "--artifact", store, "--quiet", "--engine", "torch").out
    )
    refused = forecast(*predict, "--engine", "onnx")
    assert refused.code == 69
    assert "saved without exports" in refused.err


def test_an_export_that_differs_from_torch_is_not_saved(
    tmp_path: Path, store: Path, monkeypatch: Any
) -> None:
    from forecast.inference.onnx import Graph

    right = Graph.run
    monkeypatch.setattr(Graph, "run", lambda *arguments: right(*arguments) + np.float32(2e-4))
    model = Forecaster.load(str(store))
    model.fitted_.exports.clear()
    model.save(str(tmp_path / "store"))
    contents, _ = Store(tmp_path / "store").load()
    assert contents.exports == {}
    assert "differs from torch by 0.0002" in contents.unexported[0]


def test_what_a_budget_trained_to_its_end_forecasts_without_torch(
    forecast: Command, passengers: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    small = (
        *split("--model gru -p hidden_size=4 --no-guard"),
        "--budget",
        1.5,
        "--artifact",
        tmp_path / "store",
    )
    assert forecast("fit", passengers, *small).code == 0
    monkeypatch.setattr(
        "forecast.inference.predictor.has_package", lambda package: package != "torch"
    )
    assert len(forecast("predict", "--artifact", tmp_path / "store").frame) == 18


@pytest.mark.parametrize(
    ("missing", "engine", "cure"),
    [
        (("torch", "onnxruntime"), "auto", ("pip install torch", "pip install '.[onnx]'")),
        (("onnxruntime",), "onnx", ("pip install '.[onnx]'",)),
        (("torch",), "torch", ("pip install torch",)),
    ],
)
def test_what_to_install_is_said(
    forecast: Command,
    store: Path,
    monkeypatch: Any,
    missing: tuple[str, ...],
    engine: str,
    cure: tuple[str, ...],
) -> None:
    monkeypatch.setattr(
        "forecast.inference.predictor.has_package", lambda package: package not in missing
    )
    refused = forecast("predict", "--artifact", store, "--engine", engine)
    assert (refused.code, refused.out) == (69, "")
    assert all(text in refused.err for text in cure)


def test_without_onnxruntime_a_version_with_exports_is_forecast_by_torch(
    forecast: Command, store: Path, monkeypatch: Any
) -> None:
    by_torch = forecast("predict", "--artifact", store, "--engine", "torch", "--quiet")
    monkeypatch.setattr(
        "forecast.inference.predictor.has_package", lambda package: package == "torch"
    )
    assert forecast("predict", "--artifact", store, "--quiet").out == by_torch.out


def test_onnx_runs_on_the_cpu_alone(forecast: Command, store: Path) -> None:
    refused = forecast("predict", "--artifact", store, "--engine", "onnx", "--device", "cuda")
    assert refused.code == 2
    assert "--device cuda" in refused.err


def test_attention_is_there_with_every_engine(tmp_path: Path, passengers: Path) -> None:
    model = Forecaster(model="attention-lstm", steps=4, guard=False, members=1, horizon=3)
    model.fit(pd.read_csv(passengers)).save(str(tmp_path / "store"))
    weights = Forecaster.load(str(tmp_path / "store"), engine="onnx").attention()
    pd.testing.assert_frame_equal(weights, model.attention())


def test_a_model_without_an_export_is_not_trained_for_onnx(
    forecast: Command, passengers: Path, tmp_path: Path
) -> None:
    refused = forecast(
        "fit", passengers, "--artifact", tmp_path, "--model", "deepar", "--engine", "onnx"
    )
    assert refused.code == 2
    assert "samples paths" in refused.err


def test_a_frozen_forecaster_is_tested_by_the_engine_that_is_asked_for(
    forecast: Command, store: Path, passengers: Path
) -> None:
    words = ("backtest", passengers, "--artifact", store, "--windows", 1, "--quiet", "--engine")
    measures = [forecast(*words, engine).frame.iloc[:, 1:-2] for engine in ("torch", "onnx")]
    pd.testing.assert_frame_equal(*measures, rtol=1e-3)


def test_a_fit_for_onnx_forecasts_by_it(passengers: Path) -> None:
    model = Forecaster(model="linear", steps=4, guard=False, members=1, horizon=3, engine="onnx")
    assert "onnx" in type(model.fit(pd.read_csv(passengers)).predictor_.backend).__module__
