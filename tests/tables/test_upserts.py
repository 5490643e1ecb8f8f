"""Rows of a frame in a table: inserted or updated, all of them or none."""

import datetime
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from forecast.errors import BadData, ForecastError, UsageError
from forecast.tables import databases
from forecast.tables.databases import connect, read_query, upsert

KEYS = ["store", "day", "origin"]


def test_second_run_with_the_same_frame_leaves_the_same_rows(url, forecasts, rows):
    assert upsert(url, "f", forecasts(), KEYS) == 4
    first = rows(url, "SELECT * FROM f ORDER BY store, day")
    assert upsert(url, "f", forecasts(), KEYS) == 4
    assert rows(url, "SELECT * FROM f ORDER BY store, day") == first
    assert len(first) == 4


def test_rows_whose_keys_are_there_are_updated_and_others_are_left(url, forecasts, rows):
    upsert(url, "f", forecasts(), KEYS)
    upsert(url, "f", forecasts().assign(forecast=[7.0, None, 7.0, 7.0]).iloc[1:3], KEYS)
    assert rows(url, "SELECT forecast FROM f ORDER BY day") == [(0.0,), (None,), (7.0,), (3.0,)]


def test_what_was_written_is_read_back(url, forecasts):
    frame = forecasts().assign(
        step=[1, 2, 3, 4], seen=pd.date_range("2024-03-31", periods=4, tz="Europe/Berlin")
    )
    upsert(url, "f", frame, KEYS)
    back = read_query(url, "SELECT * FROM f ORDER BY day")
    assert list(back.columns) == list(frame.columns)
    for name in ("store", "forecast", "lo_80", "step"):
        assert back[name].tolist() == pytest.approx(frame[name].tolist(), nan_ok=True), name
    assert (pd.DatetimeIndex(back["day"]) == pd.DatetimeIndex(frame["day"])).all()
    assert (pd.to_datetime(back["seen"], utc=True) == frame["seen"]).all()


def test_more_rows_than_are_sent_at_once_all_arrive_in_their_columns(
    url, monkeypatch, forecasts, rows
):
    monkeypatch.setattr(databases, "FETCHED_ROWS", 7)
    frame = forecasts(100)
    assert upsert(url, "f", frame, KEYS) == 100
    found = rows(url, "SELECT forecast, lo_80 FROM f ORDER BY day")
    assert found == [(float(row), float(row) if row else None) for row in range(100)]


def test_created_table_refuses_rows_without_a_key_and_rows_that_come_twice(url, forecasts, run):
    upsert(url, "f", forecasts(), KEYS)
    with pytest.raises(BadData, match=r"(?i)null"):
        run(url, "INSERT INTO f (store, day, forecast) VALUES ('x', '2024-01-01', 1)")
    with pytest.raises(BadData, match=r"(?i)unique"):
        run(url, "INSERT INTO f SELECT * FROM f")


def test_empty_text_and_missing_text_stay_two_things(url, rows):
    upsert(url, "f", pd.DataFrame({"id": ["a", "b", "c"], "model": ["", None, "NULL"]}), ["id"])
    assert rows(url, "SELECT model FROM f ORDER BY id") == [("",), (None,), ("NULL",)]


def test_text_of_every_kind_is_written_as_it_is(url, rows):
    texts = [
        "\\.",
        "\\N",
        '"',
        "'; DROP TABLE f; --",
        "a\nb\r\nc\r",
        "%s %(x)s :x ?",
        "ü🦊",
        "\t",
        "\\",
        "{}",
        ",",
    ]
    upsert(url, "f", pd.DataFrame({"id": texts, "n": range(len(texts))}), ["id"])
    assert [text for (text,) in rows(url, "SELECT id FROM f ORDER BY n")] == texts


def test_numbers_keep_every_digit(url, rows):
    numbers = [0.1, 1e300, -5e-324, 1 / 3, 123456789.123456789, np.inf]
    whole = [2**63 - 1, -(2**63), 0, 2**53 + 1, 7, -7]
    upsert(url, "f", pd.DataFrame({"id": range(6), "x": numbers, "n": whole}), ["id"])
    assert rows(url, "SELECT x, n FROM f ORDER BY id") == list(zip(numbers, whole, strict=True))


def test_whole_numbers_booleans_and_dates_have_their_columns(url, rows):
    frame = pd.DataFrame(
        {
            "id": ["b", "a"],
            "holiday": [True, None],
            "count": pd.array([None, 5], "Int64"),
            "since": [datetime.date(2024, 1, 1), None],
            "gap": [None, None],
        }
    )
    for _ in range(2):
        upsert(url, "f", frame, ["id"])
    (one, two) = rows(
        url, "SELECT id, holiday, count, CAST(since AS TEXT), gap FROM f ORDER BY id DESC"
    )
    assert one == ("b", True, None, "2024-01-01", None)
    assert two == ("a", None, 5, None, None)


def test_one_instant_is_one_key_whatever_its_zone_and_the_other_rows(url, rows):
    berlin = pd.DataFrame(
        {"at": pd.to_datetime(["2024-03-31 00:30", "2024-03-31 01:30"], utc=True), "x": [1, 2]}
    )
    upsert(url, "f", berlin.assign(at=berlin["at"].dt.tz_convert("Europe/Berlin")), ["at"])
    finer = pd.to_datetime(
        ["2024-03-31 01:30:00", "2024-03-31 01:30:00.25"], utc=True, format="ISO8601"
    )
    upsert(url, "f", pd.DataFrame({"at": finer, "x": [3, 4]}), ["at"])
    assert rows(url, "SELECT x FROM f ORDER BY at") == [(1,), (3,), (4,)]


def test_sqlite_gets_times_as_text_that_sorts(tmp_path, rows):
    url = f"sqlite:///{tmp_path}/f.db"
    day, instant = (
        pd.Timestamp("2024-01-31"),
        pd.Timestamp("2024-01-31 00:00:00.5", tz="Europe/Berlin"),
    )
    upsert(url, "f", pd.DataFrame({"id": ["a"], "day": [day], "instant": [instant]}), ["id"])
    assert rows(url, "SELECT day, instant FROM f") == [
        ("2024-01-31 00:00:00", "2024-01-30 23:00:00.500000+00:00")
    ]


def test_both_passes_of_the_hour_that_clocks_repeat_are_kept(url):
    hours = pd.date_range("2024-10-27 00:00", periods=3, freq="h", tz="UTC").tz_convert(
        "Europe/Berlin"
    )
    upsert(url, "f", pd.DataFrame({"at": hours, "x": [1, 2, 3]}), ["at"])
    back = read_query(url, "SELECT at FROM f ORDER BY at")
    assert (pd.to_datetime(back["at"], utc=True) == hours).all()


def test_frame_of_keys_only_and_frame_without_rows(url, forecasts, rows):
    frame = forecasts()[KEYS]
    assert [
        upsert(url, "f", frame, KEYS),
        upsert(url, "f", frame, KEYS),
        upsert(url, "f", frame[:0], KEYS),
    ] == [
        4,
        4,
        0,
    ]
    assert rows(url, "SELECT COUNT(*) FROM f") == [(4,)]


@pytest.mark.parametrize("name", ["", "a.b.c", "a.", ".b"])
def test_name_that_no_table_can_have_is_refused(url, name, forecasts):
    with pytest.raises(UsageError, match=r"sink\.table"):
        upsert(url, name, forecasts(), KEYS)


def test_value_that_cannot_be_stored_is_said_with_its_column(url, forecasts):
    with pytest.raises(BadData, match=r"column 'store' cannot be stored"):
        upsert(
            url,
            "f",
            forecasts().assign(store=pd.Series(["a", "b", "c", "\udc80"], dtype=object)),
            KEYS,
        )
    with pytest.raises(BadData, match=r"column 'n' cannot be stored"):
        upsert(url, "f", forecasts().assign(n=np.array([2**63] * 4, np.uint64)), KEYS)
    with pytest.raises(BadData, match=r"column 'day' cannot be stored"):
        upsert(url, "f", forecasts().assign(day=pd.to_datetime([1, 2, 3, 4], unit="ns")), KEYS)


def test_its_further_columns_are_left_alone(url, rows, run):
    run(
        url,
        "CREATE TABLE f (note TEXT DEFAULT 'new', id VARCHAR(9) UNIQUE, x REAL)",
        "INSERT INTO f VALUES ('old', 'a', 1)",
    )
    upsert(url, "f", pd.DataFrame({"id": ["a", "b"], "x": [2.0, 2.0]}), ["id"])
    assert rows(url, "SELECT * FROM f ORDER BY id") == [("old", "a", 2.0), ("new", "b", 2.0)]


def test_columns_that_it_lacks_are_named_and_not_added(url, forecasts):
    upsert(url, "f", forecasts(), KEYS)
    with pytest.raises(
        UsageError, match=r"sink\.table f lacks columns.*: Lo_80, model; did you mean 'lo_80'\?"
    ):
        upsert(url, "f", forecasts().rename(columns={"lo_80": "Lo_80"}).assign(model="x"), KEYS)


def test_column_of_another_type_is_named(server, forecasts):
    upsert(server.url, "f", forecasts(), KEYS)
    with pytest.raises(
        BadData, match="row 1, column forecast: invalid input syntax for type double precision"
    ):
        upsert(server.url, "f", forecasts().assign(forecast="many"), KEYS)


def test_column_without_any_value_fits_every_type(url, forecasts, rows):
    upsert(url, "f", forecasts(), KEYS)
    upsert(url, "f", forecasts().assign(lo_80=[None] * 4), KEYS)
    assert rows(url, "SELECT COUNT(*), COUNT(lo_80) FROM f") == [(4, 0)]


def test_zone_that_would_get_lost_is_refused(server, forecasts):
    upsert(server.url, "f", forecasts(), KEYS)
    with pytest.raises(
        UsageError, match="column 'day' is of times without a zone, unlike the forecasts"
    ):
        upsert(
            server.url, "f", forecasts().assign(day=forecasts()["day"].dt.tz_localize("UTC")), KEYS
        )


def test_time_of_day_that_would_get_lost_is_refused(url, rows, run):
    run(url, "CREATE TABLE f (day DATE PRIMARY KEY, x INTEGER)")
    upsert(url, "f", pd.DataFrame({"day": pd.to_datetime(["2024-02-29"]), "x": 1}), ["day"])
    assert rows(url, "SELECT CAST(day AS TEXT), x FROM f") == [("2024-02-29", 1)]
    with pytest.raises(UsageError, match="column 'day' is of dates"):
        upsert(
            url, "f", pd.DataFrame({"day": pd.to_datetime(["2024-02-29 01:00"]), "x": 1}), ["day"]
        )


def test_ids_go_into_a_column_of_whole_numbers_where_they_are_such(url, rows, run):
    run(url, "CREATE TABLE f (id INTEGER PRIMARY KEY, x NUMERIC)")
    upsert(url, "f", pd.DataFrame({"id": ["7", "-12"], "x": [1, 2]}), ["id"])
    assert rows(url, "SELECT id FROM f ORDER BY id") == [(-12,), (7,)]
    for code in ("007", "7a", "7.0", ""):
        with pytest.raises(
            UsageError, match="column 'id' is of whole numbers, the forecasts have text"
        ):
            upsert(url, "f", pd.DataFrame({"id": [code], "x": [1]}), ["id"])


def test_table_without_an_index_over_the_keys_is_refused(url, run):
    run(url, "CREATE TABLE f (id TEXT, day TIMESTAMP, x REAL, PRIMARY KEY (id))")
    with pytest.raises(
        UsageError, match=r"sink\.table f has no primary key or unique index over exactly id, day"
    ):
        upsert(
            url,
            "f",
            pd.DataFrame({"id": ["a"], "day": pd.Timestamp("2024"), "x": 1.0}),
            ["id", "day"],
        )
    run(url, "CREATE UNIQUE INDEX two ON f (day, id)")
    assert (
        upsert(
            url,
            "f",
            pd.DataFrame({"id": ["a"], "day": pd.Timestamp("2024"), "x": 1.0}),
            ["id", "day"],
        )
        == 1
    )


def test_value_that_it_refuses_is_said_with_its_row_and_column(server):
    server.execute("CREATE TABLE f (id VARCHAR(3) PRIMARY KEY, x SMALLINT)")
    with pytest.raises(BadData, match=r"sink\.table: row 2, column id: value too long"):
        upsert(server.url, "f", pd.DataFrame({"id": ["abc", "abcd"], "x": 1}), ["id"])
    with pytest.raises(BadData, match=r"row 1, column x: value \"40000\" is out of range"):
        upsert(server.url, "f", pd.DataFrame({"id": ["abc"], "x": 40_000}), ["id"])
    assert server.execute("SELECT * FROM f") == []


def test_column_that_must_not_be_null_is_named(url, run):
    run(url, "CREATE TABLE f (id TEXT PRIMARY KEY, note TEXT NOT NULL)")
    with pytest.raises(BadData, match=r"(?s)note"):
        upsert(url, "f", pd.DataFrame({"id": ["a"]}), ["id"])


def test_schema_and_table_are_created_and_found_again(server, forecasts):
    for _ in range(2):
        upsert(server.url, 'My "schema.F;', forecasts(), KEYS)
    assert server.execute('SELECT COUNT(*) FROM "My ""schema"."F;"') == [(4,)]


def test_table_of_one_name_in_another_schema_is_another_table(server, forecasts):
    upsert(server.url, "f", forecasts(), KEYS)
    upsert(server.url, "other.f", forecasts(2), KEYS)
    assert server.execute(
        "SELECT COUNT(*) FROM public.f UNION ALL SELECT COUNT(*) FROM other.f"
    ) == [(4,), (2,)]


def test_sqlite_has_the_schema_main_and_no_other(tmp_path, forecasts):
    url = f"sqlite:///{tmp_path}/f.db"
    assert upsert(url, "main.f", forecasts(), KEYS) == 4
    with pytest.raises(UsageError, match=r"sink\.table: .*SCHEMA.*syntax error"):
        upsert(url, "other.f", forecasts(), KEYS)


def test_name_that_postgresql_would_cut_is_refused(server, forecasts):
    name = "ü" * 32
    with pytest.raises(UsageError, match="64 bytes, and PostgreSQL takes 63"):
        upsert(server.url, "f", forecasts().rename(columns={"forecast": name}), KEYS)
    assert upsert(server.url, "f", forecasts().rename(columns={"forecast": name[1:]}), KEYS) == 4


NAMES = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0."), min_size=1, max_size=15
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
SQL_NAMES = st.sampled_from(
    ["select", "a b", 'quo"te', "%s", ":x", "ΣΣ", "ß", "x;--", "'", "?", "order", "COPY"]
)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
@given(
    table=NAMES.filter(lambda name: not name.lower().startswith("sqlite_")) | SQL_NAMES,
    columns=st.lists(NAMES | SQL_NAMES, min_size=2, max_size=4, unique_by=str.lower),
    ids=st.lists(TEXTS, min_size=1, max_size=8, unique=True),
)
def test_any_names_and_ids_come_back_as_they_were(url, table, columns, ids):
    frame = pd.DataFrame({name: ids[::-1] if place else ids for place, name in enumerate(columns)})
    for _ in range(2):
        upsert(url, table, frame, columns[:1])
    quoted = '"' + table.replace('"', '""') + '"'
    try:
        back = read_query(url, f"SELECT * FROM {quoted}")
    finally:
        with connect(url) as execute:
            execute(f"DROP TABLE {quoted}".replace(":", "\\:"))
    assert back.columns.tolist() == columns
    assert sorted(map(tuple, back.to_numpy())) == sorted(map(tuple, frame.to_numpy()))


CHILD = """
import sys, time
import pandas as pd
from forecast.tables import databases
from forecast.tables.databases import upsert

def stop():
    print("here", flush=True)
    time.sleep(60)

def stop_at_call(owner, name, number):
    function = getattr(owner, name)
    calls = []
    def call(*arguments):
        calls.append(name)
        found = function(*arguments)
        if len(calls) == number:
            stop()
        return found
    setattr(owner, name, call)

url, stage = sys.argv[1:]
databases.FETCHED_ROWS = 100
sqlite = url.startswith("sqlite")
if stage == "half":
    stop_at_call(databases, "_sqlite_values", 11) if sqlite else stop_at_call(databases.pyarrow.csv, "write_csv", 6)
else:
    stop_at_call(databases, "_upsert", 1)
upsert(url, "f", pd.DataFrame({"id": range(1000), "x": 2.0}), ["id"])
"""


@pytest.mark.parametrize("stage", ["half", "all but committed"])
def test_process_that_is_killed_in_an_upsert_leaves_the_old_rows(url, stage, rows):
    old = pd.DataFrame({"id": range(500), "x": 1.0})
    upsert(url, "f", old, ["id"])
    child = subprocess.Popen([sys.executable, "-c", CHILD, url, stage], stdout=subprocess.PIPE)
    with child:
        assert child.stdout.readline() == b"here\n"
        child.send_signal(signal.SIGKILL)
    assert child.returncode == -signal.SIGKILL
    # the next reader of SQLite rolls back what the killed process left
    assert read_query(url, "SELECT COUNT(*) AS n, SUM(x) AS x FROM f").to_numpy().tolist() == [
        [500, 500]
    ]
    assert upsert(url, "f", old.assign(x=3.0), ["id"]) == 500
    assert rows(url, "SELECT COUNT(*), SUM(x) FROM f") == [(500, 1500)]


def test_killed_process_leaves_no_table_that_it_created(url, rows):
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, url, "all but committed"], stdout=subprocess.PIPE
    )
    with child:
        assert child.stdout.readline() == b"here\n"
        child.send_signal(signal.SIGKILL)
    with pytest.raises(ForecastError, match=r"does not exist|no such table"):
        rows(url, "SELECT * FROM f")


def test_two_upserts_of_the_same_rows_at_once_wait_for_each_other(url):
    script = (
        "import sys\nimport pandas as pd\nfrom forecast.tables.databases import upsert\nsys.stdin.read()\n"
        "frame = pd.DataFrame({'id': range(2000), 'x': 1.0})[:: int(sys.argv[2])]\n"
        "for _ in range(5):\n    upsert(sys.argv[1], 'f', frame, ['id'])\n"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", script, url, way], stdin=subprocess.PIPE)
        for way in ("1", "-1")
    ]
    for one in both:
        one.stdin.close()
    assert [one.wait() for one in both] == [0, 0]
