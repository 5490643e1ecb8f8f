"""Networks train in bfloat16 where it is asked for, or where machine and model gain by it; the plan says which."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from forecast import Forecaster
from forecast.inference.contents import read_plan
from forecast.tables.synthetic import synthesize
from forecast.training import precision
from forecast.training.plan import Candidate, Member
from forecast.training.precision import chosen_precision

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


@pytest.mark.parametrize("model", ["lstm", "segrnn", "deepar"])
def test_bfloat16_learns_as_float32_does_and_leaves_float32(frame: pd.DataFrame, model: str) -> None:
    low, full = (Forecaster(model=model, **SETTINGS, precision=name).fit(frame) for name in ("bfloat16", "float32"))
    assert [member.precision for member in low.plan_.members] == ["bfloat16"]
    losses = [fit.fitted_.config.validation[0] for fit in (low, full)]
    assert losses[0] == pytest.approx(losses[1], rel=0.1)
    assert losses[0] != losses[1]
    assert all(weights.dtype == np.float32 for weights in low.fitted_.network_weights[0].values())
    assert not low.predict().equals(full.predict())


def test_the_plan_repeats_the_precision_wherever_it_is_repeated(
    frame: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Forecaster(model="lstm", **SETTINGS, precision="bfloat16").fit(frame)
    first.save(str(tmp_path / "store"))
    monkeypatch.setattr(precision, "_multiplies_natively", lambda device: False)
    again = Forecaster(model="lstm", **{**SETTINGS, "steps": None}, plan=str(tmp_path / "store")).fit(frame)
    assert again.plan_ == first.plan_
    pd.testing.assert_frame_equal(again.predict(), first.predict())
    assert Forecaster.load(str(tmp_path / "store")).precision == "bfloat16"


def test_a_plan_in_float32_reads_as_it_always_did(frame: pd.DataFrame, tmp_path: Path) -> None:
    Forecaster(model="lstm", **SETTINGS, precision="float32").fit(frame).save(str(tmp_path / "store"))
    config = next((tmp_path / "store").glob("v-*/config.json"))
    (member,) = json.loads(config.read_text())["plan"]["members"]
    assert "precision" not in member
    assert read_plan(str(config)).members == (Member(**member),)


@pytest.mark.parametrize("native", [True, False])
def test_auto_asks_the_processor_and_the_model(native: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "_multiplies_natively", lambda device: native)
    expected = "bfloat16" if native else "float32"

    def chosen(model: str, units: int, asked: str = "auto") -> str:
        candidate = Candidate(model=model, params={"hidden_size": units}, lookback=14)
        return chosen_precision(asked, candidate, CPU)  # type: ignore[arg-type]

    assert chosen("lstm", 128) == chosen("gru", 128) == expected
    assert chosen("lstm", 64) == chosen("segrnn", 128) == chosen("linear", 128) == "float32"
    assert chosen("gru", 16, "bfloat16") == "bfloat16"
    assert chosen("lstm", 128, "float32") == "float32"
