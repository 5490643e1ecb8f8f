"""`forecast run`: all or nothing, repeatable, and written down."""

import json
import sqlite3
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecast.jobs.databases import upsert
from tests.conftest import Ran
from tests.jobs.a_job import Job

Run = Callable[..., Ran]
At = Callable[[int], str]
Rows = Callable[[str, str], list[tuple[object, ...]]]


def test_a_run_fits_forecasts_writes_and_records(job: Job, forecast: Run, at: At) -> None:
    ran = forecast("run", job.file, "--as-of", at(199))
    assert ran.code == 0, ran.err
    table = pd.read_csv(job.output)
    assert list(table.columns) == ["shop", "day", "forecast", "lo_80", "hi_80", "lo_95", "hi_95"]
    assert len(table) == 14
    assert table["day"].min() == "2024-07-19"
    record = job.record()
    assert record["exit_code"] == 0
    assert record["counts"] == {"series": 2, "rows": 14, "skipped": 0}
    assert record["version"] in ran.err
    assert record["fit"]["why"] == "there is no version yet"
    assert record["input"]["rows"] == 400
    assert len(record["input"]["sha256"]) == 64
    assert job.ledger("SELECT count(*) FROM forecast_values") == [(14,)]
    assert job.ledger("SELECT as_of, exit_code FROM forecast_runs") == [("2024-07-19T12:00:00Z", 0)]


def test_the_same_as_of_gives_the_same_bytes_even_after_later_runs_and_later_rows(
    job: Job, forecast: Run, at: At
) -> None:
    job.write(sink='url = "sqlite:///f.db"\ntable = "forecasts"', top='refit = "daily"')
    for day in (150, 151, 152):
        assert forecast("run", job.file, "--as-of", at(day)).code == 0
    assert forecast("run", job.file, "--as-of", at(160)).code == 0
    first, rows = job.output.read_bytes(), _rows(job.folder / "f.db")
    assert forecast("run", job.file, "--as-of", at(170)).code == 0
    assert job.output.read_bytes() != first
    job.table(days=230)
    again = forecast("run", job.file, "--as-of", at(160))
    assert again.code == 0, again.err
    assert job.output.read_bytes() == first
    assert [row for row in _rows(job.folder / "f.db") if row in rows] == rows


def test_times_in_several_columns_reach_the_file_and_the_database(job: Job, forecast: Run, at: At) -> None:
    day = pd.to_datetime(job.table()["day"])
    frame = job.table().assign(year=day.dt.year, month=day.dt.month, day=day.dt.day)
    frame[["shop", "year", "month", "day", "units"]].to_csv(job.folder / "sales.csv", index=False)
    job.write(sink='url = "sqlite:///f.db"\ntable = "forecasts"', table='time = ["year", "month", "day"]')
    for number in (150, 151):
        assert forecast("run", job.file, "--as-of", at(number)).code == 0
    table = pd.read_csv(job.output)
    assert list(table.columns[:4]) == ["shop", "year", "month", "day"]
    assert table[["year", "month", "day"]].iloc[0].tolist() == [2024, 6, 1]
    with sqlite3.connect(job.folder / "f.db") as connection:
        found = connection.execute(
            "SELECT year, month, day, origin FROM forecasts ORDER BY origin, month, day"
        ).fetchall()
    assert len(found) == 28
    assert found[0] == (2024, 5, 31, "2024-05-30 00:00:00")


def test_no_row_later_than_the_as_of_is_read(job: Job, forecast: Run, at: At) -> None:
    forecast("run", job.file, "--as-of", at(120))
    first = job.output.read_bytes()
    frame = job.table()
    late = frame["day"] > "2024-04-30"
    frame.loc[late, "units"] = 10_000.0
    frame.to_csv(job.folder / "sales.csv", index=False)
    other = Job(job.folder)
    other.write(top='name = "other"')
    assert forecast("run", job.file, "--as-of", at(120)).code == 0
    assert job.output.read_bytes() == first


def test_columns_known_in_advance_are_read_beyond_the_as_of_and_targets_are_not(
    job: Job, forecast: Run, at: At
) -> None:
    frame = job.table()
    frame["promo"] = frame["day"].str[-1].isin(["1", "5"]).astype(int)
    frame.to_csv(job.folder / "sales.csv", index=False)
    job.write(train="steps = 3", table='known = ["promo"]')
    job.file.write_text(job.file.read_text().replace("seasonal-naive", "linear"))
    ran = forecast("run", job.file, "--as-of", at(150))
    assert ran.code == 0, ran.err
    first = job.output.read_bytes()
    frame.loc[frame["day"] > "2024-05-30", "units"] = -77.0
    frame.to_csv(job.folder / "sales.csv", index=False)
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    assert job.output.read_bytes() == first


def test_a_refit_is_due_after_its_days_and_when_settings_change(job: Job, forecast: Run, at: At) -> None:
    job.write(top='refit = "every 3 days"')
    why = []
    for day in (150, 151, 152, 153, 154):
        assert forecast("run", job.file, "--as-of", at(day)).code == 0
        why.append(job.record()["fit"].get("why"))
    assert why == ["there is no version yet", None, None, "the last fit is 3.0 days old", None]
    job.write(top='refit = "every 3 days"', train='season = "none"'.replace('season = "none"', 'metric = "mae"'))
    forecast("run", job.file, "--as-of", at(155))
    assert job.record()["fit"]["why"] == "the settings changed"
    job.write(top='refit = "never"')
    forecast("run", job.file, "--as-of", at(190))
    assert job.record()["fit"] == {}


def test_a_warm_start_goes_on_from_the_live_version(job: Job, forecast: Run, at: At) -> None:
    job.write(top='refit = "daily"', train="steps = 8\nwarm_start = true\nguard = false")
    job.file.write_text(job.file.read_text().replace('"seasonal-naive"', '"linear"'))
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    assert forecast("run", job.file, "--as-of", at(151)).code == 0
    first, second = (
        json.loads((job.store / version / "config.json").read_text())["plan"]
        for version in sorted(path.name for path in job.store.glob("v-*"))
    )
    assert first["started_from"] is None
    assert second["started_from"] is not None


def test_when_worse_fits_anew_after_forecasts_have_failed(job: Job, forecast: Run, at: At) -> None:
    job.write(top='refit = "when worse"')
    for day in range(150, 156):
        forecast("run", job.file, "--as-of", at(day))
    assert job.record()["fit"] == {}
    frame = job.table()
    late = frame["day"] >= "2024-06-06"
    frame.loc[late, "units"] += 200 * (frame.loc[late, "day"].str[-1].astype(int) % 2)
    frame.to_csv(job.folder / "sales.csv", index=False)
    reasons = []
    for day in range(158, 172, 2):
        assert forecast("run", job.file, "--as-of", at(day)).code == 0
        reasons.append(job.record()["fit"].get("why"))
    assert any(reason and reason.startswith("MASE") for reason in reasons)


def test_when_worse_takes_no_single_bad_day_for_a_worse_version(job: Job, forecast: Run, at: At) -> None:
    job.write(top='refit = "when worse"')
    job.file.write_text(job.file.read_text().replace("seasonal-naive", "seasonal-mean"))
    frame = job.table()
    frame.loc[frame["day"] == "2024-06-25", "units"] += 100
    frame.to_csv(job.folder / "sales.csv", index=False)
    for day in (150, *range(154, 192, 3)):
        assert forecast("run", job.file, "--as-of", at(day)).code == 0
        assert bool(job.record()["fit"]) is (day == 150)


def test_when_worse_does_not_blame_a_new_version_for_what_the_one_before_it_missed(
    job: Job, forecast: Run, at: At
) -> None:
    job.write(top='refit = "when worse"')
    frame = job.table()
    late = frame["day"] >= "2024-06-01"
    frame.loc[late, "units"] = 3 * frame.loc[late, "units"]
    frame.to_csv(job.folder / "sales.csv", index=False)
    fitted = []
    for day in (150, *range(158, 190, 2)):
        assert forecast("run", job.file, "--as-of", at(day)).code == 0
        if job.record()["fit"]:
            fitted.append(day)
    assert fitted[0] == 150
    assert len(fitted) > 1
    assert all(later - earlier > 7 for earlier, later in pairwise(fitted))


def test_the_gate_keeps_a_worse_fit_from_going_live_and_the_run_ends_well(job: Job, forecast: Run, at: At) -> None:
    job.write(top='refit = "daily"')
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    live = job.record()["version"]
    job.file.write_text(job.file.read_text().replace('"seasonal-naive"', '"mean"'))
    ran = forecast("run", job.file, "--as-of", at(160))
    record = job.record()
    assert ran.code == 0, ran.err
    assert record["version"] == live
    assert record["fit"]["promoted"] is False
    assert "does not go live" in ran.err
    assert "MASE" in record["fit"]["verdict"]
    listed = json.loads(forecast("versions", "--artifact", job.store, "--json").out)
    assert [(one["version"], one["live"]) for one in listed] == [(live, True), (record["fit"]["version"], False)]
    assert "not live: MASE" in listed[1]["note"]
    assert forecast("promote", listed[1]["version"], "--artifact", job.store).code == 0
    assert json.loads(forecast("versions", "--artifact", job.store, "--json").out)[1]["live"]
    back = forecast("rollback", "--artifact", job.store)
    assert back.code == 0
    assert live in back.err
    assert forecast("rollback", "--artifact", job.store).code == 66


def test_an_earlier_instant_is_served_by_a_version_that_had_not_seen_later_values(
    job: Job, forecast: Run, at: At
) -> None:
    job.write(top='refit = "daily"')
    versions = []
    for day in (150, 151, 152):
        forecast("run", job.file, "--as-of", at(day))
        versions.append(job.record()["version"])
    job.write(top='refit = "never"\nname = "backfill"')
    forecast("run", job.file, "--as-of", "2024-05-31T21:00:00+00:00")
    assert job.record()["version"] == versions[1]
    assert json.loads(forecast("versions", "--artifact", job.store, "--json").out)[-1]["live"]


def test_stale_data_end_with_4_and_leave_the_output_alone(job: Job, forecast: Run, at: At) -> None:
    assert forecast("run", job.file, "--as-of", at(199)).code == 0
    before = job.output.read_bytes()
    job.write(checks='error_after = "3d"')
    ran = forecast("run", job.file, "--as-of", at(210))
    assert ran.code == 4
    assert "sales.csv: the newest value is 11.5 days old" in ran.err
    assert job.output.read_bytes() == before
    assert job.record()["exit_code"] == 4
    status = forecast("status", job.file)
    assert status.code == 4
    assert "days old" in status.out
    job.write(checks='warn_after = "3d"')
    ran = forecast("run", job.file, "--as-of", at(210))
    assert ran.code == 0
    assert "--warn-after 3d" in ran.err
    assert any("--warn-after" in text for text in job.record()["warnings"])


def test_predict_knows_the_limits_of_age_too(job: Job, forecast: Run, at: At) -> None:
    forecast("run", job.file, "--as-of", at(199))
    words = ("predict", job.folder / "sales.csv", "--artifact", job.store, "--as-of", at(205))
    assert forecast(*words, "--warn-after", "30h", "--error-after", "9d").err.count("6.5 days old") == 1
    stale = forecast(*words, "--error-after", "30h")
    assert stale.code == 4
    assert stale.out == ""
    assert forecast(*words, "--error-after", "soon").code == 2


def test_status_is_for_a_monitor(job: Job, forecast: Run, at: At) -> None:
    assert forecast("status", job.file).code == 66
    for day in (150, 153, 156):
        forecast("run", job.file, "--as-of", at(day))
    ran = forecast("status", job.file, "--json")
    (state,) = json.loads(ran.out)
    assert ran.code == 0
    assert state["said"] == "all is well"
    assert len(state["runs"]) == 3
    assert [day["day"] for day in state["days"]] == [f"2024-06-0{n}" for n in (5, 4, 3, 2, 1)] + ["2024-05-31"]
    assert all(day["mase"] > 0 and 0 <= day["coverage_80"] <= 1 for day in state["days"])
    assert forecast("status", "--artifact", job.store).code == 0
    (job.folder / "sales.csv").unlink()
    assert forecast("run", job.file, "--as-of", at(157)).code == 66
    failed = forecast("status", job.file)
    assert failed.code == 3
    assert "does not exist" in failed.out


def test_vanished_ids_moved_levels_and_new_ids_are_said_and_recorded(job: Job, forecast: Run, at: At) -> None:
    job.write(top='refit = "never"', checks="require_all = true")
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    frame = job.table()
    frame["shop"] = frame["shop"].replace({"south": "east"})
    frame["units"] *= 20
    frame.to_csv(job.folder / "sales.csv", index=False)
    ran = forecast("run", job.file, "--as-of", at(160))
    assert ran.code == 3
    said = "\n".join(job.record()["warnings"])
    assert "not seen at fit (east)" in said
    assert "not here (south)" in said
    assert "tenfold" in said
    assert job.record()["skipped"] == {"south": "gone"}
    assert set(pd.read_csv(job.output)["shop"]) == {"north", "east"}


def test_a_source_that_changes_its_ways_is_noticed(job: Job, forecast: Run, at: At) -> None:
    job.write(top='refit = "never"')
    forecast("run", job.file, "--as-of", at(120))
    forecast("run", job.file, "--as-of", at(160))
    assert not any("Kolmogorov" in text for text in job.record()["warnings"])
    assert job.record()["drift"]["statistic"] < 0.3
    frame = job.table()
    late = frame["day"] > "2024-04-30"
    frame.loc[late, "units"] *= 1 + 0.8 * (frame.loc[late, "day"].str[-1].astype(int) % 2)
    frame.to_csv(job.folder / "sales.csv", index=False)
    assert forecast("run", job.file, "--as-of", at(160)).code == 0
    assert any("Kolmogorov" in text for text in job.record()["warnings"])


def test_values_that_stay_away_are_said(job: Job, forecast: Run, at: At) -> None:
    job.write(top='refit = "never"')
    forecast("run", job.file, "--as-of", at(150))
    frame = job.table()
    gone = (frame["day"] > "2024-05-31") & (frame["day"].str[-1].astype(int) % 3 > 0) & (frame["day"] < "2024-06-08")
    frame[~gone].to_csv(job.folder / "sales.csv", index=False)
    assert forecast("run", job.file, "--as-of", at(159)).code == 0
    assert any("of the values since the fit are missing" in text for text in job.record()["warnings"])


def test_a_refit_never_begins_to_forecast_something_else(job: Job, forecast: Run, at: At) -> None:
    job.write(top='refit = "daily"')
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    live = job.record()["version"]
    frame = job.table()
    frame.rename(columns={"units": "returns"}).to_csv(job.folder / "sales.csv", index=False)
    ran = forecast("run", job.file, "--as-of", at(160))
    assert ran.code == 65
    assert "units" in ran.err
    frame[frame["day"].isin(frame["day"].unique()[::7])].to_csv(job.folder / "sales.csv", index=False)
    ran = forecast("run", job.file, "--as-of", at(160))
    assert ran.code == 65
    assert "frequency" in ran.err or "coarser" in ran.err
    frame.assign(returns=1.0).to_csv(job.folder / "sales.csv", index=False)
    assert forecast("run", job.file, "--as-of", at(160)).code == 0
    assert job.record()["fit"]["version"] != live
    assert list(pd.read_csv(job.output).columns)[:3] == ["shop", "day", "forecast"]


def test_intervals_that_missed_are_widened_and_those_that_held_too_much_are_narrowed(
    job: Job, forecast: Run, at: At
) -> None:
    job.write(top='refit = "never"')
    frame = job.table()
    wild = frame["day"] > "2024-05-30"
    bump = pd.util.hash_pandas_object(frame.loc[wild, ["shop", "day"]], index=False) % 61
    frame.loc[wild, "units"] += bump.to_numpy().astype(float) - 30
    frame.to_csv(job.folder / "sales.csv", index=False)
    for day in range(150, 172, 2):
        forecast("run", job.file, "--as-of", at(day))
    wide = job.record()["intervals"]
    assert wide[0] > 1.3
    table = pd.read_csv(job.output)
    calm = (table["hi_80"] - table["lo_80"]).mean()
    forecast("run", job.write(top='refit = "never"\nname = "new"'), "--as-of", at(170))
    plain = pd.read_csv(job.output)
    assert job.record()["intervals"] == [1.0, 1.0]
    assert calm / (plain["hi_80"] - plain["lo_80"]).mean() == pytest.approx(wide[0], rel=0.05)


def test_a_branch_that_stays_away_is_never_forgotten(job: Job, forecast: Run, at: At) -> None:
    job.write(top='refit = "weekly"', checks='require_all = true\nerror_after = "3d"')
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    frame = job.table()
    frame[frame["shop"] == "north"].to_csv(job.folder / "sales.csv", index=False)
    for day in (158, 166):
        ran = forecast("run", job.file, "--as-of", at(day))
        assert ran.code == 3
        assert "south" in ran.err
    assert "left out: south" in forecast("status", job.file).out
    frame[(frame["shop"] == "north") | (frame["day"] < "2024-06-10")].to_csv(job.folder / "sales.csv", index=False)
    ran = forecast("run", job.file, "--as-of", at(169))
    assert ran.code == 3
    assert "have no recent value, while others do: south" in ran.err


def test_a_value_of_a_day_that_is_not_over_is_left_out_unless_the_file_says_otherwise(
    job: Job, forecast: Run, at: At
) -> None:
    ran = forecast("run", job.file, "--as-of", at(150))
    assert "2 rows of a period that is not over at 2024-05-31T12:00:00Z are left out" in ran.err
    assert pd.read_csv(job.output)["day"].min() == "2024-05-31"
    assert job.record()["data_age"] == 12 * 3600
    assert job.record()["warnings"] == []
    for word, said in (("keep", False), ("warn", True)):
        job.write(source=f'unfinished = "{word}"')
        assert ("after the time of the run" in forecast("run", job.file, "--as-of", at(151)).err) is said
        assert pd.read_csv(job.output)["day"].min() == "2024-06-02"


@pytest.mark.parametrize("every", ["D", "h"])
def test_a_simulated_night_sees_no_later_hour_of_its_day(job: Job, forecast: Run, every: str) -> None:
    times = pd.date_range("2024-01-01", "2024-02-29", freq=every)
    frame = pd.DataFrame({"time": times, "units": 10 + np.arange(len(times)) % 5})
    job.write(table='freq = "D"\naggregate = "sum"' if every == "h" else "")
    left = []
    for later in (0, 9_999):  # what the day of the run, and those after it, are to bring
        frame.loc[frame["time"] > ("2024-02-20 02:10" if every == "h" else "2024-02-19"), "units"] += later
        frame.to_csv(job.folder / "sales.csv", index=False)
        ran = forecast("run", job.file, "--as-of", "2024-02-20T02:10:00", "--output", job.folder / f"{later}.csv")
        assert ran.code == 0, ran.err
        left.append((job.folder / f"{later}.csv").read_bytes())
    assert left[0] == left[1]
    assert pd.read_csv(job.folder / "0.csv")["time"].min()[:10] == "2024-02-20"


def test_a_table_of_one_unfinished_day_is_refused_with_the_reason(job: Job, forecast: Run) -> None:
    frame = job.table()
    frame[frame["day"] == "2024-05-31"].to_csv(job.folder / "sales.csv", index=False)
    job.write(table='freq = "D"\nid = "shop"')
    ran = forecast("run", job.file, "--as-of", "2024-05-31T12:00:00+00:00")
    assert ran.code == 65
    assert "every row belongs to a period that is not over at 2024-05-31T12:00:00Z" in ran.err


def test_a_repeated_night_is_as_it_was_whatever_was_made_up_for_since(job: Job, forecast: Run, at: At) -> None:
    for day in range(150, 166, 2):
        forecast("run", job.file, "--as-of", at(day))
    last = job.output.read_bytes()
    assert job.record()["intervals"] != [1.0, 1.0]
    for day in (153, 155, 157):
        ran = forecast("run", job.file, "--as-of", at(day))
        assert "replaces it with an older forecast" in ran.err
    other = job.folder / "other.csv"
    ran = forecast("run", job.file, "--as-of", at(164), "--output", other)
    assert ran.code == 0, ran.err
    assert other.read_bytes() == last
    assert job.output.read_bytes() != last


def test_a_killed_run_leaves_a_trace_in_the_status(job: Job, forecast: Run, at: At) -> None:
    from forecast.jobs.administration import ledger_of
    from forecast.jobs.pipeline import read_pipeline

    forecast("run", job.file, "--as-of", at(150))
    ledger = ledger_of(read_pipeline(str(job.file)))
    begun = {**job.record(), "as_of": "2024-05-31T20:00:00Z", "error": "it began, and did not end"}
    ledger.add_run("2024-05-31T20:00:00Z", 137, json.dumps(begun), None, [])
    ran = forecast("status", job.file)
    assert ran.code == 3
    assert "it began, and did not end" in ran.out


def test_a_short_id_promotes_where_it_can_mean_only_one(job: Job, forecast: Run, at: At) -> None:
    job.write(top='refit = "daily"')
    for day in (150, 151):
        forecast("run", job.file, "--as-of", at(day))
    first = json.loads(forecast("versions", "--artifact", job.store, "--json").out)[0]
    assert forecast("promote", first["hash"][:8], "--artifact", job.store).code == 0
    assert json.loads(forecast("versions", "--artifact", job.store, "--json").out)[0]["live"]
    assert forecast("promote", "v-2024", "--artifact", job.store).code == 2
    assert forecast("promote", "../x", "--artifact", job.store).code == 2


def test_sinks_are_tried_before_a_fit(job: Job, forecast: Run) -> None:
    job.write(sink='url = "postgresql://nobody@127.0.0.1:1/none"\ntable = "t"')
    assert forecast("run", job.file).code == 69
    assert not list(job.store.glob("v-*"))
    (job.folder / "file").write_text("")
    job.file.write_text(job.file.read_text().split('url = "post')[0].replace("out.csv", "file/out.csv"))
    assert forecast("run", job.file).code == 73
    assert not list(job.store.glob("v-*"))


def test_messages_name_the_keys_of_the_file(job: Job, forecast: Run) -> None:
    frame = job.table()
    pd.concat([frame, frame.tail(1)]).to_csv(job.folder / "sales.csv", index=False)
    ran = forecast("run", job.file)
    assert ran.code == 65
    assert "(in a pipeline file: id in [table], layout in [table], on_duplicate in [table])" in ran.err


def test_a_failed_run_leaves_the_old_output_and_the_next_one_succeeds(job: Job, forecast: Run, at: At) -> None:
    forecast("run", job.file, "--as-of", at(150))
    before = job.output.read_bytes()
    good = (job.folder / "sales.csv").read_text()
    (job.folder / "sales.csv").write_text(good + "north,2024-07-19,twelve\n")
    ran = forecast("run", job.file)
    assert ran.code == 65
    assert "line 402" in ran.err
    assert job.output.read_bytes() == before
    assert job.record()["exit_code"] == 65
    assert "line 402" in job.record()["error"]
    (job.folder / "sales.csv").write_text(good)
    assert forecast("run", job.file, "--as-of", at(151)).code == 0


def test_a_second_run_on_the_same_store_ends_with_75_at_once(job: Job, forecast: Run) -> None:
    from forecast.artifacts.store import Store

    with Store(job.store).lock():
        ran = forecast("run", job.file)
    assert ran.code == 75
    assert "process" in ran.err


def test_a_ping_hears_of_start_success_and_failure_and_never_fails_a_run(job: Job, forecast: Run, at: At) -> None:
    heard: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Stay quiet."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        job.write(top=f'ping = "http://127.0.0.1:{server.server_port}/secret"')
        assert forecast("run", job.file, "--as-of", at(150)).code == 0
        (job.folder / "sales.csv").unlink()
        assert forecast("run", job.file).code == 66
        server.shutdown()
        thread.join()
    assert heard == ["/secret/start", "/secret", "/secret/start", "/secret/fail"]
    job.table()
    ran = forecast("run", job.file, "--as-of", at(151))
    assert ran.code == 0
    assert "the health-check call" in ran.err
    assert "secret" not in ran.err


def test_a_query_is_a_source_and_a_table_is_a_sink_and_a_repeated_run_leaves_the_same_rows(
    job: Job, forecast: Run, at: At, url: str, rows: Rows
) -> None:
    frame = job.table()
    upsert(url, "sales", frame.assign(day=pd.to_datetime(frame["day"])), ["shop", "day"])
    text = f'store = "store"\nledger = "sink"\nrefit = "daily"\n[source]\nurl = "{url}"\n'
    text += 'sql = "SELECT shop, day, units FROM sales"\n[train]\nmodel = "seasonal-naive"\nhorizon = 7\n'
    name = "forecasts" if url.startswith("sqlite") else "nightly.forecasts"  # SQLite has no schemas
    text += f'[sink]\npath = "out.csv"\nurl = "{url}"\ntable = "{name}"\n'
    job.file.write_text(text, encoding="utf-8")
    wanted = []
    for day in (190, 195, 195, 199, 195):
        ran = forecast("run", job.file, "--as-of", at(day))
        assert ran.code == 0, ran.err
        found = rows(url, f"SELECT shop, day, origin, forecast, lo_80, hi_95, version, model, status FROM {name}")
        of_origin = [row for row in sorted(found, key=str) if str(row[2]).startswith("2024-07-14")]
        wanted.append((of_origin, job.output.read_bytes()) if day == 195 else None)
    assert wanted[1] == wanted[2] == wanted[4]
    assert len(wanted[1][0]) == 14
    assert len(found) == 3 * 14
    assert len(rows(url, "SELECT * FROM forecast_runs")) == 3
    assert forecast("status", job.file).code == 0


def test_a_damaged_ledger_is_refused_by_name(job: Job, forecast: Run, at: At) -> None:
    forecast("run", job.file, "--as-of", at(150))
    (job.folder / "store.runs" / "ledger.db").write_bytes(b"not a database" * 100)
    ran = forecast("run", job.file, "--as-of", at(151))
    assert ran.code == 76
    assert "ledger.db" in ran.err


def test_runs_beside_each_other_wait_for_each_other(job: Job, at: At) -> None:
    from forecast.jobs.pipeline import read_pipeline
    from forecast.jobs.run import run_job

    pipeline = read_pipeline(str(job.file)).model_copy(update={"wait": 60.0})
    codes: list[int] = []
    threads = [
        threading.Thread(target=lambda day=day: codes.append(run_job(pipeline, as_of=at(day)).exit_code))
        for day in (150, 151, 152)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == [0, 0, 0]
    assert len(job.ledger("SELECT * FROM forecast_runs")) == 3


def _rows(path: Path) -> list[tuple[object, ...]]:
    with sqlite3.connect(path) as connection:
        return connection.execute("SELECT * FROM forecasts ORDER BY shop, origin, day").fetchall()
