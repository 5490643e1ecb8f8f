"""Large numbers come back with all their digits, from the table to the forecasts and the scores."""

from pathlib import Path
from shlex import split

import numpy as np
import pandas as pd
import pytest

from forecast import Forecaster
from forecast.panel.infer import read, read_as
from forecast.settings import TableSettings
from forecast.tables.reading import table_from_frame
from tests.conftest import Run

WEEK = [1234567890, 1234567891, 1234567893, 1234567899, 1234567877, 1234567890, 1234567881]


def daily(path: Path, values: object, **columns: object) -> Path:
    days = pd.date_range("2024-01-01", periods=len(values), freq="D").strftime("%Y-%m-%d")  # type: ignore[arg-type]
    pd.DataFrame({"day": days, "count": values, **columns}).to_csv(path, index=False)
    return path


@pytest.mark.parametrize("base", [0, 10**12, 10**15 - 2 * 10**9])
@pytest.mark.parametrize("data", [False, True], ids=["saved-series", "table"])
def test_counts_up_to_1e15_repeat_exactly_under_seasonal_naive(
    forecast: Run, tmp_path: Path, base: int, data: bool
) -> None:
    values = [base + week + count for week in range(0, 6) for count in WEEK]
    table, store = daily(tmp_path / "t.csv", values), tmp_path / "s"
    words = ("--model", "seasonal-naive", "--season", 7, "--horizon", 7)
    assert forecast("fit", table, "--artifact", store, *words).code == 0
    found = forecast("predict", *([table] if data else []), "--artifact", store)
    assert [int(float(line.split(",")[2])) for line in found.out.splitlines()[1:]] == values[-7:]
    assert found.frame["forecast"].tolist() == values[-7:]


@pytest.mark.parametrize(
    "value", [1234567890, 999999999999999, 1234567.89, 98765432101.25, -1234567890]
)
def test_a_last_value_is_repeated_as_it_was_read(
    forecast: Run, tmp_path: Path, value: float
) -> None:
    table, store = daily(tmp_path / "t.csv", [value + k for k in range(-20, 1)]), tmp_path / "s"
    assert forecast("fit", table, "--artifact", store, "--model", "last", "--horizon", 3).code == 0
    for data in ((), (table,)):
        assert set(forecast("predict", *data, "--artifact", store).frame["forecast"]) == {value}
    whole = forecast("predict", "--artifact", store, "--integer").out.splitlines()[1].split(",")[2]
    assert whole == str(round(value))


def test_actual_values_of_a_backtest_are_those_of_the_table(tmp_path: Path) -> None:
    values = [count + week for week in range(8) for count in WEEK]
    table = pd.read_csv(daily(tmp_path / "t.csv", values))
    model = Forecaster(model="seasonal-naive", season=7, horizon=7)
    found = model.backtest(table, windows=2, models="last").forecasts
    own = found[found["model"] == "seasonal-naive"]
    assert own["actual"].tolist() == values[-14:]
    assert own["forecast"].tolist() == values[-21:-7]


def test_score_measures_large_numbers_to_the_last_digit(forecast: Run, tmp_path: Path) -> None:
    values = [count + week for week in range(8) for count in WEEK]
    table, past, store = (
        daily(tmp_path / "t.csv", values),
        daily(tmp_path / "p.csv", values[:-7]),
        tmp_path / "s",
    )
    assert (
        forecast(
            "fit",
            past,
            "--artifact",
            store,
            *split("--model seasonal-naive --season 7 --horizon 7"),
        ).code
        == 0
    )
    assert forecast("predict", "--artifact", store, "--output", tmp_path / "f.csv").code == 0
    scored = forecast("score", tmp_path / "f.csv", table, "--season", 7, "--json")
    assert '"mae": 1.0' in scored.out
    assert '"mase": 1.0' in scored.out


def test_a_network_learns_a_series_at_1e9_as_well_as_one_at_zero() -> None:
    days = pd.date_range("2024-01-01", periods=120, freq="D")
    wave = np.tile([0.0, 3, 1, -2, 5, 4, -3], 18)[:120] + np.random.default_rng(0).normal(
        0, 0.1, 120
    )
    knobs = {
        "model": "segrnn",
        "steps": 40,
        "params": {"hidden_size": 8},
        "guard": False,
        "members": 1,
        "horizon": 7,
    }
    found = {}
    for base in (0.0, 1e9):
        model = Forecaster(**knobs, season=7).fit(pd.DataFrame({"day": days, "y": base + wave}))
        found[base] = model.predict()["forecast"].to_numpy() - base
    wanted = np.tile([0.0, 3, 1, -2, 5, 4, -3], 19)[120:127]
    assert np.abs(found[1e9] - wanted).mean() < 1.0
    assert np.abs(found[0.0] - wanted).mean() < 1.0


def test_a_covariate_of_large_numbers_keeps_what_it_says() -> None:
    days = pd.date_range("2024-01-01", periods=60, freq="D").strftime("%Y-%m-%d")
    frame = pd.DataFrame({"day": days, "y": np.arange(60.0), "meter": 1e9 + np.arange(60) % 7})
    table = table_from_frame(frame)
    schema = read(table, TableSettings(target="y", past="meter")).schema
    panel = read_as(table, schema, horizon=3).panel
    assert panel.past[:60, 0].tolist() == frame["meter"].tolist()
    from forecast.panel.schema import build_calendar
    from forecast.windows.inputs import fit_statistics, make_columns

    ready = make_columns(
        panel, schema, fit_statistics(panel, schema, panel.lengths), build_calendar(schema)
    )
    assert ready.past.dtype == np.float32
    assert abs(float(ready.past[:60].std()) - 1) < 0.01


def test_windows_are_single_precision_after_their_location_is_taken_away() -> None:
    from forecast.panel.panel import Panel
    from forecast.windows.windows import Columns, Windows

    values = 1e9 + np.arange(30) % 3
    none = np.zeros((30, 0))
    panel = Panel(
        ids=((),),
        order=np.zeros(1, np.int64),
        offsets=np.array([0, 30]),
        starts=np.zeros(1, np.int64),
        ahead=0,
        values=values,
        observed=np.ones(30, bool),
        known=none,
        past=none,
        static=np.zeros((1, 0)),
    )
    empty, codes = np.zeros((30, 0), np.float32), np.zeros((30, 0), np.int64)
    columns = Columns(
        empty, empty, empty[:1], codes, codes, codes[:1], empty[:1], 0, np.zeros(0, np.int64), 1
    )
    windows = Windows(panel, columns, 3, (3,), np.ones(1, np.int64)).cut(9, "standard")
    batch = windows.batch(np.array([0]), np.array([18]))
    assert (
        batch.past.dtype
        == batch.target.dtype
        == batch.seasonal.dtype
        == batch.weight.dtype
        == np.float32
    )
    back = batch.unscale(batch.target[..., None])
    np.testing.assert_allclose(back.ravel(), values[18:21], rtol=0, atol=1e-4)


@pytest.mark.parametrize("transform", ["log", "power"])
def test_a_transform_forecasts_large_numbers_as_it_does_small_ones(
    tmp_path: Path, transform: str
) -> None:
    days = pd.date_range("2024-01-01", periods=120, freq="D")
    wave = 100 + 5 * np.tile([0.0, 3, 1, -2, 5, 4, -3], 18)[:120]
    knobs = {
        "model": "segrnn",
        "steps": 20,
        "params": {"hidden_size": 8},
        "guard": False,
        "members": 1,
        "horizon": 7,
    }
    model = Forecaster(**knobs, season=7, transform=transform).fit(
        pd.DataFrame({"day": days, "y": 1e6 * wave})
    )
    model.save(str(tmp_path / "s"))
    saved = Forecaster.load(str(tmp_path / "s"))
    for found in (
        model.predict(),
        saved.predict(),
        saved.predict(pd.DataFrame({"day": days, "y": 1e6 * wave})),
    ):
        assert found["forecast"].between(50e6, 200e6).all()
