"""A table that lists only days with sales: `--missing zero` makes its absent rows zeros, everywhere alike."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecast import Forecaster
from forecast.panel.infer import read, read_as
from forecast.settings import TableSettings
from forecast.tables.reading import table_from_frame
from tests.conftest import Run

DAYS = pd.date_range("2024-01-01", periods=140, freq="D").strftime("%Y-%m-%d")


def sales(path: Path | None = None, days: int = 140) -> pd.DataFrame:
    """Three items, sold on about every sixth day; the last sale of the table is on its last day."""
    rng = np.random.default_rng(1)
    rows = [
        (item, DAYS[day], int(rng.integers(4, 9)))
        for item in ("a", "b", "c")
        for day in range(5 if item == "b" else 0, days)
        if rng.random() < 0.17
        or (item == "a" and day in (0, days - 1))
        or (item == "b" and day == 5)
    ]
    frame = pd.DataFrame(rows, columns=["item", "day", "sold"])
    if path is not None:
        frame.to_csv(path, index=False)
    return frame


def panel_of(frame: pd.DataFrame, origin: str | None = None, **flags: object):
    table = table_from_frame(frame, "sales.csv")
    return read_as(
        table, read(table, TableSettings(missing="zero", **flags)).schema, horizon=2, origin=origin
    ).panel


def past(panel, series: int = 0) -> list[float | None]:
    own = panel.slots(series)
    return [
        v if o else None
        for v, o in zip(panel.values[own].tolist(), panel.observed[own].tolist(), strict=True)
    ]


def test_a_table_of_sales_days_is_not_over_forecast(forecast: Run, tmp_path: Path) -> None:
    frame = sales(tmp_path / "s.csv")
    truth = frame["sold"].sum() / (3 * 140)
    said = {}
    for missing in ("unknown", "zero"):
        store = tmp_path / missing
        words = ("--model", "mean", "--horizon", 7, "--max-missing", 1, "--missing", missing)
        fitted = forecast("fit", tmp_path / "s.csv", "--artifact", store, *words)
        assert fitted.code == 0
        said[missing] = fitted.err
        for data in ((), (tmp_path / "s.csv",)):
            mean = forecast("predict", *data, "--artifact", store).frame["forecast"].mean()
            assert (mean < 1.2 * truth) == (missing == "zero"), (mean, truth)
    assert "are missing" in said["unknown"]
    assert "are missing" not in said["zero"]
    first = frame.groupby("item")["day"].min().map(list(DAYS).index)
    assert f"{3 * 140 - first.sum()} values" in said["zero"]


def test_fit_and_inspect_say_what_sparse_counts_look_like_and_which_flag_says_so(
    forecast: Run, tmp_path: Path
) -> None:
    sales(tmp_path / "s.csv")
    words = ("--artifact", tmp_path / "store", "--model", "last", "--max-missing", 1)
    for ran in (
        forecast("fit", tmp_path / "s.csv", *words),
        forecast("inspect", tmp_path / "s.csv", "--max-missing", 1),
    ):
        assert ran.code == 0
        assert "counts without zeros" in ran.err
        assert "80 % of the rows are absent" in ran.err
        assert "--missing zero" in ran.err
    assert (
        "without zeros"
        not in forecast("predict", tmp_path / "s.csv", "--artifact", tmp_path / "store").err
    )
    refused = forecast(
        "fit", tmp_path / "s.csv", "--artifact", tmp_path / "other", "--model", "last"
    )
    assert refused.code == 65
    assert "--missing zero" in refused.err.splitlines()[-1]
    assert "without zeros" not in forecast("inspect", tmp_path / "s.csv", "--missing", "zero").err


@pytest.mark.parametrize(
    "change", [lambda sold: sold / 2 + 0.25, lambda sold: sold - 6, lambda sold: sold * (sold > 5)]
)
def test_other_numbers_are_not_taken_for_counts(
    forecast: Run, tmp_path: Path, change: Callable
) -> None:
    frame = sales()
    frame.assign(sold=change(frame["sold"])).to_csv(tmp_path / "s.csv", index=False)
    assert "without zeros" not in forecast("inspect", tmp_path / "s.csv", "--max-missing", 1).err


def test_absent_rows_are_zeros_and_blank_cells_stay_unknown() -> None:
    rows = [("a", 0, 3), ("a", 2, None), ("a", 4, 5), ("b", 1, None), ("b", 3, 7), ("c", 5, 1)]
    frame = pd.DataFrame(
        [(item, DAYS[day], sold) for item, day, sold in rows], columns=["item", "day", "sold"]
    )
    panel = panel_of(frame, freq="D", id="item")
    assert past(panel, 0) == [3, 0, None, 0, 5, 0]
    assert past(panel, 1) == [None, 0, 7, 0, 0]
    assert past(panel, 2) == [1]


def test_a_time_that_is_absent_from_a_wide_table_is_zero_in_all_its_series() -> None:
    frame = pd.DataFrame(
        {"day": [DAYS[0], DAYS[1], DAYS[4], DAYS[5]], "a": [1, None, 2, 3], "b": [None, 4, 5, None]}
    )
    panel = panel_of(frame, freq="D")
    assert past(panel, 0) == [1, None, 0, 0, 2, 3]
    assert past(panel, 1) == [4, 0, 0, 5, None]


def test_an_origin_without_rows_is_a_day_without_sales() -> None:
    frame = pd.DataFrame({"day": [DAYS[0], DAYS[1], DAYS[6]], "sold": [1, 2, 3]})
    assert past(panel_of(frame, origin=DAYS[4], freq="D")) == [1, 2, 0, 0, 0]
    assert past(panel_of(frame, origin=DAYS[9], freq="D")) == [1, 2, 0, 0, 0, 0, 3]


def test_no_series_has_ended_for_want_of_rows(forecast: Run, tmp_path: Path) -> None:
    frame = sales()
    frame = frame[(frame["item"] != "c") | (frame["day"] < DAYS[40])]
    frame.to_csv(tmp_path / "s.csv", index=False)
    words = ("--model", "last", "--horizon", 3)
    zero = forecast(
        "fit", tmp_path / "s.csv", "--artifact", tmp_path / "z", *words, "--missing", "zero"
    )
    assert "have ended" not in zero.err
    assert "warning" not in zero.err
    assert set(
        forecast("predict", tmp_path / "s.csv", "--artifact", tmp_path / "z").frame["item"]
    ) == {"a", "b", "c"}


@pytest.mark.parametrize(
    ("how", "zero", "unknown"),
    [
        ("sum", [6, 0, 4, 24], [6, None, 4, 24]),
        ("mean", [0.25, 0, 4 / 24, 1], [3, None, 4, 1]),
        ("last", [0, 0, 4, 1], [4, None, 4, 1]),
    ],
)
def test_aggregation_follows_the_flag(
    how: str, zero: list[float], unknown: list[float | None]
) -> None:
    hours = [(0, 0, 2), (0, 7, 4), (2, 23, 4), *((3, hour, 1) for hour in range(24))]
    frame = pd.DataFrame(
        [(f"2024-01-0{day + 1} {hour:02}:00", sold) for day, hour, sold in hours],
        columns=["t", "y"],
    )
    assert past(panel_of(frame, freq="D", aggregate=how)) == pytest.approx(zero)
    table = table_from_frame(frame)
    schema = read(table, TableSettings(freq="D", aggregate=how)).schema
    assert past(read_as(table, schema, horizon=2).panel) == unknown


def test_sums_of_days_without_rows_lack_nothing_but_those_with_blank_cells_do(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rows = [(day, 1.0) for day in range(0, 60) if day % 3 == 0 or day > 28]
    frame = pd.DataFrame([(DAYS[day], sold) for day, sold in rows], columns=["day", "sold"])
    assert past(panel_of(frame, freq="MS", aggregate="sum")) == [12, 29]
    assert "lack values" not in caplog.text
    panel_of(
        frame.assign(sold=frame["sold"].where(frame["day"] != DAYS[3])), freq="MS", aggregate="sum"
    )
    assert "1 of 2 sums lack values" in caplog.text


def test_backtest_counts_days_without_rows_as_zeros(forecast: Run, tmp_path: Path) -> None:
    frame = sales()
    model = Forecaster(model="mean", missing="zero", horizon=7)
    found = model.backtest(frame, windows=3, models="mean").forecasts
    assert found["actual"].notna().all()
    assert (found["actual"] == 0).mean() > 0.6
    own = found[found["model"] == "mean"]
    assert abs(own["forecast"].mean() - frame["sold"].sum() / 420) < 0.3


def test_score_counts_absent_rows_of_the_actual_table_as_zeros(
    forecast: Run, tmp_path: Path
) -> None:
    sales(tmp_path / "all.csv")
    sales(days=133).to_csv(tmp_path / "past.csv", index=False)
    words = ("--model", "mean", "--horizon", 7, "--missing", "zero")
    assert forecast("fit", tmp_path / "past.csv", "--artifact", tmp_path / "s", *words).code == 0
    assert (
        forecast("predict", "--artifact", tmp_path / "s", "--output", tmp_path / "f.csv").code == 0
    )
    zero = forecast(
        "score", tmp_path / "f.csv", tmp_path / "all.csv", "--missing", "zero", "--json"
    )
    assert json.loads(zero.out)["values"] == 21
    unknown = forecast("score", tmp_path / "f.csv", tmp_path / "all.csv", "--json")
    assert json.loads(unknown.out)["values"] < 10


def test_the_score_of_a_forecaster_counts_absent_rows_as_zeros() -> None:
    frame = sales()
    model = Forecaster(model="mean", missing="zero", horizon=7).fit(
        frame[frame["day"] <= DAYS[132]]
    )
    assert model.score(frame) == pytest.approx(model.score(frame[frame["day"] > DAYS[120]]))
    later = frame[frame["day"] > DAYS[132]]
    assert model.score(later) == pytest.approx(model.score(frame))


def test_run_reads_tonights_table_as_its_job_says(forecast: Run, tmp_path: Path) -> None:
    sales(tmp_path / "s.csv")
    (tmp_path / "job.toml").write_text(
        'store = "store"\n[source]\npath = "s.csv"\nunfinished = "keep"\n[table]\nmissing = "zero"\n'
        '[train]\nmodel = "mean"\nhorizon = 7\n[sink]\npath = "out.csv"\n'
    )
    assert forecast("run", tmp_path / "job.toml", "--as-of", "2024-06-01").code == 0
    found = pd.read_csv(tmp_path / "out.csv")
    assert found["forecast"].max() < 2
    assert (
        json.loads(forecast("inspect", "--artifact", tmp_path / "store", "--json").out)["table"][
            "missing"
        ]
        == "zero"
    )


def test_a_table_of_one_series_a_row_has_no_absent_rows(forecast: Run, tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("id,1,2,3,4,5,6\na,1,2,3,4,5,6\nb,1,2,3,4,5,6\n")
    refused = forecast("fit", tmp_path / "r.csv", "--missing", "zero", "--artifact", tmp_path / "s")
    assert refused.code == 2
    assert (
        "a table with one series a row (--layout rows) has ids, steps and nothing else"
        in refused.err
    )
