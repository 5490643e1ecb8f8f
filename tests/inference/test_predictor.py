"""Which backend runs the networks, that a new one is one file, and forecasts that agree with those of their sums."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast import Forecaster
from forecast.errors import Unavailable, UsageError
from forecast.inference import predictor
from forecast.inference.fitted import Fitted
from forecast.inference.forecasting import load_forecaster
from forecast.inference.predictor import _reconcile_series, pick_engine, require_engine
from forecast.tables.synthetic import synthesize
from forecast.windows.windows import Batch, Windows
from tests.conftest import PackageCopy

BACKEND = '''"""A backend that repeats the newest value of each window, in numpy."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from forecast.inference.fitted import Fitted
from forecast.windows.windows import Batch


class Networks:
    """One network for every member."""

    def __init__(self, fitted: Fitted, device: str) -> None:
        self.levels = len(fitted.config.levels)
        self.to_array = self.to_numpy = np.asarray

    @contextmanager
    def guard_run(self) -> Iterator[None]:
        yield

    def quantiles(self, group: int, member: int, batch: Batch) -> np.ndarray:
        size = (len(batch), batch.target.shape[1], self.levels)
        return np.broadcast_to(batch.past[:, -1, None, None], size)
'''

PREDICT = """
import sys
import numpy as np
from forecast.artifacts.store import Store
from forecast.inference.contents import from_contents
from forecast.inference.predictor import Predictor, load_backend

fitted = from_contents(Store("store").load()[0])
history = fitted.history
Predictor.__init__ = lambda self, fitted: vars(self).update(
    fitted=fitted, device="cpu", on_windows=None, backend=load_backend(fitted, "cpu", "repeated")
)
quantiles = Predictor(fitted).quantiles(history, np.arange(len(history)))
np.save("medians.npy", quantiles[..., fitted.config.levels.index(0.5)])
np.save("newest.npy", [history.values[history.slots(series)][-1] for series in range(len(history))])
assert "torch" not in sys.modules
"""


def test_a_new_file_is_a_backend_and_forecasts_without_torch(package: PackageCopy) -> None:
    package.add("forecast/inference/repeated.py", BACKEND)
    store = package.folder / "store"
    Forecaster(horizon=4, steps=2, guard=False).fit(synthesize("noise", series=3, length=60)).save(
        store
    )
    package.run("-c", PREDICT)
    newest = np.load(package.folder / "newest.npy")
    np.testing.assert_allclose(
        np.load(package.folder / "medians.npy"), np.repeat(newest[:, None], 4, 1), rtol=1e-6
    )


def test_a_batch_is_gathered_once_for_all_members_that_read_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    panel = synthesize("noise", series=3, length=60)
    model = Forecaster(model="linear", members=3, horizon=4, steps=2, guard=False).fit(panel)
    gathered, batch = [], Windows.batch

    def counted(*arguments: Any) -> Batch:
        gathered.append(arguments)
        return batch(*arguments)

    monkeypatch.setattr(Windows, "batch", counted)
    model.predict()
    assert len(gathered) == 1


@pytest.fixture(scope="module")
def fitted(store: Path) -> Fitted:
    """With an export of each network."""
    found = load_forecaster(str(store))[0]
    return replace(found, exports=dict.fromkeys(range(len(found.network_weights)), b""))


def only(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    monkeypatch.setattr(predictor, "has_package", lambda package: package in packages)


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
    fitted: Fitted,
    monkeypatch: pytest.MonkeyPatch,
    packages: tuple[str, ...],
    engine: str,
    device: str,
    picked: str,
) -> None:
    only(monkeypatch, *packages)
    assert pick_engine(fitted, engine, device) == picked


def test_onnx_is_refused_for_another_device_than_the_cpu(fitted: Fitted) -> None:
    with pytest.raises(UsageError, match="runs on the CPU only"):
        pick_engine(fitted, "onnx", "cuda")


@pytest.mark.parametrize(
    ("engine", "cure"), [("auto", "pip install torch"), ("onnx", "onnx"), ("torch", "torch")]
)
def test_without_any_package_the_error_names_what_to_install(
    fitted: Fitted, monkeypatch: pytest.MonkeyPatch, engine: str, cure: str
) -> None:
    only(monkeypatch)
    with pytest.raises(Unavailable, match=f"install.*{cure}"):
        pick_engine(fitted, engine)


def test_a_network_without_an_export_is_run_by_torch_or_named(
    fitted: Fitted, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(monkeypatch, "torch", "onnxruntime")
    none, reason = (
        replace(fitted, exports={}, unexported={}),
        replace(fitted, exports={}, unexported={0: "it is too large"}),
    )
    assert pick_engine(none) == pick_engine(reason) == "torch"
    with pytest.raises(Unavailable, match="saved without exports"):
        pick_engine(none, "onnx")
    model = fitted.members()[0][0].model
    with pytest.raises(Unavailable, match=f"{model} has no export, as it is too large"):
        pick_engine(reason, "onnx")


def test_a_model_is_not_trained_for_an_engine_that_cannot_run_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    only(monkeypatch, "onnx", "onnxruntime")
    require_engine("onnx", "gru")
    require_engine("torch", "deepar")
    with pytest.raises(UsageError, match="deepar has no export"):
        require_engine("onnx", "deepar")
    only(monkeypatch, "onnxruntime")
    with pytest.raises(Unavailable, match="not installed"):
        require_engine("onnx", "gru")


def test_a_package_that_cannot_be_imported_is_not_installed() -> None:
    assert predictor.has_package("json")
    assert not predictor.has_package("no_such_package_of_ours")


STATES = {"n": 3.0, "s": 9.0}


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """Two states with three shops each, whose noise cancels out in the sum of a state."""
    random, rows = np.random.default_rng(0), []
    months = pd.date_range("2012-01", periods=120, freq="MS").strftime("%Y-%m")
    for state, size in STATES.items():
        noise = random.normal(size=(3, 120)) * 4
        noise -= noise.mean(0)
        for shop in range(3):
            season = [20 + size * math.sin(month * math.pi / 6) for month in range(120)]
            values = np.maximum(season + noise[shop], 0)
            rows += [
                (state, f"{state}{shop}", month, value)
                for month, value in zip(months, values, strict=True)
            ]
    return pd.DataFrame(rows, columns=["state", "shop", "month", "units"])


@pytest.fixture(scope="module")
def reconciled(frame: pd.DataFrame) -> Forecaster:
    return Forecaster(
        model="holt-winters",
        baselines=("holt-winters",),
        horizon=6,
        hierarchy="state",
        id=("state", "shop"),
    ).fit(frame)


def test_sums_are_no_rows_of_a_forecast_and_means_add_up(reconciled: Forecaster) -> None:
    assert reconciled.fitted_.config.reconciles
    assert reconciled.fitted_.config.sums == ((), ("state",))
    rows = reconciled.predict()
    assert set(rows["shop"]) == {f"{state}{shop}" for state in STATES for shop in range(3)}
    assert any(line.startswith("sums     3 sums were trained on") for line in reconciled.describe())
    totals = reconciled.totals(by="state", every="horizon")
    assert set(totals["state"]) == set(STATES)


def test_a_saved_forecaster_gives_the_same_with_its_table_and_without(
    reconciled: Forecaster, frame: pd.DataFrame, tmp_path: Path
) -> None:
    reconciled.save(str(tmp_path / "s"))
    loaded = Forecaster.load(str(tmp_path / "s"))
    pd.testing.assert_frame_equal(loaded.predict(), reconciled.predict())
    pd.testing.assert_frame_equal(loaded.predict(frame), reconciled.predict())
    with_table = reconciled.totals(frame, by="all")
    with_table["last_year"] = np.nan  # of which a version keeps nothing
    pd.testing.assert_frame_equal(loaded.totals(by="all"), with_table)


def test_noise_that_cancels_out_in_sums_is_left_out_of_them(frame: pd.DataFrame) -> None:
    months = sorted(frame["month"].unique())
    past, later = frame[frame["month"] < months[-6]], frame[frame["month"] >= months[-6]]
    actual = later.groupby("state")["units"].sum()
    errors = []
    for hierarchy in ((), ("state",)):
        settings = {
            "model": "holt-winters",
            "baselines": ("holt-winters",),
            "horizon": 6,
            "id": ("state", "shop"),
        }
        totals = (
            Forecaster(**settings, hierarchy=hierarchy)
            .fit(past)
            .totals(by="state", every="horizon")
        )
        errors.append((totals.set_index("state")["mean"] - actual).abs().mean())
    assert errors[1] < errors[0]


def test_without_a_gain_forecasts_stay_as_they_are(
    frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("forecast.engine.sums.LEAST_GAIN", 1.0)
    settings = {"model": "last", "baselines": ("last",), "horizon": 6, "id": ("state", "shop")}
    plain, hierarchical = (
        Forecaster(**settings, hierarchy=way).fit(frame) for way in ((), ("state",))
    )
    assert not hierarchical.fitted_.config.reconciles
    np.testing.assert_allclose(plain.predict()["forecast"], hierarchical.predict()["forecast"])


def test_least_squares_share_a_gap_by_variances() -> None:
    base = np.array([[[9.0, 10.0, 11.0]], [[18.0, 20.0, 22.0]]])  # [series, horizon, levels]
    means = np.array([[10.0], [20.0], [36.0]])
    deviation = np.array([[1.0], [2.0], [1.0]])
    is_sum, members = np.array([False, False, True]), np.array([[True, True]])
    moved = _reconcile_series(base, means, deviation, is_sum, members, np.full(3, -np.inf))
    assert moved[:, 0, 1].tolist() == pytest.approx([10 + 1, 20 + 4])  # 6 * variance / (1 + 4 + 1)
    assert np.diff(moved[0, 0]).tolist() == pytest.approx([1, 1])
    scaled = _reconcile_series(base, means, deviation, is_sum, members, np.zeros(3))
    assert (scaled[1, 0] / base[1, 0]).tolist() == pytest.approx([1.2] * 3)
