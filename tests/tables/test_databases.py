"""Databases by their URL: queries, transactions, files and servers that fail, and passwords that nobody sees."""

import os
import re
import sqlite3
import subprocess
import sys
import traceback
from contextlib import closing
from urllib.parse import quote

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from forecast.errors import BadData, Busy, ForecastError, NoInput, Unavailable, UsageError
from forecast.tables import databases
from forecast.tables.databases import connect, read_query, upsert
from forecast.tables.reading import table_from_frame
from tests.tables._mysql import register

KEYS = ["store", "day", "origin"]
SECRET = "hunter2"


def test_it_takes_named_parameters_for_one_statement_or_many(url, rows):
    with connect(url) as execute:
        assert execute("CREATE TABLE runs (name TEXT PRIMARY KEY, code BIGINT)") == []
        many = [{"name": "a", "code": 1}, {"name": "b", "code": None}]
        assert execute("INSERT INTO runs VALUES (:name, :code)", many) == []
        execute("INSERT INTO runs VALUES (:name, :code)", {"name": "c'", "code": 2**40})
        assert execute("SELECT * FROM runs WHERE name > :name ORDER BY name", {"name": "a"}) == [
            ("b", None),
            ("c'", 2**40),
        ]
    assert rows(url, "SELECT COUNT(*) FROM runs") == [(3,)]


def test_exception_rolls_it_back_with_the_tables_that_it_created(url, rows, run):
    def fail() -> None:
        with connect(url) as execute:
            execute("CREATE TABLE runs (name TEXT)")
            execute("INSERT INTO runs VALUES (:name)", {"name": "a"})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    run(url, "CREATE TABLE runs (name TEXT)")
    assert rows(url, "SELECT * FROM runs") == []


def test_transactions_and_the_creation_of_tables_wait_for_each_other(
    url, forecasts, rows, monkeypatch
):
    monkeypatch.setattr(databases, "DATABASE_PATIENCE", 0.05)
    monkeypatch.setitem(databases.CONNECT_ARGUMENTS, "sqlite", {"timeout": 0.05})
    with connect(url):
        with pytest.raises(Busy):
            rows(url, "SELECT 1")
        with pytest.raises(Busy):
            upsert(url, "f", forecasts(), KEYS)
    assert upsert(url, "f", forecasts(), KEYS) == 4


def test_reading_leaves_it_as_it_is(tmp_path):
    path = tmp_path / "sales # ü.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE sales (day TEXT, units INTEGER)")
        connection.execute("INSERT INTO sales VALUES ('2024-01-01', 1)")
    before = path.read_bytes()
    assert read_query(f"sqlite:///{path}", "SELECT * FROM sales")["units"].tolist() == [1]
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [path.name]


def test_one_that_is_not_there_is_no_input_and_is_not_created(tmp_path):
    with pytest.raises(NoInput, match=r"source\.url: .*sales\.db does not exist"):
        read_query(f"sqlite:///{tmp_path}/sales.db", "SELECT 1")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///:memory:", "sqlite:///file:x?mode=memory&uri=true"]
)
def test_memory_is_no_place_for_forecasts(url, forecasts):
    with pytest.raises(UsageError, match=r"sink\.url must name the file"):
        upsert(url, "f", forecasts(), KEYS)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql+psycopg", "postgresql+psycopg2"])
def test_every_way_to_write_its_url_works(server, scheme):
    assert read_query(server.url.replace("postgresql", scheme, 1), "SELECT 1 AS x")[
        "x"
    ].tolist() == [1]


@pytest.mark.parametrize(
    "url",
    [
        f"{SECRET}",
        f"postgresql:{SECRET}",
        f"postgresql://me:{SECRET}@host:port/db",
        f"postgresql://me:x@{SECRET}@127.0.0.1:1/db",
        f"postgresql://me:x@{SECRET}:y/z@127.0.0.1:1/db",
        f"postgresql://me:{SECRET}@127.0.0.1:1/db",
        f"postgresql://127.0.0.1:1/db?user=me&password={SECRET}",
        f"postgresql://127.0.0.1:1/db?sslpassword={SECRET}&sslmode={SECRET}",
        f"postgresql://me:{SECRET}@127.0.0.1:1/db?nonsense=1",
        f"postgresql://me:{SECRET}@127.0.0.1:1/db?connect_timeout=x",
        f"postgresql://me:{SECRET}@[::1/db",
        f"oracle+nothing://me:{SECRET}@127.0.0.1/db",
        f"mysql://me:{SECRET}@127.0.0.1/db",
        f"mssql+pyodbc://me:{SECRET}@127.0.0.1/db",
        f"postgre://me:{SECRET}@127.0.0.1/db",
        f"sqlite://me:{SECRET}@127.0.0.1/db",
    ],
)
@pytest.mark.parametrize(
    ("call", "key"),
    [
        (lambda url: read_query(url, "SELECT 1"), "source.url"),
        (lambda url: upsert(url, "f", pd.DataFrame({"id": ["a"]}), ["id"]), "sink.url"),
        (lambda url: connect(url).__enter__(), "sink.url"),
    ],
    ids=["read_query", "upsert", "connect"],
)
def test_no_message_shows_a_password(url, call, key):
    with pytest.raises((UsageError, Unavailable)) as caught:
        call(url)
    assert str(caught.value).startswith(key)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


@settings(max_examples=60, deadline=None)
@given(
    password=st.text(st.sampled_from("abXY019@:/?#%&=+ ;[]'\"\\é"), min_size=6, max_size=14),
    form=st.sampled_from(
        ["me:{}@127.0.0.1:1/db", "me:{}@127.0.0.1:1", "127.0.0.1:1/db?password={}"]
    ),
    escape=st.booleans(),
)
@example(password="&0000=0", form="127.0.0.1:1/db?password={}", escape=False)
def test_no_part_of_any_password_is_shown_even_where_its_url_is_wrong(password, form, escape):
    with pytest.raises((UsageError, Unavailable)) as caught:
        read_query(
            "postgresql://" + form.format(quote(password, "") if escape else password), "SELECT 1"
        )
    for part in [password, quote(password, ""), *re.split(r"\W", password)]:
        assert len(part) < 4 or part not in str(caught.value)


def test_password_as_a_query_parameter_works_or_is_refused(server, tmp_path):
    secret = quote(server.password, "")
    url = f"postgresql://127.0.0.1:{server.port}/{server.database}?user={server.user}&password={secret}"
    assert read_query(url, "SELECT 1 AS x")["x"].tolist() == [1]
    for query in (f"password={SECRET}", f"timeout=3&{SECRET}=1", f"uri=true&key={SECRET}"):
        for call in (lambda url: connect(url).__enter__(), lambda url: read_query(url, "SELECT 1")):
            with pytest.raises(UsageError, match="SQLite has no passwords") as caught:
                call(f"sqlite:///{tmp_path}/x.db?{query}")
            assert SECRET not in str(caught.value)
    for seconds in ("soon", "nan", "-1", "3&timeout=4"):
        with pytest.raises(UsageError, match="timeout=SECONDS"):
            connect(f"sqlite:///{tmp_path}/x.db?timeout={seconds}").__enter__()
    assert not (tmp_path / "x.db").exists()
    with connect(f"sqlite:///{tmp_path}/x.db?timeout=3"):
        pass


@pytest.mark.parametrize("url", ["", "sales.db", "/data/sales.db", "host:5432", "://"])
def test_text_that_is_no_url_is_usage(url):
    with pytest.raises(UsageError, match=r"source\.url"):
        read_query(url, "SELECT 1")


def test_forecasts_are_not_written_to_a_database_without_upsert(forecasts):
    with pytest.raises(UsageError, match="written to SQLite and PostgreSQL, not to mysql"):
        upsert("mysql+pymysql://host/db", "f", forecasts(), KEYS)


@pytest.mark.parametrize("missing", ["sqlalchemy", "psycopg"])
@pytest.mark.parametrize(
    "call", ["read_query(url, 'SELECT 1')", "upsert(url, 'f', DataFrame({'id': ['a']}), ['id'])"]
)
def test_missing_extra_is_said_with_the_command_that_installs_it(missing, call):
    script = f"""
import sys
from pandas import DataFrame
from forecast.errors import Unavailable
sys.modules["{missing}"] = None
url = "postgresql://127.0.0.1:1/x"
try:
    from forecast.tables.databases import read_query, upsert
    {call}
except Unavailable as error:
    print(error)
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "pip install '.[db]'" in ran.stdout, ran.stderr


def test_a_job_without_a_database_loads_nothing_of_them():
    script = "import sys, forecast.tables.sql; print(sorted({'sqlalchemy', 'psycopg', 'pandas'} & {*sys.modules}))"
    assert (
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout
        == "[]\n"
    )


def test_types_of_postgresql(server):
    sql = """SELECT 'x'::text AS text, '007'::varchar AS id, 1::smallint AS small, 2.50::numeric(10, 2) AS price,
        5::numeric(10, 2) AS whole_price, 5::numeric(10) AS whole, 12345678901234567890::numeric AS long_id,
        'NaN'::numeric AS nan, 1.5::real AS real, true AS flag, date '2024-01-31' AS day,
        timestamp '2024-01-31 12:00' AS time, timestamptz '2024-01-31 12:00+01' AS instant,
        time '12:00' AS clock, 'a'::char(3) AS padded, '{"a": 1}'::jsonb AS json,
        'f81d4fae-7dec-11d0-a765-00a0c91e6bf6'::uuid AS uuid, NULL::int AS nothing"""
    frame = read_query(server.url + "?options=-c%20timezone%3DEurope/Berlin", sql)
    first = {name: values[0] for name, values in frame.items()}
    texts = {
        "text": "x", "id": "007", "padded": "a  ", "clock": "12:00:00", "json": "{'a': 1}",
        "long_id": "12345678901234567890", "uuid": "f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
    }  # fmt: skip
    assert {name: first[name] for name in texts} == texts
    assert [name for name in first if pd.isna(first[name])] == ["nan", "nothing"]
    kinds = {
        "small": "i",
        "whole": "i",
        "price": "f",
        "whole_price": "f",
        "nan": "f",
        "real": "f",
        "flag": "b",
    }
    assert {name: frame[name].dtype.kind for name in kinds} == kinds
    assert [first["price"], first["whole_price"], first["whole"], first["flag"]] == [
        2.5,
        5.0,
        5,
        True,
    ]
    assert first["day"] == pd.Timestamp("2024-01-31")
    assert first["time"] == pd.Timestamp("2024-01-31 12:00")
    assert first["instant"] == pd.Timestamp("2024-01-31 11:00", tz="UTC")
    assert str(frame["instant"].dt.tz) == "Europe/Berlin"


def test_whole_numbers_with_gaps_keep_their_digits(url, run):
    run(
        url,
        "CREATE TABLE t (n BIGINT)",
        "INSERT INTO t VALUES (9007199254740993)",
        "INSERT INTO t VALUES (NULL)",
    )
    frame = read_query(url, "SELECT n FROM t ORDER BY COALESCE(n, 0)")
    assert frame["n"].isna().tolist() == [True, False]
    assert frame["n"][1] == 9007199254740993


def test_placeholders_of_other_languages_are_plain_text(url):
    upsert(url, "t", pd.DataFrame({"x": ["50% :now ?"]}), ["x"])
    sql = "SELECT x, '%s :x ? %' AS y FROM t WHERE x LIKE '50\\%%' ESCAPE '\\' -- 100% :done"
    assert read_query(url, sql).to_numpy().tolist() == [["50% :now ?", "%s :x ? %"]]


def test_many_rows_come_in_their_order_and_types_agree_between_pieces(url, monkeypatch):
    monkeypatch.setattr("forecast.tables.databases.FETCHED_ROWS", 10)
    upsert(url, "t", pd.DataFrame({"n": range(95), "x": [None] * 50 + [0.5] * 45}), ["n"])
    frame = read_query(url, "SELECT * FROM t ORDER BY n")
    assert frame["n"].tolist() == list(range(95))
    assert frame["x"].isna().sum() == 50
    assert frame["x"].dtype == np.float64


def test_mixture_of_sqlite_becomes_numbers_or_else_text(tmp_path, monkeypatch):
    monkeypatch.setattr("forecast.tables.databases.FETCHED_ROWS", 1)
    path = tmp_path / "mixed.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE t (x, y)")
        connection.executemany("INSERT INTO t VALUES (?, ?)", [(1, 1), (2.5, "n/a"), (None, None)])
    frame = read_query(f"sqlite:///{path}", "SELECT * FROM t")
    assert frame["x"].tolist()[:2] == [1.0, 2.5]
    assert frame["y"].tolist()[:2] == ["1", "n/a"]
    assert frame.isna().sum().tolist() == [1, 1]


def test_whole_numbers_that_no_float_holds_are_text_beside_others(tmp_path, monkeypatch):
    path = tmp_path / "mixed.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE t (x)")
        connection.executemany("INSERT INTO t VALUES (?)", [(9007199254740993,), (2.5,)])
    whole = read_query(f"sqlite:///{path}", "SELECT * FROM t")
    monkeypatch.setattr("forecast.tables.databases.FETCHED_ROWS", 1)
    parts = read_query(f"sqlite:///{path}", "SELECT * FROM t")
    assert whole["x"].tolist() == parts["x"].tolist() == ["9007199254740993", "2.5"]


def test_binary_data_are_refused_with_their_column(url, run):
    run(url, f"CREATE TABLE t (x {'BLOB' if url.startswith('sqlite') else 'BYTEA'})")
    run(
        url,
        "INSERT INTO t VALUES (NULL)",
        "INSERT INTO t VALUES ('a')" if "post" in url else "INSERT INTO t VALUES (x'61')",
    )
    with pytest.raises(BadData, match=r"source\.sql, column 'x' contains binary data"):
        read_query(url, "SELECT * FROM t")


def test_query_without_rows_is_a_table_without_rows(url, forecasts):
    upsert(url, "t", forecasts(), KEYS)
    frame = read_query(url, "SELECT * FROM t WHERE 1 = 0")
    assert list(frame.columns) == list(forecasts().columns)
    with pytest.raises(BadData, match="query holds no rows"):
        table_from_frame(frame, "query")


def test_two_columns_of_one_name_are_for_the_table_to_refuse(url, forecasts):
    upsert(url, "t", forecasts(), KEYS)
    with pytest.raises(BadData, match=r"several columns.*called 'day'"):
        table_from_frame(read_query(url, "SELECT day, day FROM t"))


def test_wrong_query_is_usage_and_a_missing_table_no_input(url, forecasts):
    upsert(url, "t", forecasts(), KEYS)
    with pytest.raises(UsageError, match=r"source\.sql: .*syntax"):
        read_query(url, "SELECT FROM WHERE")
    with pytest.raises(UsageError, match=r"source\.sql: .*nope"):
        read_query(url, "SELECT nope FROM t")
    with pytest.raises(NoInput, match=r"source\.sql: .*sales"):
        read_query(url, "SELECT * FROM sales")
    with pytest.raises(UsageError, match=r"source\.sql"):
        read_query(url, "")


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM t",
        "DROP TABLE t",
        "INSERT INTO t VALUES ('a')",
        "SELECT 1; DELETE FROM t",
        "DELETE FROM t RETURNING x",
    ],
)
def test_query_can_change_nothing(url, sql, rows):
    upsert(url, "t", pd.DataFrame({"x": ["b"]}), ["x"])
    with pytest.raises(ForecastError, match=r"source\."):
        read_query(url, sql)
    assert rows(url, "SELECT * FROM t") == [("b",)]


def test_query_changes_nothing_in_a_database_of_another_kind(tmp_path):
    register()
    with closing(sqlite3.connect(tmp_path / "f.db")) as connection, connection:
        connection.execute("CREATE TABLE t (x)")
        connection.execute("INSERT INTO t VALUES ('b')")
    frame = read_query(f"mysql+file:///{tmp_path}/f.db", "DELETE FROM t RETURNING x")
    assert frame["x"].tolist() == ["b"]
    with closing(sqlite3.connect(tmp_path / "f.db")) as connection, connection:
        assert connection.execute("SELECT * FROM t").fetchall() == [("b",)]


def test_rows_that_do_not_fit_into_memory_are_refused_while_they_are_fetched(url, monkeypatch):
    upsert(url, "t", pd.DataFrame({"n": range(10_000), "text": "x" * 90}), ["n"])
    monkeypatch.setattr(databases, "FETCHED_ROWS", 100)
    monkeypatch.setattr(databases, "free_memory", lambda: 3_000_000)
    problem = r"source\.sql takes 0\.0 GiB of memory or more to read, and 0\.0 GiB are free; split it by series"
    with pytest.raises(Unavailable, match=problem) as caught:
        read_query(url, "SELECT * FROM t")
    assert caught.value.exit_code == 69
    assert len(read_query(url, "SELECT * FROM t WHERE n < 5000")) == 5_000


@pytest.mark.parametrize("sql", ["ATTACH '{}' AS other", "VACUUM INTO '{}'"])
def test_query_creates_no_other_file(tmp_path, sql):
    url, other = f"sqlite:///{tmp_path}/test.db", tmp_path / "other.db"
    upsert(url, "t", pd.DataFrame({"x": ["b"]}), ["x"])
    with pytest.raises(ForecastError, match=r"source\."):
        read_query(url, sql.format(other))
    assert not other.exists()


def test_function_that_changes_something_is_refused(server):
    server.execute("CREATE SEQUENCE s")
    with pytest.raises(
        NoInput, match=r"source\.url: cannot execute nextval\(\) in a read-only transaction"
    ):
        read_query(server.url, "SELECT nextval('s')")


def test_value_that_cannot_be_computed_is_bad_data(server):
    with pytest.raises(BadData, match=r"source\.sql: division by zero"):
        read_query(server.url, "SELECT 1 / (n - 70000) FROM generate_series(1, 80000) AS n")
    with pytest.raises(BadData, match=r"source\.sql"):
        read_query(server.url, "SELECT date 'infinity'")
