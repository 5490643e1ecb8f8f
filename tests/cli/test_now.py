"""Forecasts at once: nothing is trained or saved, and neither torch nor scikit-learn is needed."""

import io
import re
import shlex
import subprocess
import sys
from pathlib import Path
from shlex import split

import numpy as np
import pandas as pd
import pytest

from tests.bad_input.test_bad_input import CASES, FILES, Case, check_messages
from tests.cli._terminal import on_a_terminal
from tests.conftest import Run

BLOCKED = """
import sys
for name in ("torch", "sklearn", "scipy"):
    sys.modules[name] = None
from forecast.cli import main
main()
"""
REFUSED = [
    case
    for case in CASES
    if case.code == 65
    and case.scene == "nothing"
    and case.run.startswith("fit ")
    and case.row != 41
    if not any(word in case.run for word in ("quick", "--known", "--model", "--horizon"))
]


@pytest.fixture(scope="module")
def weeks() -> pd.DataFrame:
    """A wide table: two series with a week, 120 days."""
    day = np.arange(120)
    frame = pd.DataFrame({"day": pd.date_range("2024-01-01", periods=120).strftime("%Y-%m-%d")})
    noise = np.random.default_rng(0).normal(size=(2, 120))
    frame["a"] = np.round(50 + 10 * (day % 7 == 5) + noise[0], 2)
    frame["b"] = np.round(200 + day + 30 * (day % 7 == 6) + 3 * noise[1], 2)
    return frame


def test_passengers_are_forecast_well_and_nothing_is_written(
    forecast: Run, passengers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    past, whole = tmp_path / "past.csv", pd.read_csv(passengers)
    whole[:-18].to_csv(past, index=False)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    found = forecast("now", past)
    assert found.code == 0
    assert list(Path.cwd().iterdir()) == []
    for line in ("layout   wide", "season   12", "horizon  18", "model    ", "guard    error "):
        assert f"\n{line}" in f"\n{found.err}"
    assert "\nsaved" not in found.err
    actual = whole["passengers"][-18:].to_numpy(float)
    assert np.abs(found.frame["forecast"] / actual - 1).mean() < 0.08
    assert (found.frame["lo_80"] <= found.frame["hi_80"]).all()


def test_neither_torch_nor_scikit_learn_nor_scipy_is_needed(
    passengers: Path, tmp_path: Path
) -> None:
    words = ("now", passengers, "--quiet", "--levels", "80", "--integer")
    ended = subprocess.run(
        [sys.executable, "-c", BLOCKED, *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("series,month,forecast,lo_80,hi_80\npassengers,1961-01,4")


@pytest.mark.parametrize("level", ["0.5", "99.5"])
def test_levels_beyond_the_quantiles_are_refused_in_a_sentence(
    forecast: Run, passengers: Path, level: str
) -> None:
    refused = forecast("now", passengers, "--levels", f"80,{level}")
    assert refused.code == 2
    assert f"--levels {level}: intervals have levels of 1 to 99 percent" in refused.err


def test_an_interval_may_be_narrow_and_is_scored(
    forecast: Run, passengers: Path, tmp_path: Path
) -> None:
    lines = passengers.read_text().splitlines(keepends=True)
    (tmp_path / "past.csv").write_text("".join(lines[:-12]))
    words = (
        "now",
        tmp_path / "past.csv",
        *split("--horizon 12 --levels 1,33.3,99"),
        "--output",
        tmp_path / "made.csv",
    )
    assert forecast(*words).code == 0
    names = ["lo_99", "lo_33.3", "lo_1", "forecast", "hi_1", "hi_33.3", "hi_99"]
    assert (np.diff(pd.read_csv(tmp_path / "made.csv")[names].to_numpy(), axis=1) > 0).all()
    scored = forecast("score", tmp_path / "made.csv", passengers)
    assert scored.code == 0
    assert {"coverage_1", "width_1", "coverage_33.3", "coverage_99", "msis"} <= set(
        scored.frame.columns
    )


@pytest.mark.parametrize(
    "flags", [(), ("--explain", "--levels", "10,90", "--excel-safe", "--min", 60)]
)
def test_columns_and_numbers_are_those_of_a_saved_fit(
    forecast: Run, weeks: pd.DataFrame, tmp_path: Path, flags: tuple[object, ...]
) -> None:
    weeks.to_csv(tmp_path / "weeks.csv", index=False)
    at_once = forecast("now", tmp_path / "weeks.csv", *flags)
    fitted = forecast(
        "fit", tmp_path / "weeks.csv", "--model", "pretrained", "--artifact", tmp_path / "store"
    )
    saved = forecast("predict", "--artifact", tmp_path / "store", *flags)
    assert (at_once.code, fitted.code, saved.code) == (0, 0, 0)
    assert at_once.out == saved.out
    assert set(saved.err.splitlines()) <= set(at_once.err.splitlines())


def test_many_series_of_a_long_table_keep_their_ids_and_order(
    forecast: Run, weeks: pd.DataFrame, tmp_path: Path
) -> None:
    long = weeks.melt("day", var_name="shop", value_name="units").sort_values(
        ["shop", "day"], ascending=[False, True]
    )
    long.to_csv(tmp_path / "long.csv", index=False)
    found = forecast("now", tmp_path / "long.csv", "--horizon", 3, "--output", tmp_path / "out.csv")
    assert (found.code, found.out) == (0, "")
    written = pd.read_csv(tmp_path / "out.csv")
    assert list(written.columns[:3]) == ["shop", "day", "forecast"]
    assert written["shop"].tolist() == ["b"] * 3 + ["a"] * 3
    assert written["day"].tolist() == ["2024-04-30", "2024-05-01", "2024-05-02"] * 2


def test_rows_are_series(forecast: Run, weeks: pd.DataFrame, tmp_path: Path) -> None:
    pd.DataFrame([["x", *weeks["a"]], ["y", *weeks["b"]]]).to_csv(
        tmp_path / "rows.csv", index=False
    )
    found = forecast(
        "now", tmp_path / "rows.csv", "--layout", "rows", "--season", 7, "--horizon", 2, "--quiet"
    )
    assert (found.code, found.err) == (0, "")
    assert found.out.splitlines()[1].startswith("x,121,")


@pytest.mark.parametrize("values", [[5.0], [5.0, 6.0], [5.0, 6.0, 8.0]], ids=len)
def test_a_few_values_are_enough(forecast: Run, tmp_path: Path, values: list[float]) -> None:
    months = pd.date_range("2020-01-01", periods=len(values), freq="MS").strftime("%Y-%m")
    pd.DataFrame({"month": months, "v": values}).to_csv(tmp_path / "few.csv", index=False)
    found = forecast("now", tmp_path / "few.csv", "--freq", "MS", "--horizon", 2, "--explain")
    assert found.code == 0
    assert set(found.frame["model"]) == {"pretrained"}
    assert found.frame["forecast"].between(2, 12).all()
    if len(values) > 1:  # one value shows no change
        assert (found.frame["lo_95"] < found.frame["hi_95"]).all()


def test_the_future_does_not_reach_a_forecast(
    forecast: Run, weeks: pd.DataFrame, tmp_path: Path
) -> None:
    """What comes after a past that is cut off cannot be seen; a backtest cuts it off."""
    weeks.to_csv(tmp_path / "whole.csv", index=False)
    changed = weeks.copy()
    changed.loc[changed.index >= 106, ["a", "b"]] *= 7
    changed.to_csv(tmp_path / "changed.csv", index=False)
    flags = ("--model", "pretrained", "--horizon", 7, "--windows", 1, "--step", 7, "--season", 7)
    forecasts = []
    for name in ("whole", "changed"):
        file = tmp_path / f"{name}_forecasts.csv"
        assert (
            forecast(
                "backtest", tmp_path / f"{name}.csv", *flags, "--forecasts", file, "--quiet"
            ).code
            == 0
        )
        rows = pd.read_csv(file)
        forecasts.append(rows[rows["model"] == "pretrained"].drop(columns=["actual", "model"]))
    before = [frame[frame["origin"] <= "2024-04-15"].reset_index(drop=True) for frame in forecasts]
    pd.testing.assert_frame_equal(*before)


@pytest.mark.parametrize("flag", ["--past", "--static"])
def test_covariates_need_a_fit_and_help_does_not_list_them(
    forecast: Run, passengers: Path, flag: str
) -> None:
    found = forecast("now", passengers, flag, "x")
    assert (found.code, found.out) == (2, "")
    assert f"{flag}: " in found.err
    assert "`forecast fit`" in found.err
    assert flag not in forecast("now", "--help-all").out


def test_old_data_end_with_4(forecast: Run, passengers: Path) -> None:
    found = forecast("now", passengers, "--error-after", "60d", "--as-of", "1961-06-01T00:00")
    assert (found.code, found.out) == (4, "")


def test_an_output_that_is_the_table_is_refused(
    forecast: Run, weeks: pd.DataFrame, tmp_path: Path
) -> None:
    weeks.to_csv(tmp_path / "weeks.csv", index=False)
    before = (tmp_path / "weeks.csv").read_bytes()
    assert forecast("now", tmp_path / "weeks.csv", "--output", tmp_path / "weeks.csv").code == 2
    assert (tmp_path / "weeks.csv").read_bytes() == before


@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_bad_input_is_refused_as_by_fit(
    case: Case, forecast: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for word in case.run.split():
        if (FILES / word).is_file():
            (tmp_path / word).write_bytes((FILES / word).read_bytes())
    found = forecast("now", *shlex.split(case.run)[1:])
    assert (found.code, found.out) == (case.code, "")
    check_messages(found.err, case)


def test_events_act_without_a_fit(forecast: Run, tmp_path: Path) -> None:
    days = pd.date_range("2024-01-01", periods=200)
    sales = days[[20, 48, 77, 105, 133, 162, 190]]
    units = (
        100
        + 20 * (days.day_of_week >= 5)
        + 60 * days.isin(sales)
        + np.random.default_rng(0).normal(size=200)
    )
    pd.DataFrame({"day": days, "units": units})[:-14].to_csv(tmp_path / "units.csv", index=False)
    pd.DataFrame({"date": sales, "name": "sale"}).to_csv(tmp_path / "sales.csv", index=False)
    found = forecast(
        "now",
        tmp_path / "units.csv",
        "--events",
        tmp_path / "sales.csv",
        *split("--horizon 14 --quiet"),
    )
    assert found.code == 0
    ahead = pd.read_csv(io.StringIO(found.out), index_col="day", parse_dates=True)["forecast"]
    assert ahead[sales[-1]] - ahead[sales[-1] - pd.Timedelta("2D")] == pytest.approx(60, abs=20)


def test_an_output_that_is_the_table_of_events_is_refused(
    forecast: Run, weeks: pd.DataFrame, tmp_path: Path
) -> None:
    weeks.to_csv(tmp_path / "weeks.csv", index=False)
    (tmp_path / "events.csv").write_text("date,name\n2024-01-01,fair\n", encoding="utf-8")
    flags = ("--events", tmp_path / "events.csv", "--output", tmp_path / "events.csv")
    assert forecast("now", tmp_path / "weeks.csv", *flags).code == 2
    assert (tmp_path / "events.csv").read_text(encoding="utf-8").startswith("date,name")


def test_means_of_rare_sales_add_up_and_medians_say_that_they_do_not(
    forecast: Run, tmp_path: Path
) -> None:
    random = np.random.default_rng(0)
    sold = random.poisson(3, (60, 48)) * (random.random((60, 48)) < 0.25)  # 0.75 a month
    table = pd.DataFrame(sold, [f"part {row}" for row in range(60)]).rename_axis("part")
    table.to_csv(tmp_path / "parts.csv")
    words = "now", tmp_path / "parts.csv", "--layout", "rows", "--season", 12, "--horizon", 12
    medians, means = forecast(*words), forecast(*words, "--point", "mean")
    assert (
        "of 60 series add up to less than half of what is expected, as most values are 0; for totals pass --sum-by all"
        in (medians.err)
    )
    assert "add up to" not in means.err
    expected = 0.75 * 12 * 60
    assert medians.frame["forecast"].sum() < expected / 2
    assert means.frame["forecast"].sum() == pytest.approx(expected, rel=0.25)


@pytest.mark.slow
def test_a_season_of_a_day_in_steps_of_ten_seconds_is_smoothed_while_a_terminal_sees_how_far_it_is(
    tmp_path: Path,
) -> None:
    step = np.arange(3 * 8_640 + 360)
    phase = 2 * np.pi * step / 8_640
    truth = 50 + 10 * np.sin(phase) + 4 * np.cos(2 * phase) + 3 * np.sin(3 * phase)
    times = pd.date_range("2024-01-01", periods=len(step), freq="10s")
    table = pd.DataFrame(
        {"time": times, "y": truth + np.random.default_rng(3).normal(0, 3, len(step))}
    )
    table[:-360].to_csv(tmp_path / "day.csv", index=False)
    shown = on_a_terminal(
        [["now", "day.csv", "--horizon=360", "--season=8640", "--output=ahead.csv"]], tmp_path
    )
    assert shown.codes == [0]
    assert "compare" in shown.text
    assert re.search(r"\d+ of 11 baselines", shown.text)
    error = np.abs(pd.read_csv(tmp_path / "ahead.csv")["forecast"] - truth[-360:]).mean()
    assert error < 0.5  # yesterday's values have the noise of yesterday, 2.4


def test_sums_make_the_horizon_longer_up_to_what_a_forecaster_takes(
    forecast: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = pd.date_range("2023-01-01", "2024-01-10")
    pd.DataFrame({"day": days, "y": 5.0 + np.arange(len(days)) % 7}).to_csv(
        tmp_path / "d.csv", index=False
    )
    words = ("now", tmp_path / "d.csv", "--sum-every", "month", "--quiet")
    longer = forecast(*words)
    assert (longer.code, longer.out.count("/month,")) == (0, 2)
    monkeypatch.setattr("forecast.totals.periods.MOST_AHEAD", 20)
    refused = forecast(*words)
    assert refused.code == 2
    assert "the horizon of 14 steps does not reach the end of a month" in refused.err
    assert "--horizon 21" in refused.err


def test_a_plan_that_is_a_day_short_names_the_horizon_that_it_reaches(
    forecast: Run, tmp_path: Path
) -> None:
    days = pd.date_range("2024-01-01", periods=113)
    price = np.random.default_rng(0).random(len(days)).round(2)
    frame = pd.DataFrame({"day": days, "sold": 100 - 10 * price, "price": price})
    frame.loc[100:, "sold"] = np.nan
    frame.to_csv(tmp_path / "plan.csv", index=False)
    words = ("now", tmp_path / "plan.csv", "--target", "sold", "--known", "price")
    ran = forecast(*words, "--horizon", 14)
    assert ran.code == 65
    assert "pass --horizon 13, or" in ran.err
    assert forecast(*words, "--horizon", 13).code == 0
