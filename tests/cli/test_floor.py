"""Series that are never below zero get no forecast below zero, unless someone asks for it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecast import Forecaster
from tests.conftest import Run

NUMBERS = ["forecast", "lo_80", "hi_80", "lo_95", "hi_95"]
CURE = ", as they were never negative; --min -inf turns this off"
MEAN = ("--model", "mean", "--horizon", 5)


def rain(length: int = 90, seed: int = 0) -> np.ndarray:
    """Mostly nothing, now and then a lot: symmetrical intervals would reach far below 0."""
    rng = np.random.default_rng(seed)
    return np.round(np.where(rng.random(length) < 0.25, rng.gamma(1.0, 20.0, length), 0.0), 1)


def write(path: Path, **series: np.ndarray) -> Path:
    length = max(map(len, series.values()))
    days = pd.date_range("2024-01-01", periods=length, freq="D").strftime("%Y-%m-%d")
    pd.DataFrame({"day": days, **series}).to_csv(path, index=False)
    return path


def lowest(frame: pd.DataFrame, name: str = "rain") -> float:
    return float(frame.loc[frame["series"] == name, NUMBERS].min().min())


def nested(frame: pd.DataFrame) -> bool:
    ordered = frame[["lo_95", "lo_80", "forecast", "hi_80", "hi_95"]].to_numpy()
    return bool((np.diff(ordered) >= 0).all())


def test_forecasts_of_what_is_never_below_zero_are_not_below_zero(
    forecast: Run, tmp_path: Path
) -> None:
    table, store = write(tmp_path / "r.csv", rain=rain(), snow=rain(seed=1)), tmp_path / "s"
    assert forecast("fit", table, "--artifact", store, *MEAN).code == 0
    for data in ((), (table,)):
        found = forecast("predict", *data, "--artifact", store)
        assert lowest(found.frame) == 0
        assert nested(found.frame)
        assert f"lower ends of intervals of 2 of 2 series are cut at 0{CURE}" in found.err
        assert "forecasts of" not in found.err  # their medians lie above 0
        free = forecast("predict", *data, "--artifact", store, "--min", "-inf")
        assert lowest(free.frame) < -3
        assert "at 0" not in free.err
        pd.testing.assert_frame_equal(found.frame[NUMBERS], free.frame[NUMBERS].clip(lower=0))
        own = forecast("predict", *data, "--artifact", store, "--min", "-2.5")
        assert lowest(own.frame) == -2.5
        assert "at 0" not in own.err


def test_the_bound_is_that_of_each_series(forecast: Run, tmp_path: Path) -> None:
    table, store = write(tmp_path / "r.csv", rain=rain(), heat=rain(seed=1) - 5), tmp_path / "s"
    assert forecast("fit", table, "--artifact", store, *MEAN).code == 0
    found = forecast("predict", "--artifact", store)
    assert lowest(found.frame) == 0
    assert lowest(found.frame, "heat") < -5
    assert f"lower ends of intervals of 1 of 2 series are cut at 0{CURE}" in found.err


def test_medians_below_zero_are_named_as_such(forecast: Run, tmp_path: Path) -> None:
    falling = write(tmp_path / "f.csv", fall=np.arange(40.0, 0, -1), level=100 + rain(40))
    assert (
        forecast(
            "fit", falling, "--artifact", tmp_path / "s", "--model", "drift", "--horizon", 5
        ).code
        == 0
    )
    found = forecast("predict", "--artifact", tmp_path / "s").err
    assert f"forecasts of 1 of 2 series would end below 0, and end at 0{CURE}" in found
    assert "lower ends" not in found


def test_nothing_is_said_where_no_number_changes(forecast: Run, tmp_path: Path) -> None:
    table, store = write(tmp_path / "r.csv", level=100 + rain()), tmp_path / "s"
    assert forecast("fit", table, "--artifact", store, *MEAN).code == 0
    assert "at 0" not in forecast("predict", "--artifact", store).err


def test_one_value_below_zero_long_ago_lifts_the_bound(forecast: Run, tmp_path: Path) -> None:
    longer = np.concatenate([[-1.0], rain(600)])
    table, store = write(tmp_path / "r.csv", rain=longer), tmp_path / "s"
    assert forecast("fit", table, "--artifact", store, *MEAN, "--lookback", 10).code == 0
    assert lowest(forecast("predict", "--artifact", store).frame) < 0
    later = write(tmp_path / "later.csv", rain=longer[1:])
    assert lowest(forecast("predict", later, "--artifact", store).frame) < 0  # the fit has seen it


def test_a_value_below_zero_in_tonights_table_lifts_the_bound(
    forecast: Run, tmp_path: Path
) -> None:
    table, store = write(tmp_path / "r.csv", rain=rain()), tmp_path / "s"
    assert forecast("fit", table, "--artifact", store, *MEAN).code == 0
    tonight = write(tmp_path / "t.csv", rain=np.concatenate([rain(), [-0.5]]))
    assert lowest(forecast("predict", tonight, "--artifact", store).frame) < -1


def test_backtest_measures_bounded_forecasts(
    forecast: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="forecast")
    frame = pd.read_csv(write(tmp_path / "r.csv", rain=rain(), heat=rain(seed=1) - 5))
    model = Forecaster(model="mean", horizon=5)
    found = model.backtest(frame, windows=3, models=("mean", "drift")).forecasts
    assert set(found["model"]) == {"seasonal-naive", "mean", "drift"}
    assert lowest(found) == 0
    assert lowest(found, "heat") < -5
    assert caplog.text.count("are cut at 0") == 1
    assert "--min" not in caplog.text  # which a backtest does not take
    frozen = model.fit(frame).backtest(frame, windows=2, frozen=True).forecasts
    assert lowest(frozen) == 0
    assert lowest(frozen, "heat") < -5


def test_a_backtest_does_not_know_at_an_origin_what_comes_below_zero_later(tmp_path: Path) -> None:
    frame = pd.read_csv(write(tmp_path / "r.csv", rain=np.concatenate([rain(), [-30.0], rain(9)])))
    found = Forecaster(model="mean", horizon=5).backtest(frame, windows=2, models="mean").forecasts
    first, second = (part for _, part in found[found["model"] == "mean"].groupby("origin"))
    assert lowest(first) == 0
    assert lowest(second) < 0


def test_run_writes_bounded_forecasts_unless_its_file_says_minus_inf(
    forecast: Run, tmp_path: Path
) -> None:
    write(tmp_path / "r.csv", rain=rain())
    job = (
        'store = "{0}"\n[source]\npath = "r.csv"\nunfinished = "keep"\n[train]\nmodel = "mean"\nhorizon = 5\n'
        '[output]\n{1}\n[sink]\npath = "{0}.csv"\n'
    )
    for name, line in (("plain", ""), ("free", "min = -inf")):
        (tmp_path / f"{name}.toml").write_text(job.format(name, line))
        assert forecast("run", tmp_path / f"{name}.toml", "--as-of", "2024-04-01").code == 0
    assert lowest(pd.read_csv(tmp_path / "plain.csv")) == 0
    assert lowest(pd.read_csv(tmp_path / "free.csv")) < -5


def test_python_takes_a_bound_too(tmp_path: Path) -> None:
    model = Forecaster(model="mean", horizon=5).fit(
        pd.read_csv(write(tmp_path / "r.csv", rain=rain()))
    )
    assert lowest(model.predict()) == 0
    assert lowest(model.predict(min=float("-inf"))) < -5
    assert lowest(model.predict(min=1.0)) == 1


@pytest.mark.parametrize("bound", ["nan", "inf", "x"])
def test_a_bound_that_is_none_is_refused(forecast: Run, store: Path, bound: str) -> None:
    assert forecast("predict", "--artifact", store, "--min", bound).code == 2
