"""A job writes sums of its forecasts beside them: together or not at all, and scored like them."""

import json
import re
from collections.abc import Callable

import pandas as pd
import pytest

from forecast.jobs.pipeline import read_pipeline
from forecast.jobs.run import run_job
from tests.conftest import Ran
from tests.jobs.a_job import Job

Run = Callable[..., Ran]
At = Callable[[int], str]
Rows = Callable[[str, str], list[tuple]]

WEEKLY = '[[totals]]\nby = ["all", "shop"]\nevery = "week"\npath = "sums.csv"\n'
DAILY = '[[totals]]\nby = "all"\n'


def write(job: Job, totals: str, top: str = "", **sections: str) -> None:
    """A pipeline file with some [[totals]] at its end."""
    job.write(top, **sections)
    job.file.write_text(job.file.read_text() + totals)


def test_sums_go_to_files_and_tables_beside_the_forecasts(
    job: Job, forecast: Run, at: At, url: str, rows: Rows
) -> None:
    table = 'table = "{}"\n'.format
    write(job, WEEKLY + table("weekly") + DAILY + table("daily"), sink=f'url = "{url}"\ntable = "f"')
    ran = forecast("run", job.file, "--as-of", at(150))
    assert ran.code == 0, ran.err
    sums = pd.read_csv(job.folder / "sums.csv", keep_default_na=False)
    assert list(sums)[:5] == ["level", "shop", "day", "forecast", "mean"]
    keys = [("all/week", ""), ("shop/week", "north"), ("shop/week", "south")]
    assert list(zip(sums["level"], sums["shop"], strict=True)) == keys
    assert (sums["observed"] > 0).all()  # the week to date
    stored = rows(url, "SELECT level, shop, mean, steps FROM weekly ORDER BY level, shop")
    assert stored == list(sums[["level", "shop", "mean", "steps"]].itertuples(index=False, name=None))
    assert rows(url, "SELECT COUNT(*), MIN(origin) = MAX(origin), MIN(shop) FROM daily") in (
        [(7, 1, "")],
        [(7, True, "")],
    )
    assert rows(url, "SELECT DISTINCT origin, version FROM f") == rows(
        url, "SELECT DISTINCT origin, version FROM daily"
    )
    assert f", and 10 sums to {job.folder}/sums.csv and the table weekly and the table daily" in ran.err
    record = job.record()
    assert record["counts"]["sums"] == 10
    assert record["output"]["totals"] == [{"path": f"{job.folder}/sums.csv", "table": "weekly"}, {"table": "daily"}]
    before = (job.folder / "sums.csv").read_bytes()
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    assert (job.folder / "sums.csv").read_bytes() == before
    assert rows(url, "SELECT COUNT(*) FROM daily") == [(7,)]


def test_groups_of_a_static_column_are_different_sums(job: Job, forecast: Run, at: At) -> None:
    table = pd.read_csv(job.folder / "sales.csv")
    table["region"] = table["shop"].map({"north": "cold", "south": "warm"})
    table.to_csv(job.folder / "sales.csv", index=False)
    write(job, '[[totals]]\nby = "region"\nevery = "week"\npath = "sums.csv"\n', table='static = "region"')
    ran = forecast("run", job.file, "--as-of", at(150))
    assert ran.code == 0, ran.err
    assert list(pd.read_csv(job.folder / "sums.csv")["region"]) == ["cold", "warm"]


def test_the_report_of_a_job_shows_its_sums(job: Job, forecast: Run, at: At) -> None:
    write(job, WEEKLY)
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    ran = forecast("report", job.file, "--output", job.folder / "page.html")
    assert ran.code == 0, ran.err
    page = (job.folder / "page.html").read_text()
    assert "Sums of the forecasts" in page
    assert "shop/week" in page


def test_sums_that_a_database_refuses_take_the_forecasts_back(
    job: Job, at: At, forecast: Run, url: str, rows: Rows, run: Callable[..., None]
) -> None:
    write(job, DAILY + 'table = "daily"\n', sink=f'url = "{url}"\ntable = "f"')
    columns = "level TEXT, shop TEXT, day TIMESTAMP, origin TIMESTAMP, version TEXT, filled INTEGER, steps INTEGER, "
    numbers = ", ".join(
        f"{name} DOUBLE PRECISION" for name in ("forecast", "lo_80", "hi_80", "lo_95", "hi_95", "observed")
    )
    only = "calibrated BOOLEAN, mean DOUBLE PRECISION CHECK (mean = 0.5), PRIMARY KEY (level, shop, day, origin)"
    run(url, f"CREATE TABLE daily ({columns}{numbers}, {only})")  # rows like those to come have means of 0.5
    ran = forecast("run", job.file, "--as-of", at(150))
    assert ran.code == 65, ran.err
    with pytest.raises(Exception, match=r"no such table|does not exist"):
        rows(url, "SELECT * FROM f")
    assert not job.output.exists()


REFUSED = [
    ('by = "shops"\npath = "s.csv"', "'shops' is no id column and no static one; did you mean 'shop'?"),
    ('by = ["all", "shops"]\npath = "s.csv"', "(in a pipeline file: by in [[totals]], "),
    ('path = "s.csv"', "each group would be one series, and nothing is summed"),
    ('by = "all"', "[[totals]] 1 give it path, or url and table, or several of these"),
    ('by = "all"\ntable = "s"', "[[totals]] 1 url and table go together"),
    ('by = "all"\nurl = "sqlite:///f.db"', "[[totals]] 1 unknown key 'url'; it belongs in [sink]"),
    ('evry = "week"\npath = "s.csv"', "unknown key 'evry'; did you mean 'every' in [[totals]]?"),
    ('by = "all"\nevery = "fortnight"\npath = "s.csv"', "[[totals]] 1 every"),
    ('by = 7\npath = "s.csv"', "[[totals]] 1 by"),
    ('by = "all"\npath = "out.csv"', "[[totals]] 1 {}/out.csv is also written by [sink]; write elsewhere"),
    ('by = "all"\npath = "link.csv"', "also written by [sink]"),
    ('by = "all"\npath = "sales.csv"', "[[totals]] 1 path {}/sales.csv is the table of [source] path"),
    ('by = "all"\npath = "store/CURRENT"', "would replace a file of the store"),
    ('by = "all"\npath = "s.csv.gz"', "forecasts are written as .csv, .parquet or .xlsx"),
    ('by = "all"\nevery = "year"\npath = "s.csv"', "the horizon of 7 steps does not reach the end of a year"),
    ('by = "all"\npath = "nowhere/\\u0000.csv"', "NUL"),
]


@pytest.mark.parametrize(("lines", "said"), REFUSED)
def test_what_is_wrong_with_sums_is_said_before_any_work(
    job: Job, at: At, lines: str, said: str, forecast: Run
) -> None:
    (job.folder / "link.csv").symlink_to("out.csv")
    write(job, f"[[totals]]\n{lines}\n")
    ran = forecast("run", job.file, "--as-of", at(150))
    assert ran.code in (2, 73), ran.err
    assert said.format(job.folder) in ran.err
    assert not list(job.store.glob("v-*"))
    assert not job.output.exists()


TABLES = [
    ('[sink]\nurl = "sqlite:///f.db"\ntable = "f"', 'table = "main.F"', "main.F is also written by [sink]"),
    ('[sink]\nurl = "sqlite:///f.db"\ntable = "f"', 'table = "forecast_cells"', "is one of the ledger's own"),
    (
        '[sink]\npath = "o.csv"\n[output]\njoint = true',
        'path = "s.csv"',
        "[output] joint = True: sums of [[totals]] are",
    ),
    (
        '[sink]\npath = "o.csv"\n[output]\nshard = "1/2"',
        'path = "s.csv"',
        "[output] shard = 1/2: sums of [[totals]] are",
    ),
]


@pytest.mark.parametrize(("sections", "lines", "said"), TABLES)
def test_sums_that_do_not_go_with_the_rest_of_a_file_are_refused(
    job: Job, forecast: Run, sections: str, lines: str, said: str
) -> None:
    top = 'ledger = "sink"\n' if "url" in sections else ""
    job.file.write_text(f'{top}[source]\npath = "sales.csv"\n{sections}\n[[totals]]\nby = "all"\n{lines}\n')
    ran = forecast("run", job.file, "--check")
    assert ran.code == 2
    assert said in ran.err


def test_totals_are_a_list_and_a_column_may_not_be_called_like_theirs(job: Job, forecast: Run, at: At) -> None:
    write(job, '[totals]\nby = "all"\n')
    ran = forecast("run", job.file, "--check")
    assert (ran.code, "'totals' is a list of tables: write [[totals]]" in ran.err) == (2, True)
    job.table().rename(columns={"shop": "level"}).to_csv(job.folder / "sales.csv", index=False)
    write(job, '[[totals]]\nby = "all"\npath = "s.csv"\n', table='id = "level"')
    ran = forecast("run", job.file, "--as-of", at(150))
    assert (ran.code, "column 'level' has the name of" in ran.err) == (2, True)
    assert not list(job.store.glob("v-*"))


def test_a_horizon_that_only_sometimes_ends_a_period_is_warned_of(job: Job, forecast: Run, at: At) -> None:
    write(job, '[[totals]]\nby = "all"\nevery = "month"\npath = "s.csv"\n')
    ended = forecast("run", job.file, "--as-of", at(148))  # the newest day is 2024-05-28
    assert ended.code == 0, ended.err
    assert "7 steps do not always reach the end of a month" in ended.err
    assert "31 always do" in ended.err
    before = job.output.read_bytes(), (job.folder / "s.csv").read_bytes()
    ran = forecast("run", job.file, "--as-of", at(155))
    assert (ran.code, "does not reach the end of a month" in ran.err) == (2, True)
    assert (job.output.read_bytes(), (job.folder / "s.csv").read_bytes()) == before
    write(job, '[[totals]]\nby = "all"\nevery = ["month", "week"]\npath = "s.csv"\n')
    assert forecast("run", job.file, "--as-of", at(155)).code == 0
    assert set(pd.read_csv(job.folder / "s.csv")["level"]) == {"all/week"}


def test_an_output_of_a_run_leaves_the_sums_alone(job: Job, forecast: Run, at: At) -> None:
    write(job, WEEKLY)
    ran = forecast("run", job.file, "--as-of", at(150), "--output", job.folder / "else.csv")
    assert ran.code == 0, ran.err
    assert "totals   are not written: --output takes the place of the sinks" in ran.err
    assert not (job.folder / "sums.csv").exists()


@pytest.mark.parametrize("place", ["path", "table"])
def test_sums_have_one_job_that_writes_them(job: Job, forecast: Run, at: At, place: str) -> None:
    lines = 'path = "sums.csv"' if place == "path" else 'table = "sums"'
    sink = 'url = "sqlite:///f.db"\ntable = "{}"'
    write(job, f"{DAILY}{lines}\n", sink=sink.format("f"))
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    text = job.file.read_text().replace('"store"', '"other"').replace("out.csv", "o.csv").replace('"f"', '"g"')
    (job.folder / "other.toml").write_text(text)
    for words in (["--check"], ["--as-of", at(150)]):
        ran = forecast("run", job.folder / "other.toml", *words)
        assert (ran.code, "is written by job 'job'" in ran.err) == (2, True)
    assert not list((job.folder / "other").glob("v-*"))
    ran = forecast("run", job.folder / "other.toml", "--as-of", at(150), "--take-over")
    assert (ran.code, "and job 'other' takes it over" in ran.err) == (0, True)
    assert forecast("run", job.file, "--as-of", at(151)).code == 2


def test_sums_are_scored_by_level_once_all_of_their_values_are_known(job: Job, forecast: Run, at: At) -> None:
    write(job, '[[totals]]\nby = ["all", "shop"]\nevery = "week"\npath = "sums.csv"\n', top='refit = "never"')
    frame, wrote = job.table(), []
    for night in (145, 149, 154):
        assert run_job(read_pipeline(str(job.file)), as_of=at(night)).exit_code == 0
        wrote.append(pd.read_csv(job.folder / "sums.csv", keep_default_na=False))
    sums = pd.concat(wrote).assign(day=lambda rows: pd.to_datetime(rows["day"]))
    frame["day"] = pd.to_datetime(frame["day"])
    lost = pd.Timestamp("2024-06-04")
    frame[(frame["day"] != lost) | (frame["shop"] != "south")].to_csv(job.folder / "sales.csv", index=False)
    record = run_job(read_pipeline(str(job.file)), as_of=at(161))  # up to a Monday
    week = frame.groupby(["shop", frame["day"] - pd.to_timedelta(frame["day"].dt.day_of_week, "D")])["units"].sum()
    known = sums[(sums["shop"] == "north") | (sums["day"] < "2024-06-03")]
    for level in ("all/week", "shop/week"):
        rows = known[(known["level"] == level) & (known["day"] < "2024-06-10")]
        actual = [
            sum(week[name, row.day] for name in (["north", "south"] if not row.shop else [row.shop]))
            for row in rows.itertuples()
        ]
        found = next(score for score in record.totals if score["level"] == level)
        assert found["sums"] == len(rows) > 1
        assert found["error"] == pytest.approx((rows["forecast"] - actual).abs().sum() / sum(actual))
        assert found["bias"] == pytest.approx((rows["forecast"] - actual).sum() / sum(actual))
        assert found["coverage_80"] == ((rows["lo_80"] <= actual) & (actual <= rows["hi_80"])).mean()
    shown = forecast("status", job.file).out
    assert re.search(rf"^totals +sums +error +bias.*\nall/week +{record.totals[0]['sums']} +0\.", shown, re.MULTILINE)
    assert json.loads(forecast("status", job.file, "--json").out)[0]["totals"] == record.totals


def test_a_ledger_without_sums_goes_on(job: Job, at: At) -> None:
    job.write()
    assert run_job(read_pipeline(str(job.file)), as_of=at(150)).exit_code == 0
    assert job.ledger("SELECT name FROM sqlite_master WHERE name = 'forecast_totals'") == []  # as in an earlier release
    write(job, WEEKLY)
    for night in range(151, 154):
        assert run_job(read_pipeline(str(job.file)), as_of=at(night)).exit_code == 0
    assert job.ledger("SELECT count FROM forecast_totals") == [(3,), (3,), (3,)]
