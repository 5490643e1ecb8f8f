"""What a job reads as of its instant: nothing later, what it knew in advance; and what `--check` looks at."""

import sqlite3
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast.calendar.parsing import parse_times
from forecast.calendar.spec import parse_as_of
from forecast.errors import StorageFailure
from forecast.jobs.inputs import JobInputs, known_by, read_to_fit
from forecast.jobs.ledger import KILLED, Ledger, open_file
from forecast.jobs.pipeline import read_pipeline
from forecast.jobs.record import Record
from forecast.logs import held_back
from forecast.panel.dated import dated_table
from forecast.panel.infer import read
from forecast.panel.panel import Panel
from forecast.settings import TableSettings, TextSettings
from forecast.tables.reading import load_future, read_table, table_from_frame
from tests._databases import Server
from tests.conftest import At, Ran, Run
from tests.jobs.a_job import Job


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[str, ...]]:
    """How often each column was parsed."""
    counts: Counter[tuple[str, ...]] = Counter()

    def counting(table: Any, columns: Any, *arguments: Any) -> Any:
        counts[table.name, *columns] += 1
        return parse_times(table, columns, *arguments)

    for name, module in list(sys.modules.items()):
        if name.startswith("forecast") and getattr(module, "parse_times", None) is parse_times:
            monkeypatch.setattr(module, "parse_times", counting)
    return counts


def test_a_gated_refit_parses_the_time_column_once(
    job: Job, forecast: Run, at: At, parsed: Counter[tuple[str, ...]]
) -> None:
    frame = job.table()
    frame = frame.assign(
        promo=np.arange(len(frame)) % 3, kind=np.where(frame["day"] < "2024-06-05", "a", "b")
    )
    frame.to_csv(job.folder / "sales.csv", index=False)
    frame.iloc[-40:, [0, 1, 3, 4]].to_csv(job.folder / "future.csv", index=False)
    job.write(
        top='refit = "daily"',
        source='future = "future.csv"',
        table='known = ["promo", "kind"]',
        checks='error_after = "9d"',
    )
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    parsed.clear()
    ran = forecast("run", job.file, "--as-of", at(170))
    assert ran.code == 0, ran.err
    assert "; the live version, v-" in job.record()["fit"]["verdict"]
    assert parsed == {("sales.csv", "day"): 1, ("future.csv", "day"): 1}
    parsed.clear()
    assert forecast("run", job.file, "--as-of", at(170)).code == 0
    assert parsed == {("sales.csv", "day"): 1, ("future.csv", "day"): 1}


@pytest.mark.parametrize("pivoted", [False, True])
def test_fit_predict_backtest_and_score_parse_it_once_each(
    job: Job, forecast: Run, parsed: Counter[tuple[str, ...]], pivoted: bool
) -> None:
    frame = job.table()
    path: Path = job.folder / "sales.csv"
    if pivoted:
        frame.pivot(index="day", columns="shop", values="units").to_csv(path)
    other = job.folder / "sales of tonight" / "sales.csv"
    other.parent.mkdir()
    pd.read_csv(path).assign(day=lambda table: table["day"].str.replace("-", "/")).to_csv(
        other, index=False
    )
    model = ("--model", "seasonal-naive", "--horizon", 7)
    commands: list[tuple[Any, ...]] = [
        ("fit", path, *model, "--artifact", job.store),
        ("predict", path, "--artifact", job.store, "--output", job.output),
        ("backtest", path, *model),
        ("inspect", path),
        ("predict", other, "--artifact", job.store, "--output", job.output),
    ]
    for command in commands:
        parsed.clear()
        ran = forecast(*command)
        assert ran.code == 0, ran.err
        assert parsed == {("sales.csv", "day"): 1}, command[0]


def test_values_after_the_instant_are_blank_in_new_columns_too() -> None:
    day = pd.date_range("2024-01-01", periods=30).strftime("%Y-%m-%d")
    frame = pd.DataFrame({"day": day, "a": np.arange(30.0), "promo": np.arange(30) % 2})
    schema = read(
        table_from_frame(frame), TableSettings(known=("promo",), unfinished="keep")
    ).schema
    tonight = dated_table(table_from_frame(frame.assign(b=frame["a"])), schema)
    known_then = known_by(tonight, schema, parse_as_of("2024-01-20T12:00:00+00:00"))
    assert len(known_then.table.frame) == 30
    assert known_then.table.frame[["a", "b"]].notna().sum().tolist() == [20, 20]
    assert known_then.table.frame["promo"].notna().all()


@pytest.mark.parametrize("model", ["seasonal-naive", "mean"])
def test_a_gated_refit_gives_each_warning_once(job: Job, forecast: Run, at: At, model: str) -> None:
    frame = job.table()
    ended = frame[(frame["shop"] == "south") & (frame["day"] < "2024-03-05")].assign(shop="ended")
    constant = frame[frame["shop"] == "south"].assign(shop="constant", units=5)
    sparse = frame[frame["shop"] == "south"].assign(shop="sparse").iloc[::7]
    gap = frame[(frame["shop"] != "south") | (frame["day"] != "2024-02-03")]
    frame = pd.concat([gap, ended, constant, sparse]).iloc[::-1].assign(price=1.0)
    frame.loc[frame["day"] == "2024-02-05", "price"] = np.nan
    frame.assign(
        price=frame["price"].astype(object).where(frame["day"] != "2024-02-06", "n/a")
    ).to_csv(job.folder / "sales.csv", index=False)
    job.write(top='refit = "daily"', table='id = ["shop"]\ntarget = ["units"]\npast = ["price"]')
    assert forecast("run", job.file, "--as-of", at(150)).code == 3
    job.file.write_text(job.file.read_text().replace('"seasonal-naive"', f'"{model}"'))
    ran = forecast("run", job.file, "--as-of", at(170))
    assert ran.code == 3, ran.err
    record = job.record()
    assert record["fit"]["promoted"] is (model == "seasonal-naive")
    assert len(record["warnings"]) > 5
    assert sorted(record["warnings"]) == sorted(set(record["warnings"]))


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


def test_a_value_of_a_day_that_is_not_over_is_left_out_unless_the_file_says_otherwise(
    job: Job, forecast: Run, at: At
) -> None:
    ran = forecast("run", job.file, "--as-of", at(150))
    assert "sales.csv: the last period of D is not complete (--unfinished 'leave out')" in ran.err
    assert pd.read_csv(job.output)["day"].min() == "2024-05-31"
    assert job.record()["data_age"] == 12 * 3600
    assert job.record()["warnings"] == []
    for word, said in (("keep", False), ("warn", True)):
        job.write(source=f'unfinished = "{word}"')
        ran = forecast("run", job.file, "--as-of", at(151))
        assert ("the last period of D is not complete (--unfinished warn)" in ran.err) is said
        assert pd.read_csv(job.output)["day"].min() == "2024-06-02"


def test_a_row_of_today_whose_target_is_blank_is_no_value_that_is_left_out(
    job: Job, forecast: Run
) -> None:
    frame = job.table().assign(promo=0)
    frame.loc[frame["day"] >= "2024-05-31", "units"] = None
    frame.to_csv(job.folder / "sales.csv", index=False)
    job.write(table='known = ["promo"]')
    ran = forecast("run", job.file, "--as-of", "2024-05-31T12:00:00+00:00")
    assert "is not complete" not in ran.err


@pytest.mark.parametrize("every", ["D", "h"])
def test_a_simulated_night_sees_no_later_hour_of_its_day(
    job: Job, forecast: Run, every: str
) -> None:
    times = pd.date_range("2024-01-01", "2024-02-29", freq=every)
    frame = pd.DataFrame({"time": times, "units": 10 + np.arange(len(times)) % 5})
    job.write(table='freq = "D"\naggregate = "sum"' if every == "h" else "")
    left = []
    for later in (0, 9_999):  # what the day of the run, and those after it, are to bring
        frame.loc[
            frame["time"] > ("2024-02-20 02:10" if every == "h" else "2024-02-19"), "units"
        ] += later
        frame.to_csv(job.folder / "sales.csv", index=False)
        ran = forecast(
            "run",
            job.file,
            "--as-of",
            "2024-02-20T02:10:00",
            "--output",
            job.folder / f"{later}.csv",
        )
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
    assert (
        "every row lies after 2024-05-31T12:00:00Z, the time of the run, or in a period" in ran.err
    )


def test_a_check_refuses_what_a_run_refuses_of_changed_settings(
    job: Job, forecast: Run, at: At
) -> None:
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    job.write(top='refit = "never"', table="season = 14")
    for words in ((), ("--check",)):
        ran = forecast("run", job.file, "--as-of", at(151), *words)
        assert (ran.code, "and refit is never" in ran.err) == (2, True), ran.err


@pytest.mark.parametrize("text", ["date,name\n", "date,name,shop\n2024-07-20,fair,west\n"])
def test_a_night_without_events_goes_on(job: Job, forecast: Run, at: At, text: str) -> None:
    events = job.folder / "events.csv"
    events.write_text("date,name\n2024-02-10,fair\n2024-04-10,fair\n2024-06-08,fair\n")
    job.write(table='events = "events.csv"')
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    events.write_text(text)
    for words in ((), ("--check",)):
        ran = forecast("run", job.file, "--as-of", at(151), *words)
        assert ran.code == 0, ran.err
        assert "events.csv" in ran.err


def test_events_act_at_once_where_the_fit_saw_none(job: Job, forecast: Run, at: At) -> None:
    events = job.folder / "events.csv"
    events.write_text("date,name,kind\n")
    job.write(top='refit = "never"', table='events = "events.csv"')
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    rows = "2024-06-02,fair,effect\n2024-06-04,shut,closed\n2024-05-31,strike,ignore\n"
    events.write_text(f"date,name,kind\n{rows}")
    ran = forecast("run", job.file, "--as-of", at(151), "--check")
    assert ran.code == 0, ran.err
    ran = forecast("run", job.file, "--as-of", at(151))
    assert ran.code == 0, ran.err
    awaits = "without effect, as the past of the fit has not shown them: fair"
    assert awaits in ran.err
    assert any(awaits in text for text in job.record()["warnings"])
    forecasts = pd.read_csv(job.output).groupby("day")["forecast"].max()
    assert forecasts.pop("2024-06-04") == 0
    assert forecasts.min() > 30
    for broken in ("date,name,kind\n2024-06-04,shut,nonsense\n", None):
        events.unlink() if broken is None else events.write_text(broken)
        for words in ((), ("--check",)):
            ran = forecast("run", job.file, "--as-of", at(152), *words)
            assert ran.code in (65, 66), ran.err
            assert "events.csv" in ran.err


SQLITE = 'url = "sqlite:///f.db"\ntable = "forecasts"'


def _files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_source_and_the_sink_are_told_and_nothing_is_written(job: Job, forecast: Run) -> None:
    job.write(sink=SQLITE)
    before = _files(job.folder)
    ran = forecast("run", job.file, "--check")
    assert ran.code == 0, ran.err
    for words in ("sales.csv: 400 rows", "layout   long: 2 series (ids: shop)", "out.csv can be written",
                  "table forecasts will be created"):  # fmt: skip
        assert words in ran.err
    assert _files(job.folder) == before


def test_a_source_that_is_too_old_is_told_as_a_run_would(job: Job, forecast: Run) -> None:
    job.write(
        top='as_of = "2024-07-22T12:00:00+00:00"', checks='warn_after = "2d"\nerror_after = "9d"'
    )
    ran = forecast("run", job.file, "--check")
    assert ran.code == 0, ran.err
    assert "age      the newest value is 3.5 days old" in ran.err
    assert "(--warn-after 2d)" in ran.err
    job.write(top='as_of = "2024-08-22T12:00:00+00:00"', checks='error_after = "9d"')
    stale = forecast("run", job.file, "--check")
    assert stale.code == 4
    assert "the newest value is 34.5 days old" in stale.err
    assert forecast("run", job.file, "--check", "--as-of", "2024-07-22T12:00:00+00:00").code == 0


def test_known_values_that_a_run_would_miss_are_missed_before(
    job: Job, forecast: Run, at: At
) -> None:
    frame = job.table().assign(promo=0)
    days = pd.date_range("2024-07-19", periods=7).strftime("%Y-%m-%d")
    plan = pd.DataFrame(
        {
            "day": np.tile(days, 2),
            "shop": np.repeat(["north", "south"], 7),
            "units": np.nan,
            "promo": 1,
        }
    )
    source = job.folder / "sales.csv"
    job.write(table='known = ["promo"]', top='as_of = "2024-07-19T12:00:00+00:00"')
    pd.concat([frame, plan[:7]]).to_csv(source, index=False)
    instant = "2024-07-18T12:00:00+00:00"  # whose value does not count yet, so that the plan of a day less is enough
    shorter = pd.concat([frame, plan.groupby("shop").head(6)])
    shorter.to_csv(source, index=False)
    for words, code in (("--as-of", instant), 0), ((), 65):
        assert [forecast("run", job.file, *words, *check).code for check in ((), ("--check",))] == [
            code
        ] * 2
    pd.concat([frame, plan[:7]]).to_csv(source, index=False)
    for words in ((), ("--check",)):
        ran = forecast("run", job.file, *words)
        assert (
            ran.code,
            "'promo' is known in advance, but has no value for 7 of the 7" in ran.err,
        ) == (65, True)
    (job.folder / "days.csv").write_text(
        "start,end,name,kind,shop\n2024-07-19,2024-12-31,gone,closed,south\n"
    )
    job.write(
        table='known = ["promo"]\nevents = "days.csv"', top='as_of = "2024-07-19T12:00:00+00:00"'
    )
    for words in (("--check",), ()):
        ran = forecast("run", job.file, *words)
        assert ran.code == 0, ran.err
    assert (pd.read_csv(job.output).query("shop == 'south'")["forecast"] == 0).all()


def test_a_renamed_id_is_named_by_a_job_with_a_database(job: Job, forecast: Run, at: At) -> None:
    frame = job.table()
    job.write(sink=SQLITE)
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    frame.rename(columns={"shop": "store"}).to_csv(job.folder / "sales.csv", index=False)
    ran = forecast("run", job.file, "--as-of", at(151))
    assert (ran.code, "no column 'shop'; columns found: store, day, units" in ran.err) == (65, True)


def test_a_job_that_has_run_passes(job: Job, forecast: Run, at: Callable[[int], str]) -> None:
    job.write(sink=SQLITE)
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    before = _files(job.folder)
    ran = forecast("run", job.file, "--check")
    assert ran.code == 0, ran.err
    assert "table forecasts takes the forecasts" in ran.err
    assert _files(job.folder) == before
    frame = job.table(150).rename(columns={"units": "sold"})
    frame.to_csv(job.folder / "sales.csv", index=False)
    renamed = forecast("run", job.file, "--check")  # by the columns of the live version
    assert renamed.code == 65
    assert "sales.csv: no column 'units'; columns found: shop, day, sold" in renamed.err


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        (("sales.csv", "nowhere.csv"), 66, "nowhere.csv"),
        (
            ('model = "seasonal-naive"', 'model = "seasonal-naive"\nbaselines = ["tetha"]'),
            2,
            "did you mean 'theta'",
        ),
        (('path = "sales.csv"', 'path = "sales.csv"\nfuture = "plans.csv"'), 66, "plans.csv"),
        (
            ('path = "out.csv"', 'path = "sales.csv/out.csv"'),
            73,
            "sales.csv is a file where a folder is needed",
        ),
        (('path = "out.csv"', 'path = "."'), 73, "is a folder; name a file in it"),
        (
            ('store = "store"', 'store = "sales.csv/store"'),
            73,
            "sales.csv is a file where a folder is needed",
        ),
        (
            ('path = "out.csv"', 'url = "sqlite:///sales.csv"\ntable = "f"'),
            74,
            "sink.url: file is not a database",
        ),
        (
            ('path = "out.csv"', 'url = "sqlite:///sales.csv/f.db"\ntable = "f"'),
            73,
            "f.db: cannot be created",
        ),
        (
            ('path = "out.csv"', 'url = "postgresql://x:y@127.0.0.1:1/z"\ntable = "f"'),
            69,
            "sink.url",
        ),
    ],
)
def test_what_a_run_would_stumble_over_is_found(
    job: Job, forecast: Run, change: tuple[str, str], code: int, said: str
) -> None:
    text = job.file.read_text()
    assert change[0] in text
    job.file.write_text(text.replace(*change))
    before = _files(job.folder)
    ran = forecast("run", job.file, "--check")
    assert ran.code == code, ran.err
    assert said in ran.err
    assert _files(job.folder) == before


def test_a_column_that_the_file_names_must_be_there(job: Job, forecast: Run) -> None:
    job.write(table='known = ["promo"]')
    ran = forecast("run", job.file, "--check")
    assert ran.code == 65
    assert "sales.csv: no column 'promo'; columns found: shop, day, units" in ran.err


def test_a_table_without_the_columns_is_found(job: Job, forecast: Run) -> None:
    with closing(sqlite3.connect(job.folder / "f.db")) as connection, connection:
        connection.execute(
            "CREATE TABLE forecasts (shop TEXT, day TEXT, origin TEXT, PRIMARY KEY (shop, day, origin))"
        )
    job.write(sink=SQLITE)
    ran = forecast("run", job.file, "--check")
    assert ran.code == 2
    assert "sink.table forecasts lacks columns" in ran.err
    assert "lo_80" in ran.err


def test_a_database_without_the_table_is_left_as_it_is(job: Job, forecast: Run) -> None:
    with closing(sqlite3.connect(job.folder / "f.db")) as connection, connection:
        connection.execute("CREATE TABLE other (a INTEGER)")
    job.write(sink=SQLITE)
    before = _files(job.folder)
    ran = forecast("run", job.file, "--check")
    assert ran.code == 0, ran.err
    assert "table forecasts will be created" in ran.err
    assert _files(job.folder) == before


def test_a_check_shows_no_secret(
    job: Job, forecast: Run, at: Callable[[int], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SINK_TABLE", "quarterly_secrets")
    job.write(sink='url = "sqlite:///f.db"\ntable = "${SINK_TABLE}"')
    ran = forecast("run", job.file, "--check")
    assert "table ${SINK_TABLE} will be created" in ran.err
    assert forecast("run", job.file, "--as-of", at(152)).code == 0
    again = forecast("run", job.file, "--as-of", at(150))
    assert "already wrote the output" in again.err
    for text in (ran.err, again.err):
        assert "quarterly_secrets" not in text


def test_a_postgresql_table_is_looked_at_and_left_alone(
    job: Job, forecast: Run, server: Server
) -> None:
    job.write(sink=f'url = "{server.url}"\ntable = "forecasts"')
    assert "table forecasts will be created" in forecast("run", job.file, "--check").err
    assert server.execute(
        "SELECT count(*) FROM information_schema.tables WHERE table_name = 'forecasts'"
    ) == [(0,)]
    server.execute(
        "CREATE TABLE forecasts (shop text, day date, origin date, forecast date, lo_80 float, hi_80 float, "
        "lo_95 float, hi_95 float, version text, model text, status text, PRIMARY KEY (shop, day, origin))"
    )
    ran = forecast("run", job.file, "--check")
    assert ran.code == 2
    assert "column forecast: invalid input syntax for type date" in ran.err


def test_only_a_run_that_wrote_is_said_to_have_written_later(
    job: Job, forecast: Run, at: Callable[[int], str]
) -> None:
    said = "already wrote the output"
    good = job.file.read_text()
    job.file.write_text(good.replace("sales.csv", "nowhere.csv"))
    assert forecast("run", job.file, "--as-of", at(160)).code == 66
    job.file.write_text(good)
    assert (
        forecast("run", job.file, "--as-of", at(159), "--output", job.folder / "else.csv").code == 0
    )
    first = forecast("run", job.file, "--as-of", at(150))
    assert first.code == 0
    assert said not in first.err
    assert forecast("run", job.file, "--as-of", at(152)).code == 0
    again = forecast("run", job.file, "--as-of", at(150))
    assert f"the run as of {at(152).replace('+00:00', 'Z')} {said}" in again.err


FIRST = 120  # the last day of the table on the first night
HORIZON = 3


@pytest.fixture
def nights(job: Job, forecast: Run, at: At) -> Callable[[int, float], Ran]:
    """Runs the job after a day of the table, with what its weather service says that night about days to come."""
    job.write(
        table='known = ["temp"]',
        train=f"baselines = []\nhorizon = {HORIZON}",
        top='refit = "never"',
    )
    text = job.file.read_text().replace("horizon = 7\n", "").replace('"seasonal-naive"', '"last"')
    job.file.write_text(text)

    def night(day: int, says: float) -> Ran:
        table = job.table(days=day + 1 + HORIZON)
        ahead = pd.to_datetime(table["day"]) > pd.Timestamp("2024-01-01") + pd.Timedelta(days=day)
        temp = np.where(ahead, says, 10.0 + np.arange(len(table)) // 2 % 5)
        table.assign(units=table["units"].where(~ahead), temp=temp).to_csv(
            job.folder / "sales.csv", index=False
        )
        return forecast("run", job.file, "--as-of", at(day))

    return night


def panel_to_fit(job: Job, at: At, day: int) -> Panel:
    pipeline = read_pipeline(str(job.file))
    table = read_table(str(job.folder / "sales.csv"), TextSettings())
    file = pipeline.source.future
    future = None if file is None else load_future(file, TextSettings())
    return read_to_fit(pipeline, parse_as_of(at(day)), JobInputs(table, future=future))[0].panel


def ledger_of(job: Job) -> Ledger:
    return Ledger("job", partial(open_file, job.folder / "store.runs" / "ledger.db"))


def kept(job: Job) -> dict[str, list[float]]:
    """The values of each run that the ledger has, by its time."""
    times = [at for (at,) in job.ledger("SELECT as_of FROM forecast_known ORDER BY as_of")]
    return {
        at: ledger_of(job).known(after=at[:-1], before=f"{at}Z")["value"].tolist() for at in times
    }


def test_a_fit_sees_what_each_night_knew(
    job: Job, nights: Callable[[int, float], Ran], at: At
) -> None:
    for day, says in ((0, 20.0), (1, 21.0), (2, 22.0)):
        ran = nights(FIRST + day, says)
        assert ran.code == 0, ran.err
    assert nights(FIRST + 3, 23.0).code == 0
    assert len(kept(job)) == 4
    assert not (job.folder / "store.runs" / "vintages").exists()
    panel = panel_to_fit(job, at, FIRST + 3)
    for back, says in ((1, 22.0), (2, 21.0), (3, 20.0)):
        then = panel.until(panel.origins - back)
        assert then.known[np.r_[-HORIZON:0], 0].tolist() == [says] * HORIZON
        assert then.known[then.slots(0)].max() < 15  # the past has its final values
    before = panel.until(panel.origins - 6)  # nobody kept what was known then
    assert before.known[-HORIZON:, 0].max() < 15
    assert panel.known[-HORIZON:, 0].tolist() == [23.0] * HORIZON
    job.file.write_text(job.file.read_text().replace('"never"', '"daily"'))
    ran = nights(FIRST + 4, 24.0)
    assert ran.code == 0, ran.err
    assert (
        "known    what earlier runs kept is used; before them, columns have the values of now"
        in ran.err
    )


def test_only_what_differs_from_the_night_before_is_kept(
    job: Job, nights: Callable[[int, float], Ran]
) -> None:
    for day in range(3):
        assert nights(FIRST + day, 20.0).code == 0
    assert [*map(len, kept(job).values())] == [2 * HORIZON, 2, 2]


def test_a_plan_that_never_changed_keeps_its_effects_at_a_refit(
    job: Job, forecast: Run, at: At
) -> None:
    price = np.exp(np.random.default_rng(1).normal(0, 0.15, 500))
    job.write(
        top='refit = "daily"',
        table='known = ["price"]\ntarget = "units"',
        checks='error_after = "9d"',
    )
    for day in (FIRST, FIRST + 1, FIRST + 2):
        table = job.table(days=day + 8)
        number = np.arange(len(table)) // 2
        units = (table["units"] / price[number] ** 1.5).where(number <= day)
        table.assign(units=units, price=price[number]).to_csv(job.folder / "sales.csv", index=False)
        ran = forecast("run", job.file, "--as-of", at(day))
        assert ran.code == 0, ran.err
        assert "columns  typical effect: price 2" in ran.err
    assert panel_to_fit(job, at, FIRST + 2).vintages is None


def test_off_keeps_and_uses_nothing(job: Job, nights: Callable[[int, float], Ran], at: At) -> None:
    assert nights(FIRST, 20.0).code == 0
    assert nights(FIRST + 1, 21.0).code == 0
    job.file.write_text(job.file.read_text().replace("[source]\n", '[source]\nvintages = "off"\n'))
    assert nights(FIRST + 2, 22.0).code == 0
    assert len(kept(job)) == 2
    assert panel_to_fit(job, at, FIRST + 2).vintages is None


def test_what_a_night_knew_comes_with_its_entry_and_a_repeat_replaces_it(
    job: Job, nights: Callable[[int, float], Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert nights(FIRST, 20.0).code == 0
    first = kept(job)
    entered = Ledger.add_run

    def killed_at_its_end(ledger: Ledger, run: Record, *parts: Any, **more: Any) -> None:
        if run.exit_code != KILLED:
            raise StorageFailure("stopped")
        entered(ledger, run, *parts, **more)

    with monkeypatch.context() as patched:
        patched.setattr(Ledger, "add_run", killed_at_its_end)
        assert nights(FIRST + 1, 99.0).code == 74
    assert kept(job) == first
    for says in (21.0, 22.0):
        assert nights(FIRST + 1, says).code == 0
        assert [{*values} for values in kept(job).values()] == [{20.0}, {says}]
    both = kept(job)
    assert nights(FIRST, 99.0).code == 0  # an older night is not rewritten by what is known now
    assert kept(job) == both


def test_a_fit_reads_no_more_than_its_table_reaches_back_and_names_what_is_damaged(
    job: Job, nights: Callable[[int, float], Ran], at: At
) -> None:
    for day in range(3):
        assert nights(FIRST + day, 20.0 + day).code == 0
    first = next(iter(kept(job)))
    with (
        closing(sqlite3.connect(job.folder / "store.runs" / "ledger.db")) as connection,
        connection,
    ):
        connection.execute(
            "UPDATE forecast_known SET cells = SUBSTR(cells, 1, 50) WHERE as_of = ?", [first]
        )
    problem = f"job 'job': the known values of the run as of {first} in the ledger are damaged, and left out"
    with held_back() as records:
        panel = panel_to_fit(job, at, FIRST + 2)
    assert [record.getMessage() for record in records].count(problem) == 1
    assert panel.until(panel.origins - 1).known[-HORIZON:, 0].tolist() == [21.0] * HORIZON
    table = pd.read_csv(job.folder / "sales.csv")
    start = pd.Timestamp("2024-01-01") + pd.Timedelta(days=FIRST + HORIZON + 3)
    later = table.assign(day=pd.to_datetime(table["day"]) + pd.Timedelta(days=FIRST + HORIZON + 3))
    later[later["day"] >= start].to_csv(job.folder / "sales.csv", index=False)
    with held_back() as records:
        panel_to_fit(job, at, 2 * FIRST + HORIZON)
    assert problem not in [record.getMessage() for record in records]


def test_a_ledger_in_a_database_has_what_was_known(
    job: Job,
    nights: Callable[[int, float], Ran],
    at: At,
    url: str,
    rows: Callable[[str, str], list[Any]],
) -> None:
    text = job.file.read_text().replace("[sink]\n", f'[sink]\nurl = "{url}"\ntable = "forecasts"\n')
    job.file.write_text(f'ledger = "sink"\n{text}')
    for day in range(2):
        ran = nights(FIRST + day, 20.0 + day)
        assert ran.code == 0, ran.err
    assert rows(url, "SELECT COUNT(*) FROM forecast_known") == [(2,)]
    panel = panel_to_fit(job, at, FIRST + 2)
    assert panel.until(panel.origins - 1).known[-HORIZON:, 0].tolist() == [20.0] * HORIZON


@pytest.mark.parametrize("apart", [False, True])
def test_a_job_uses_what_became_available_up_to_its_run(
    job: Job, nights: Callable[[int, float], Ran], forecast: Run, at: At, apart: bool
) -> None:
    nights(FIRST, 20.0)  # writes the table
    table = pd.read_csv(job.folder / "sales.csv")
    table["available_at"] = None
    ahead = table["units"].isna()
    issues = []
    for hour, says in (
        ("09:00", 30.0),
        ("11:59", 31.0),
        ("12:01", 32.0),
    ):  # the run is at noon, UTC
        day = pd.Timestamp("2024-01-02") + pd.Timedelta(days=FIRST)
        issues.append(table[ahead].assign(temp=says, available_at=f"{day:%Y-%m-%d} {hour}:00"))
    if apart:
        table[~ahead].drop(columns="available_at").to_csv(job.folder / "sales.csv", index=False)
        pd.concat(issues).drop(columns="units").to_csv(job.folder / "weather.csv", index=False)
        job.file.write_text(
            job.file.read_text().replace("[source]\n", '[source]\nfuture = "weather.csv"\n')
        )
    else:
        pd.concat([table[~ahead], *issues]).to_csv(job.folder / "sales.csv", index=False)
    ran = forecast("run", job.file, "--as-of", at(FIRST))
    assert ran.code == 0, ran.err
    panel = panel_to_fit(job, at, FIRST)
    assert panel.known[-HORIZON:, 0].tolist() == [31.0] * HORIZON


def test_words_of_a_wide_table_keep_their_meaning_where_columns_and_categories_change(
    job: Job, forecast: Run, at: At
) -> None:
    job.write(table='known = ["sky"]\nfreq = "D"', checks='output.on_error = "warn"')
    job.file.write_text(
        job.file.read_text()
        .replace('"seasonal-naive"', '"last"')
        .replace("horizon = 7", "horizon = 3")
    )
    for night, (says, columns, first) in enumerate(
        (("sun", ["north", "south"], "rain"), ("rain", ["south"], "fog"), ("sun", ["south"], "fog"))
    ):
        table = job.table(days=FIRST + 1 + night).pivot(
            index="day", columns="shop", values="units"
        )[columns]
        table["sky"] = [first, *["rain"] * (len(table) - 2), "sun"]
        days = pd.date_range(
            pd.Timestamp("2024-01-02") + pd.Timedelta(days=FIRST + night), periods=HORIZON
        )
        ahead = pd.DataFrame({"sky": says}, index=days.strftime("%Y-%m-%d"))
        pd.concat([table, ahead]).rename_axis("day").to_csv(job.folder / "sales.csv")
        if night < 2:
            ran = forecast("run", job.file, "--as-of", at(FIRST + night))
            assert ran.code == 0, ran.err
    pipeline = read_pipeline(str(job.file))
    tonight = read_table(str(job.folder / "sales.csv"), TextSettings())
    reading = read_to_fit(pipeline, parse_as_of(at(FIRST + 2)), JobInputs(tonight))[0]
    panel, names = reading.panel, reading.schema.categories["sky"]
    assert names == ("fog", "rain", "sun")
    for back, says in ((1, "rain"), (2, "sun")):
        codes = panel.until(panel.origins - back).known[-HORIZON:, 0]
        assert [names[int(code) - 1] for code in codes] == [says] * HORIZON


def test_rows_of_a_query_have_no_order_and_that_is_no_news(job: Job, forecast: Run, at: At) -> None:
    frame = job.table()
    with closing(sqlite3.connect(job.folder / "sales.db")) as connection, connection:
        frame.sample(frac=1, random_state=0).to_sql("sales", connection, index=False)
    job.write()
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    expected = job.output.read_bytes()
    source = 'url = "sqlite:///sales.db"\nsql = "SELECT shop, day, units FROM sales"'
    job.file.write_text(job.file.read_text().replace('path = "sales.csv"', source))
    ran = forecast("run", job.file, "--as-of", at(150))
    assert ran.code == 0, ran.err
    assert "sorted" not in ran.err
    assert job.record()["warnings"] == []
    assert sorted(job.output.read_bytes().splitlines()) == sorted(expected.splitlines())
