"""A table as it is meant: a first column gets a name, rows below the data go, years by months are refused."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecast import Forecaster
from forecast.errors import BadData, UsageError
from forecast.panel.dated import normalise
from forecast.settings import TextSettings
from forecast.tables.reading import read_table
from tests.conftest import At, Run
from tests.jobs.a_job import Job, at, job

__all__ = ["at", "job"]

MONTHS = pd.date_range("2024-01-01", periods=12, freq="MS").month_name().tolist()
HEADERS = {
    "Jan": [month[:3] for month in MONTHS],
    "JAN.": [month[:3].upper() + "." for month in MONTHS],
    "January": MONTHS,
    "Q1": ["Q1", "Q2", "Q3", "Q4"],
}


@pytest.mark.parametrize("spelling", HEADERS)
def test_years_by_months_or_quarters_are_refused(spelling: str) -> None:
    headers = HEADERS[spelling]
    frame = pd.DataFrame(np.arange(8.0 * len(headers)).reshape(8, -1), columns=headers)
    frame.insert(0, "Year", range(1990, 1998))
    period = "month" if len(headers) == 12 else "quarter"
    message = f"years by {period}s have no column of times; write a row for each {period}"
    with pytest.raises(BadData, match=message):
        Forecaster(model="last").fit(frame)
    years_in_the_header = frame.set_index("Year").T.rename_axis("period").reset_index()
    with pytest.raises(BadData, match=message):
        Forecaster(model="last").fit(years_in_the_header)
    wide = Forecaster(model="last", layout="wide", time="Year", horizon=1).fit(frame)
    assert wide.schema_.series == tuple(headers)


@pytest.mark.parametrize(
    ("content", "name"),
    [(",y\n2024-01-01,1\n", "time"), (",y\n0,1\n1,2\n", "index"), (",a,b\nx,1,2\n", "index")],
)
def test_other_unnamed_first_columns_are_kept_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: str, name: str
) -> None:
    (tmp_path / "sales.csv").write_text(content)
    table = normalise(read_table(str(tmp_path / "sales.csv"), TextSettings()))
    assert table.frame.columns[0] == name
    assert f"called '{name}'" in caplog.text


def read(folder: Path, content: str) -> pd.DataFrame:
    (folder / "values.csv").write_text(content)
    return normalise(read_table(str(folder / "values.csv"), TextSettings())).frame


def test_rows_of_a_single_column_are_numbered_and_a_blank_line_is_a_missing_value(
    tmp_path: Path,
) -> None:
    frame = read(tmp_path, "y\n3\n4\n\n5.5\n")
    assert frame.columns.tolist() == ["index", "y"]
    present = frame[frame["y"] != ""]
    assert (present["index"].tolist(), present["y"].tolist()) == (
        ["1", "2", "4"],
        ["3", "4", "5.5"],
    )


@pytest.mark.parametrize(
    "content", ["day\n2024-01-01\n2024-01-02\n", "word\na\nb\n", "112\n118\n132\n", "year\n1\n2\n"]
)
def test_a_single_column_of_times_words_or_without_a_name_is_no_series(
    tmp_path: Path, content: str
) -> None:
    assert read(tmp_path, content).shape[1] == 1


@pytest.mark.parametrize(
    "kind", [np.asarray, pd.Series, lambda values: pd.DataFrame({"y": values})]
)
def test_values_without_times_are_forecast_and_continued(kind: type) -> None:
    values = np.arange(40.0) % 5
    model = Forecaster(model="seasonal-naive", season=5, horizon=3).fit(kind(values))
    table = model.predict(kind(values[:38]))
    assert table["index"].tolist() == [39, 40, 41]
    np.testing.assert_allclose(table["forecast"], [3.0, 4.0, 0.0])


def test_an_array_of_two_dimensions_is_refused() -> None:
    with pytest.raises(UsageError, match="one dimension, not ndarray"):
        Forecaster().fit(np.zeros((3, 3)))


def test_a_missing_header_is_named(tmp_path: Path) -> None:
    (tmp_path / "values.csv").write_text("112\n118\n132\n")
    with pytest.raises(BadData, match="the first line, '112', holds data and no header"):
        Forecaster().fit(read_table(str(tmp_path / "values.csv"), TextSettings()))


DAYS = "".join(f"2024-01-{day:02d},{day % 7},a\n" for day in range(1, 21))


@pytest.mark.parametrize(
    "below", ["Total,63,\n", ",63,Total\n", "Total,63,\nSource: the till 2024,,\n", "n/a,63,Sum\n"]
)
def test_rows_below_the_data_without_a_time_are_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, below: str
) -> None:
    frame = read(tmp_path, f"day,units,shop\n{DAYS}{below}")
    assert frame["day"].iloc[-1] == "2024-01-20"
    assert (
        "values.csv: left out rows without a time below the data (from line 22 on)" in caplog.text
    )


@pytest.mark.parametrize(
    "content",
    [
        f"day,units,shop\n{DAYS},6,a\n",  # a row whose time is missing
        f"day,units,shop\n{DAYS}n/a,6,\n",
        f"day,units,shop\nTotal,63,\n{DAYS}",
        "day,sold,units\n2024-01-01,2024-02-01,5\n2024-01-02,2024-02-02,5\n2024-01-03,open,5\n",
        "shop,1,2\na1,5,6\ntotal,5,6\n",
        "day,y\n2024-01-01,5\n2024-01-02,closed\n",
    ],
)
def test_no_other_row_is_left_out(tmp_path: Path, content: str) -> None:
    assert len(read(tmp_path, content)) == content.count("\n") - 1


@pytest.mark.parametrize("label", ["Total", None])
def test_a_total_of_a_frame_is_left_out_and_strict_refuses_it(label: str | None) -> None:
    days = [*pd.date_range("2024-01-01", periods=30).strftime("%Y-%m-%d"), label]
    frame = pd.DataFrame({"day": days, "units": [*np.arange(30.0), 435.0]})
    assert len(Forecaster(model="last", horizon=2).fit(frame).fitted_.history.values) == 32
    with pytest.raises(
        BadData, match=r"rows without a time below the data \(from row 31 on\); remove them"
    ):
        Forecaster(model="last", horizon=2, strict=True).fit(frame)


def test_columns_are_listed_in_one_text_in_files_of_jobs_and_in_python(
    job: Job, forecast: Run, at: At
) -> None:
    frame = job.table()
    pd.concat([frame.assign(item=item) for item in "ab"]).to_csv(
        job.folder / "sales.csv", index=False
    )
    job.write(table='id = "shop, item"\nseason = "7,14"', output='levels = "50,90"')
    ran = forecast("run", job.file, "--as-of", at(150))
    assert ran.code == 0, ran.err
    written = pd.read_csv(job.output)
    assert list(written) == ["shop", "item", "day", "forecast", "lo_50", "hi_50", "lo_90", "hi_90"]
    sales = pd.read_csv(job.folder / "sales.csv")
    assert Forecaster(model="last", horizon=2, id="shop,item").fit(sales).schema_.ids == (
        "shop",
        "item",
    )


@pytest.mark.parametrize("joint", [",", ", "])
def test_a_comma_may_be_part_of_the_name_of_a_column(job: Job, forecast: Run, joint: str) -> None:
    names = {"shop": f"shop{joint}north", "units": f"sales{joint}net"}
    frame = job.table().rename(columns=names)
    model = Forecaster(model="last", horizon=2, id=names["shop"], target=names["units"]).fit(frame)
    assert (model.schema_.ids, model.schema_.target) == ((names["shop"],), names["units"])
    frame.to_csv(job.folder / "sales.csv", index=False)
    words = "--id", names["shop"], "--target", names["units"]
    assert f"target   {names['units']}" in forecast("inspect", job.folder / "sales.csv", *words).out
