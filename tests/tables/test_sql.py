"""Errors of databases become ours: exit code, place and remedy, and no password."""

import resource
import sqlite3
from contextlib import closing
from dataclasses import replace
from urllib.parse import quote

import pandas as pd
import pytest

from forecast.errors import (
    BadData,
    Busy,
    CannotCreate,
    NoInput,
    StorageFailure,
    Unavailable,
    UsageError,
)
from forecast.tables import databases
from forecast.tables.databases import connect, read_query, upsert

KEYS = ["store", "day", "origin"]


def test_one_that_is_none_is_bad_data(tmp_path):
    (tmp_path / "sales.csv").write_text("day,units\n" * 100)
    with pytest.raises(BadData, match=r"source\.url: file is not a database"):
        read_query(f"sqlite:///{tmp_path}/sales.csv", "SELECT * FROM t")


def test_folder_that_is_missing_cannot_be_written(tmp_path, forecasts):
    with pytest.raises(CannotCreate, match=r"sink\.url: unable to open"):
        upsert(f"sqlite:///{tmp_path}/none/f.db", "f", forecasts(), KEYS)


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
    with closing(sqlite3.connect(tmp_path / "f.db")) as connection, connection:
        connection.execute("CREATE TABLE t (x TEXT)")
        connection.execute("INSERT INTO t VALUES (CAST(x'ff' AS TEXT))")
    with pytest.raises(BadData, match=r"source\.sql: Could not decode"):
        read_query(f"sqlite:///{tmp_path}/f.db", "SELECT * FROM t")


def test_wrong_password_and_missing_database_and_no_server_are_unavailable(server):
    for wrong in (
        replace(server, password="wrong"),
        replace(server, database="none"),
        replace(server, port=1),
    ):
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
    monkeypatch.setattr(databases, "DATABASE_PATIENCE", 0.05)
    upsert(server.url, "f", forecasts(), KEYS)
    with connect(server.url) as execute:
        execute("LOCK TABLE f")
        with pytest.raises(Busy, match=r"sink\.url: canceling statement due to lock timeout"):
            upsert(server.url, "f", forecasts(), KEYS)
        with pytest.raises(Busy, match=r"source\.url"):
            read_query(server.url, "SELECT * FROM f")


def test_statement_that_takes_too_long_is_told_from_a_server_that_is_away(server):
    url = f"{server.url}?options=-c%20statement_timeout%3D20"
    problem = r"^source\.sql: canceling statement due to statement timeout; make the statement faster, or give it more"
    with pytest.raises(Unavailable, match=problem):
        read_query(url, "SELECT COUNT(*) FROM generate_series(1, 1000000000)")


def test_password_in_a_message_of_the_server_is_hidden(server):
    sql = f"SELECT CAST('{server.password}' AS integer)"
    with pytest.raises(BadData, match=r"invalid input syntax for type integer: \"\*\*\*\""):
        read_query(server.url, sql)
    with pytest.raises(BadData, match=r"\"\*\*\*\""):
        read_query(server.url, sql.replace(server.password, quote(server.password, "")))


def test_wrong_sql_and_broken_constraints_are_said(url, run):
    with pytest.raises(UsageError, match="syntax error"):
        run(url, "SELEC 1")
    with pytest.raises(BadData, match=r"(?i)unique"):
        run(
            url, "CREATE TABLE runs (name TEXT PRIMARY KEY)", *["INSERT INTO runs VALUES ('a')"] * 2
        )
