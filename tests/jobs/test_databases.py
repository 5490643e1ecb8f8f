"""A query as source, an upsert as sink, transactions for the ledger: on SQLite and on a real PostgreSQL server."""

import sqlite3

import numpy as np
import pandas as pd
import pytest

from forecast.errors import BadData
from forecast.jobs.databases import connect, read_query, upsert

KEYS = ["store", "day", "origin"]


def forecasts(rows: int = 4) -> pd.DataFrame:
    """What a run writes: id, time, origin, numbers."""
    return pd.DataFrame(
        {
            "store": [f"00{row % 2}" for row in range(rows)],
            "day": pd.date_range("2024-01-01", periods=rows),
            "origin": pd.Timestamp("2023-12-31"),
            "forecast": np.arange(rows, dtype=float),
            "lo_80": [None, *np.arange(1.0, rows)],
        }
    )


def rows(url: str, sql: str) -> list[tuple]:
    with connect(url) as transaction:
        return transaction.execute(sql)


def test_second_run_with_the_same_frame_leaves_the_same_rows(url):
    assert upsert(url, "f", forecasts(), KEYS) == 4
    first = rows(url, "SELECT * FROM f ORDER BY store, day")
    assert upsert(url, "f", forecasts(), KEYS) == 4
    assert rows(url, "SELECT * FROM f ORDER BY store, day") == first
    assert len(first) == 4


def test_rows_whose_keys_are_there_are_updated_and_others_are_left(url):
    upsert(url, "f", forecasts(), KEYS)
    upsert(url, "f", forecasts().assign(forecast=[7.0, None, 7.0, 7.0]).iloc[1:3], KEYS)
    assert rows(url, "SELECT forecast FROM f ORDER BY day") == [(0.0,), (None,), (7.0,), (3.0,)]


def test_what_was_written_is_read_back(url):
    upsert(url, "f", forecasts(), KEYS)
    table = read_query(url, "SELECT * FROM f ORDER BY day")
    assert table.frame["store"].tolist() == ["000", "001", "000", "001"]
    assert pd.DatetimeIndex(table.frame["day"]).equals(pd.DatetimeIndex(forecasts()["day"]))
    assert table.frame["lo_80"].isna().tolist() == [True, False, False, False]


def test_key_that_comes_twice_is_said_with_its_row_and_nothing_is_written(url):
    frame = pd.concat([forecasts(), forecasts().iloc[:1]])
    with pytest.raises(BadData, match=r"sink\.table f: row 5 has the keys of a row before it \(store 000, day 2024"):
        upsert(url, "f", frame, KEYS)


def test_exception_rolls_a_transaction_back_with_the_tables_that_it_created(url):
    def fail() -> None:
        with connect(url) as transaction:
            transaction.execute("CREATE TABLE runs (name TEXT)")
            transaction.execute("INSERT INTO runs VALUES (:name)", {"name": "a"})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with connect(url) as transaction:
        transaction.execute("CREATE TABLE runs (name TEXT)")
        assert transaction.execute("SELECT * FROM runs") == []


def test_reading_leaves_an_sqlite_file_as_it_is(tmp_path):
    path = tmp_path / "sales.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE sales (day TEXT, units INTEGER)")
        connection.execute("INSERT INTO sales VALUES ('2024-01-01', 1)")
    before = path.read_bytes()
    assert read_query(f"sqlite:///{path}", "SELECT * FROM sales").frame["units"].tolist() == [1]
    assert path.read_bytes() == before
