"""Networks train in bfloat16 where it is asked for, or where machine and model gain by it; the plan says which."""

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from forecast import Forecaster
from forecast.errors import Unavailable
from forecast.inference.contents import read_plan
from forecast.tables.synthetic import synthesize
from forecast.training import precision
from forecast.training.plan import Candidate, Member
from forecast.training.precision import chosen_precision, trains_in_bfloat16
from forecast.training.state import TrainingState

CPU = torch.device("cpu")
SETTINGS = {
    "params": {"hidden_size": 8},
    "steps": 30,
    "members": 1,
    "horizon": 7,
    "baselines": ("seasonal-naive",),
    "guard": False,
}


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return synthesize("seasonal", series=4, length=120, seed=1)


@pytest.fixture
def without_lstm(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A processor on which oneDNN has no LSTM in bfloat16, as those without AVX-512."""
    real = torch.nn.LSTM.forward

    def forward(self: torch.nn.LSTM, *inputs: object) -> object:
        if torch.is_autocast_enabled("cpu"):
            raise RuntimeError(
                "could not create a primitive descriptor for the LSTM forward propagation primitive"
            )
        return real(self, *inputs)  # type: ignore[arg-type]

    monkeypatch.setattr(torch.nn.LSTM, "forward", forward)
    trains_in_bfloat16.cache_clear()
    yield
    trains_in_bfloat16.cache_clear()


def lower(config: Path) -> Path:
    """The plan of a stored version as one that was made in bfloat16."""
    contents = json.loads(config.read_text())
    for member in contents["plan"]["members"]:
        member["precision"] = "bfloat16"
    plan = config.parents[1] / "plan.json"
    plan.write_text(json.dumps(contents["plan"]))
    return plan


@pytest.mark.parametrize(
    "model", ["segrnn", pytest.param("lstm", marks=pytest.mark.slow), "deepar"]
)
def test_bfloat16_learns_as_float32_does_and_leaves_float32(
    frame: pd.DataFrame, model: str
) -> None:
    if not trains_in_bfloat16(model, "cpu"):
        pytest.skip(f"this processor cannot train {model} in bfloat16")
    low, full = (
        Forecaster(model=model, **SETTINGS, precision=name).fit(frame)
        for name in ("bfloat16", "float32")
    )
    assert [member.precision for member in low.plan_.members] == ["bfloat16"]
    losses = [fit.fitted_.config.validation[0] for fit in (low, full)]
    assert losses[0] == pytest.approx(losses[1], rel=0.1)
    assert losses[0] != losses[1]
    assert all(weights.dtype == np.float32 for weights in low.fitted_.network_weights[0].values())
    assert not low.predict().equals(full.predict())


def test_the_plan_repeats_the_precision_wherever_it_is_repeated(
    frame: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Forecaster(model="segrnn", **SETTINGS, precision="bfloat16").fit(frame)
    first.save(str(tmp_path / "store"))
    monkeypatch.setattr(precision, "_multiplies_natively", lambda device: False)
    again = Forecaster(
        model="segrnn", **{**SETTINGS, "steps": None}, plan=str(tmp_path / "store")
    ).fit(frame)
    assert again.plan_ == first.plan_
    pd.testing.assert_frame_equal(again.predict(), first.predict())
    assert Forecaster.load(str(tmp_path / "store")).precision == "bfloat16"


def test_a_plan_without_a_precision_is_one_in_float32(frame: pd.DataFrame, tmp_path: Path) -> None:
    Forecaster(model="lstm", **SETTINGS, precision="float32").fit(frame).save(
        str(tmp_path / "store")
    )
    config = next((tmp_path / "store").glob("v-*/config.json"))
    (member,) = json.loads(config.read_text())["plan"]["members"]
    assert member.pop("precision") == "float32"
    assert read_plan(str(config)).members == (Member(**member),)


@pytest.mark.parametrize("native", [True, False])
def test_auto_asks_the_processor_and_the_model(
    native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "_multiplies_natively", lambda device: native)
    monkeypatch.setattr(precision, "trains_in_bfloat16", lambda model, device: native)
    expected = "bfloat16" if native else "float32"

    def chosen(model: str, units: int, asked: str = "auto") -> str:
        candidate = Candidate(model=model, params={"hidden_size": units}, lookback=14)
        return chosen_precision(asked, candidate, CPU)  # type: ignore[arg-type]

    assert chosen("lstm", 128) == chosen("gru", 128) == expected
    assert chosen("lstm", 64) == chosen("segrnn", 128) == chosen("linear", 128) == "float32"
    assert chosen("gru", 16, "bfloat16") == "bfloat16"
    assert chosen("lstm", 128, "float32") == "float32"


@pytest.mark.usefixtures("without_lstm")
def test_a_precision_that_the_processor_lacks_is_refused_by_name(
    frame: pd.DataFrame, passengers: Path, tmp_path: Path, forecast: Callable[..., "object"]
) -> None:
    expected = "this machine cannot train lstm in bfloat16; pass precision='auto'"
    for asked in (
        {"model": "lstm"},
        {"model": "lstm", "steps": None, "members": None, "budget": 5},
    ):
        with pytest.raises(Unavailable, match=expected):
            Forecaster(**{**SETTINGS, **asked}, precision="bfloat16").fit(frame)
    assert (
        Forecaster(model="segrnn", **SETTINGS, precision="bfloat16")
        .fit(frame)
        .predict()
        .notna()
        .all(axis=None)
    )
    lstm = ("--model", "lstm", "--steps", 2, "--precision", "bfloat16")
    refused = forecast("fit", passengers, *lstm, "--artifact", tmp_path / "s")
    assert refused.code == 69
    assert "this machine cannot train lstm in bfloat16; pass --precision auto" in refused.err
    assert not list(tmp_path.glob("s/v-*"))


@pytest.mark.usefixtures("without_lstm")
def test_auto_does_not_choose_what_the_processor_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "_multiplies_natively", lambda device: True)
    candidates = [
        Candidate(model=model, params={"hidden_size": 128}, lookback=14)
        for model in ("lstm", "gru")
    ]
    assert [chosen_precision("auto", candidate, CPU) for candidate in candidates] == [
        "float32",
        "bfloat16",
    ]


@pytest.mark.usefixtures("without_lstm")
def test_a_plan_in_bfloat16_goes_on_in_float32_and_says_so(
    frame: pd.DataFrame, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = Forecaster(model="lstm", **SETTINGS).fit(frame)
    first.save(str(tmp_path / "store"))
    plan = lower(next((tmp_path / "store").glob("v-*/config.json")))
    again = Forecaster(model="lstm", **{**SETTINGS, "steps": None}, plan=str(plan)).fit(frame)
    assert (
        caplog.text.count("cannot train lstm in bfloat16, as was planned; training is in float32")
        == 1
    )
    assert again.plan_ == first.plan_
    pd.testing.assert_frame_equal(again.predict(), first.predict(), check_exact=True)
    repeated = Forecaster(model="lstm", **{**SETTINGS, "steps": None}, plan=str(plan))
    with pytest.raises(Unavailable, match="bfloat16"):
        repeated.set_params(precision="bfloat16").fit(frame)


def test_a_warm_start_from_bfloat16_goes_on_in_float32_and_says_so(
    frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first = Forecaster(model="segrnn", **SETTINGS, precision="bfloat16").fit(frame)
    monkeypatch.setattr(precision, "trains_in_bfloat16", lambda model, device: False)
    again = Forecaster(model="segrnn", **SETTINGS, warm_start=True).fit(frame, start=first)
    assert [(member.warm, member.precision) for member in again.plan_.members] == [(1, "float32")]
    assert caplog.text.count("cannot train segrnn in bfloat16") == 1


def test_a_fit_that_stopped_in_bfloat16_resumes_in_float32_and_says_so(
    passengers: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    forecast: Callable[..., "object"],
) -> None:
    monkeypatch.setattr(precision, "_multiplies_natively", lambda device: True)
    gru = (
        "--model",
        "gru",
        "-p",
        "hidden_size=96",
        "--lookback",
        6,
        "--steps",
        8,
        "--members",
        2,
        "--jobs",
        1,
    )
    words = ("fit", passengers, *gru, "--horizon", 6, "--artifact", tmp_path / "store")
    taken, real = [], TrainingState.take

    def take(self: TrainingState, batch: object) -> float:
        taken.append(self.member.precision)
        if len(taken) == 12:
            signal.raise_signal(signal.SIGTERM)
        return real(self, batch)  # type: ignore[arg-type]

    monkeypatch.setattr(TrainingState, "take", take)
    assert forecast(*words).code == 143
    assert set(taken) == {"bfloat16"}
    monkeypatch.setattr(precision, "trains_in_bfloat16", lambda model, device: False)
    resumed = forecast(*words, "--resume")
    assert resumed.code == 0, resumed.err
    assert resumed.err.count("cannot train gru in bfloat16") == 1
    assert "network 2 goes on from step 4 of 8" in resumed.err
    assert set(taken[12:]) == {"float32"}
    assert len(taken) == 16
    assert [
        member.precision for member in Forecaster.load(str(tmp_path / "store")).plan_.members
    ] == ["float32"] * 2
