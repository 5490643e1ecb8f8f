"""Forecasts that were made some time before are scored as pandas would from what was published."""

import json

import numpy as np
import pandas as pd
import pytest

from tests.conftest import At, Run
from tests.jobs.a_job import Job

FIRST, LAST, HORIZON, SEASON = 150, 166, 14, 7
TOTALS = '\n[[totals]]\nby = ["all", "shop"]\nevery = "week"\npath = "weeks.csv"\n'
MONITORING = '\n[monitoring]\nlag = "5d"\nlag_by = "shop"\npath = "gauges.prom"\n'
SCORES = ("error", "naive", "bias", "coverage_80", "coverage_95")


@pytest.fixture
def nights(job: Job, forecast: Run, at: At) -> pd.DataFrame:
    """What each night published, with the night; the newest night scores at a lag."""
    job.write(train='model = "theta"')
    text = job.file.read_text().replace('model = "seasonal-naive"\n', "")
    job.file.write_text(text.replace("horizon = 7", f"horizon = {HORIZON}") + TOTALS + MONITORING)
    published = []
    for night in range(FIRST, LAST + 1):
        ran = forecast("run", job.file, "--as-of", at(night))
        assert ran.code == 0, ran.err
        rows = pd.read_csv(job.output, parse_dates=["day"])
        weeks = pd.read_csv(job.folder / "weeks.csv", parse_dates=["day"]).assign(night=night)
        published.append(pd.concat([rows.assign(level=""), weeks]).assign(night=night))
    return pd.concat(published)


def scored(rows: pd.DataFrame) -> dict[str, float]:
    """Scores of rows with the columns `actual` and `naive`."""
    size = rows["actual"].abs().sum()
    error = rows["forecast"] - rows["actual"]
    inside = [
        rows["actual"].between(rows[f"lo_{level}"], rows[f"hi_{level}"]).mean()
        for level in (80, 95)
    ]
    naive = (rows["naive"] - rows["actual"]).abs().sum() / size
    return dict(
        zip(SCORES, (error.abs().sum() / size, naive, error.sum() / size, *inside), strict=True)
    )


def test_a_lag_shows_what_pandas_computes_from_what_was_published(
    job: Job, forecast: Run, nights: pd.DataFrame
) -> None:
    start = pd.Timestamp("2024-01-01")
    table = pd.read_csv(job.folder / "sales.csv", parse_dates=["day"])
    units = table.set_index(["shop", "day"])["units"]
    rows = nights[nights["level"] == ""].copy()
    rows["step"] = (rows["day"] - start).dt.days - rows["night"]
    known = start + pd.Timedelta(days=LAST)
    rows = rows[(rows["step"] >= 5) & (rows["day"] <= known)]
    rows = rows.sort_values("night").drop_duplicates(["shop", "day"], keep="last")
    back = pd.to_timedelta(SEASON * np.ceil(rows["step"] / SEASON), unit="D")
    rows["actual"] = units.loc[pd.MultiIndex.from_frame(rows[["shop", "day"]])].to_numpy()
    earlier = pd.MultiIndex.from_arrays([rows["shop"], rows["day"] - back])
    rows["naive"] = units.loc[earlier].to_numpy()

    status = forecast("status", job.file, "--lag", "5d", "--by", "shop", "--json")
    (state,) = json.loads(status.out)
    groups = {row["group"]: row for row in state["at_lag"]["groups"]}
    assert set(groups) == {"all", "north", "south"}
    for name, group in groups.items():
        mine = rows if name == "all" else rows[rows["shop"] == name]
        assert group["values"] == len(mine) == 12 * (2 if name == "all" else 1)
        assert {key: group[key] for key in SCORES} == pytest.approx(scored(mine))

    by_steps = json.loads(forecast("status", job.file, "--lag", 5, "--json").out)
    assert by_steps[0]["at_lag"]["groups"] == [groups["all"]]
    few = json.loads(forecast("status", job.file, "--lag", "5d", "--lag-over", "3d", "--json").out)
    recent = rows[rows["day"] > known - pd.Timedelta(days=3)]
    (row,) = few[0]["at_lag"]["groups"]
    assert {key: row[key] for key in SCORES} == pytest.approx(scored(recent))


def test_a_night_scores_what_its_file_asks_for_and_sums_are_scored_too(
    job: Job, forecast: Run, nights: pd.DataFrame
) -> None:
    start = pd.Timestamp("2024-01-01")
    units = pd.read_csv(job.folder / "sales.csv", parse_dates=["day"]).set_index("day")["units"]
    rows = nights[nights["level"] == "all/week"].copy()  # weeks are named by their last day
    newest_known = start + pd.to_timedelta(rows["night"], unit="D")
    rows = rows[(rows["day"] - pd.Timedelta(days=6) - newest_known).dt.days >= 4]
    rows = rows[rows["day"] <= start + pd.Timedelta(days=LAST)]
    rows = rows.sort_values("night").drop_duplicates("day", keep="last")
    assert len(rows) == 1
    week = pd.date_range(end=rows["day"].iloc[0], periods=7)
    ahead = (week[-1] - start).days - int(rows["night"].iloc[0])
    back = pd.Timedelta(days=SEASON * -(-ahead // SEASON))
    rows["actual"] = units.loc[week].sum()
    rows["naive"] = units.loc[week - back].sum()
    (state,) = json.loads(forecast("status", job.file, "--lag", "4d", "--json").out)
    (level,) = (row for row in state["at_lag"]["totals"] if row["group"] == "all/week")
    assert {key: level[key] for key in SCORES} == pytest.approx(scored(rows))

    recorded = job.record()["at_lag"]
    assert recorded["lag"] == "5d"
    assert recorded["groups"][0]["group"] == "all"
    assert recorded["groups"][0]["values"] == 2 * 12
    gauges = (job.folder / "gauges.prom").read_text()
    assert f'forecast_lag_error_ratio{{job="job"}} {recorded["groups"][0]["error"]!r}' in gauges
    shown = forecast("status", job.file).out
    assert "groups at 5d" in shown
    assert "day" in shown


@pytest.mark.parametrize(("lag", "words"), [("3x", "a duration is written"), ("0", "a duration")])
def test_a_lag_that_is_none_is_refused(job: Job, forecast: Run, lag: str, words: str) -> None:
    refused = forecast("status", job.file, "--lag", lag)
    assert refused.code == 2
    assert words in refused.err
    job.write(monitoring=f'lag = "{lag}"')
    refused = forecast("run", job.file, "--check")
    assert refused.code == 2
    assert "[monitoring] lag" in refused.err
