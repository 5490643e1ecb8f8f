"""Databases by their URL: transactions, files and servers that fail, and passwords that nobody sees."""

import os
import re
import resource
import sqlite3
import subprocess
import sys
import traceback
from dataclasses import replace
from urllib.parse import quote

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.errors import BadData, Busy, CannotCreate, NoInput, StorageFailure, Unavailable, UsageError
from forecast.jobs.databases import connect, connecting, read_query, upsert

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


def test_wrong_sql_and_broken_constraints_are_said(url, run):
    with pytest.raises(UsageError, match="syntax error"):
        run(url, "SELEC 1")
    with pytest.raises(BadData, match=r"(?i)unique"):
        run(url, "CREATE TABLE runs (name TEXT PRIMARY KEY)", *["INSERT INTO runs VALUES ('a')"] * 2)


def test_transactions_and_the_creation_of_tables_wait_for_each_other(url, forecasts, rows, monkeypatch):
    monkeypatch.setattr(connecting, "LOCK_PATIENCE", 0.05)
    with connect(url):
        with pytest.raises(Busy):
            rows(url, "SELECT 1")
        with pytest.raises(Busy):
            upsert(url, "f", forecasts(), KEYS)
    assert upsert(url, "f", forecasts(), KEYS) == 4


def test_reading_leaves_it_as_it_is(tmp_path):
    path = tmp_path / "sales # ü.db"
    with sqlite3.connect(path) as connection:
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


def test_one_that_is_none_is_bad_data(tmp_path):
    (tmp_path / "sales.csv").write_text("day,units\n" * 100)
    with pytest.raises(BadData, match=r"source\.url: file is not a database"):
        read_query(f"sqlite:///{tmp_path}/sales.csv", "SELECT * FROM t")


def test_folder_that_is_missing_cannot_be_written(tmp_path, forecasts):
    with pytest.raises(CannotCreate, match=r"sink\.url: unable to open"):
        upsert(f"sqlite:///{tmp_path}/none/f.db", "f", forecasts(), KEYS)


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "sqlite:///file:x?mode=memory&uri=true"])
def test_memory_is_no_place_for_forecasts(url, forecasts):
    with pytest.raises(UsageError, match=r"sink\.url must name the file"):
        upsert(url, "f", forecasts(), KEYS)


def test_another_writer_makes_it_busy(tmp_path, forecasts):
    url = f"sqlite:///{tmp_path}/f.db"
    upsert(url, "f", forecasts(), KEYS)
    with connect(url), pytest.raises(Busy, match=r"sink\.url: database is locked"):
        upsert(f"{url}?timeout=0", "f", forecasts(), KEYS)


def test_full_disk_is_a_storage_failure_and_leaves_the_old_rows(tmp_path, forecasts, rows):
    url = f"sqlite:///{tmp_path}/f.db"
    upsert(url, "f", forecasts(), KEYS)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    try:
        with pytest.raises(StorageFailure, match=r"sink\.url: .*; check the disk"):
            upsert(url, "f", forecasts(20_000), KEYS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert rows(url, "SELECT COUNT(*) FROM f") == [(4,)]


def test_text_that_is_no_utf_8_is_bad_data(tmp_path):
    with sqlite3.connect(tmp_path / "f.db") as connection:
        connection.execute("CREATE TABLE t (x TEXT)")
        connection.execute("INSERT INTO t VALUES (CAST(x'ff' AS TEXT))")
    with pytest.raises(BadData, match=r"source\.sql: Could not decode"):
        read_query(f"sqlite:///{tmp_path}/f.db", "SELECT * FROM t")


def test_wrong_password_and_missing_database_and_no_server_are_unavailable(server):
    for wrong in (replace(server, password="wrong"), replace(server, database="none"), replace(server, port=1)):
        with pytest.raises(Unavailable, match=r"source\.url: connection failed") as caught:
            read_query(wrong.url, "SELECT 1")
        assert wrong.password not in str(caught.value)


def test_server_that_goes_in_a_transaction_is_unavailable(server):
    def fail() -> None:
        with connect(server.url) as execute:
            ((process,),) = execute("SELECT pg_backend_pid()")
            server.execute("SELECT pg_terminate_backend(%s)", process)
            execute("SELECT 1")

    with pytest.raises(Unavailable, match=r"sink\.url: .*terminating connection"):
        fail()


def test_user_without_rights_has_no_input_and_cannot_create(server):
    server.execute("CREATE TABLE t (id TEXT PRIMARY KEY)")
    server.execute("DROP ROLE IF EXISTS guest")
    server.execute("CREATE ROLE guest LOGIN PASSWORD 'guest'")
    guest = replace(server, user="guest", password="guest")
    with pytest.raises(NoInput, match=r"source\.url: permission denied for table t"):
        read_query(guest.url, "SELECT * FROM t")
    for table in ("t", "new", "new.new"):
        with pytest.raises(CannotCreate, match=r"sink\.url: permission denied"):
            upsert(guest.url, table, pd.DataFrame({"id": ["a"]}), ["id"])


def test_locked_table_is_busy(server, monkeypatch, forecasts):
    monkeypatch.setattr(connecting, "LOCK_PATIENCE", 0.05)
    upsert(server.url, "f", forecasts(), KEYS)
    with connect(server.url) as execute:
        execute("LOCK TABLE f")
        with pytest.raises(Busy, match=r"sink\.url: canceling statement due to lock timeout"):
            upsert(server.url, "f", forecasts(), KEYS)
        with pytest.raises(Busy, match=r"source\.url"):
            read_query(server.url, "SELECT * FROM f")


@pytest.mark.parametrize("scheme", ["postgres", "postgresql+psycopg", "postgresql+psycopg2"])
def test_every_way_to_write_its_url_works(server, scheme):
    assert read_query(server.url.replace("postgresql", scheme, 1), "SELECT 1 AS x")["x"].tolist() == [1]


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
    form=st.sampled_from(["me:{}@127.0.0.1:1/db", "me:{}@127.0.0.1:1", "127.0.0.1:1/db?password={}"]),
    escape=st.booleans(),
)
def test_no_part_of_any_password_is_shown_even_where_its_url_is_wrong(password, form, escape):
    with pytest.raises((UsageError, Unavailable)) as caught:
        read_query("postgresql://" + form.format(quote(password, "") if escape else password), "SELECT 1")
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
    assert not (tmp_path / "x.db").exists()
    with connect(f"sqlite:///{tmp_path}/x.db?timeout=3"):
        pass


def test_password_in_a_message_of_the_server_is_hidden(server):
    sql = f"SELECT CAST('{server.password}' AS integer)"
    with pytest.raises(BadData, match=r"invalid input syntax for type integer: \"\*\*\*\""):
        read_query(server.url, sql)
    with pytest.raises(BadData, match=r"\"\*\*\*\""):
        read_query(server.url, sql.replace(server.password, quote(server.password, "")))


def test_dialect_that_nearly_is_one_is_guessed():
    with pytest.raises(UsageError, match="SQLAlchemy does not know the database 'postgre'; did you mean 'postgresql'"):
        read_query("postgre://host/db", "SELECT 1")


@pytest.mark.parametrize("url", ["", "sales.db", "/data/sales.db", "host:5432", "://"])
def test_text_that_is_no_url_is_usage(url):
    with pytest.raises(UsageError, match=r"source\.url"):
        read_query(url, "SELECT 1")


def test_forecasts_are_not_written_to_a_database_without_upsert(forecasts):
    with pytest.raises(UsageError, match="written to SQLite and PostgreSQL, not to mysql"):
        upsert("mysql+pymysql://host/db", "f", forecasts(), KEYS)


@pytest.mark.parametrize("missing", ["sqlalchemy", "psycopg"])
@pytest.mark.parametrize("call", ["read_query(url, 'SELECT 1')", "upsert(url, 'f', DataFrame({'id': ['a']}), ['id'])"])
def test_missing_extra_is_said_with_the_command_that_installs_it(missing, call):
    script = f"""
import sys
from pandas import DataFrame
from forecast.errors import Unavailable
sys.modules["{missing}"] = None
from forecast.jobs import databases
url = "postgresql://127.0.0.1:1/x"
try:
    databases.{call}
except Unavailable as error:
    print(error)
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "pip install 'forecast[db]'" in ran.stdout, ran.stderr


def test_a_job_without_a_database_loads_nothing_of_them():
    script = "import sys, forecast.jobs.databases; print(sorted({'sqlalchemy', 'psycopg', 'pandas'} & {*sys.modules}))"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout == "[]\n"
