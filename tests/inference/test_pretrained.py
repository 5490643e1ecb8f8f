"""A version holds the pretrained network that it forecasts with; a damaged or foreign one is refused."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load, save

from forecast import Forecaster
from forecast.artifacts.format import PRETRAINED_FILE, encode
from forecast.errors import ArtifactRefused
from forecast.inference.contents import to_contents
from forecast.inference.forecasting import load_predictor
from forecast.pretrained import forecasting
from forecast.pretrained.network import ARCHITECTURE
from workshop.campaigns._stores import write_store

SHIPPED = forecasting.load_network().data


def changed(**arrays: np.ndarray | None) -> bytes:
    """The weights that ship, some of them replaced, or left out."""
    weights = load(SHIPPED) | arrays
    kept = {name: array for name, array in weights.items() if array is not None}
    return save(kept, {"architecture": str(ARCHITECTURE)})


OTHER = changed(**{"outputs.bias": load(SHIPPED)["outputs.bias"] + np.float16(0.25)})


@pytest.fixture(scope="module")
def alone(passengers: Path) -> Forecaster:
    """The pretrained network alone."""
    return Forecaster(model="pretrained", guard=False).fit(pd.read_csv(passengers))


@pytest.fixture
def upgraded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package that ships other weights."""
    (tmp_path / "other.safetensors").write_bytes(OTHER)
    made = {**forecasting.how_it_was_made(), "sha256": hashlib.sha256(OTHER).hexdigest()}
    (tmp_path / "other.json").write_text(json.dumps(made), encoding="utf-8")
    monkeypatch.setattr(forecasting, "FILE", str(tmp_path / "other.safetensors"))
    forecasting.load_network.cache_clear()
    yield
    forecasting.load_network.cache_clear()


def test_an_upgrade_of_the_weights_does_not_change_a_saved_version(
    alone: Forecaster, passengers: Path, tmp_path: Path, upgraded: None
) -> None:
    frame = pd.read_csv(passengers)
    before = alone.predict()
    alone.save(str(tmp_path / "store"))
    after = Forecaster.load(str(tmp_path / "store"))
    pd.testing.assert_frame_equal(after.predict(), before)
    pd.testing.assert_frame_equal(after.predict(frame), before)
    assert after.fitted_.ensemble.network.hash == hashlib.sha256(SHIPPED).hexdigest()
    assert encode(to_contents(after.fitted_)) == encode(to_contents(alone.fitted_))
    again = Forecaster(model="pretrained", guard=False).fit(frame)
    assert (again.predict()["forecast"] != before["forecast"]).any()


def test_hours_that_were_fitted_with_the_network_for_all_keep_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As those of before the network of hours are."""
    hours = pd.date_range("2024-01-01", periods=400, freq="h")
    values = (
        9 + 5 * np.sin(2 * np.pi * np.arange(400) / 24) + np.random.default_rng(1).normal(size=400)
    )
    frame = pd.DataFrame({"time": hours, "v": np.round(values, 2)})
    now = Forecaster(model="pretrained", guard=False, horizon=24).fit(frame)
    assert (
        now.fitted_.ensemble.network.hash
        == forecasting.how_it_was_made(forecasting.HOURS_FILE)["sha256"]
    )
    monkeypatch.setattr(
        "forecast.ensemble.ensemble.network_for", lambda seasons: forecasting.load_network(SHIPPED)
    )
    earlier = Forecaster(model="pretrained", guard=False, horizon=24).fit(frame)
    earlier.save(str(tmp_path / "store"))
    loaded = Forecaster.load(str(tmp_path / "store"))
    pd.testing.assert_frame_equal(loaded.predict(frame), earlier.predict(frame))
    assert (loaded.predict(frame)["forecast"] != now.predict(frame)["forecast"]).any()


def test_a_version_without_it_holds_no_network(passengers: Path, tmp_path: Path) -> None:
    frame = pd.read_csv(passengers)
    Forecaster(model="last").fit(frame).save(str(tmp_path / "plain"))
    Forecaster(model="pretrained", guard=False).fit(frame).save(str(tmp_path / "network"))
    for name in ("plain", "network"):
        (version,) = (tmp_path / name).glob("v-*")
        assert (version / PRETRAINED_FILE).exists() == (name == "network")


def test_it_sees_more_of_the_past_than_other_baselines(tmp_path: Path) -> None:
    step = np.arange(1500)
    values = 100 + 10 * np.sin(2 * np.pi * step / 24) + np.random.default_rng(0).normal(size=1500)
    frame = pd.DataFrame({"step": step, "v": np.round(values, 2)})
    model = Forecaster(model="pretrained", guard=False, season=24, horizon=24).fit(frame)
    model.save(str(tmp_path / "store"))
    loaded = Forecaster.load(str(tmp_path / "store"))
    pd.testing.assert_frame_equal(loaded.predict(), model.predict(frame))
    farther = frame.assign(
        v=np.where(step < 1500 - 400, frame["v"] + 30 * (step % 24 == 3), frame["v"])
    )
    assert (model.predict(farther)["forecast"] != model.predict(frame)["forecast"]).any()
    beyond = frame.assign(
        v=np.where(step < 1500 - 1024, frame["v"] + 30 * (step % 24 == 3), frame["v"])
    )
    assert model.predict(beyond)["forecast"].equals(model.predict(frame)["forecast"])


@pytest.mark.parametrize(
    "data",
    [
        None,
        b"",
        b"no weights",
        SHIPPED[:-1],
        changed(**{"outputs.bias": None}),
        changed(**{"inputs.weight": np.zeros((3, 3), np.float16)}),
        changed(
            **{"outputs.bias": np.full(load(SHIPPED)["outputs.bias"].shape, np.nan, np.float16)}
        ),
    ],
    ids=["missing", "empty", "text", "cut", "without a weight", "another shape", "not finite"],
)
def test_a_version_without_a_network_that_forecasts_is_refused(
    alone: Forecaster, tmp_path: Path, data: bytes | None
) -> None:
    files = encode(to_contents(alone.fitted_))
    files = {name: each for name, each in files.items() if name != PRETRAINED_FILE}
    write_store(tmp_path, files if data is None else {**files, PRETRAINED_FILE: data})
    with pytest.raises(ArtifactRefused):
        load_predictor(str(tmp_path))
