"""What a query returns, as a frame."""

import sqlite3

import numpy as np
import pandas as pd
import pytest

from forecast.databases import read_query, upsert
from forecast.errors import BadData, ForecastError, NoInput, UsageError
from forecast.tables.reading import table_from_frame

KEYS = ["store", "day", "origin"]


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
    kinds = {"small": "i", "whole": "i", "price": "f", "whole_price": "f", "nan": "f", "real": "f", "flag": "b"}
    assert {name: frame[name].dtype.kind for name in kinds} == kinds
    assert [first["price"], first["whole_price"], first["whole"], first["flag"]] == [2.5, 5.0, 5, True]
    assert first["day"] == pd.Timestamp("2024-01-31")
    assert first["time"] == pd.Timestamp("2024-01-31 12:00")
    assert first["instant"] == pd.Timestamp("2024-01-31 11:00", tz="UTC")
    assert str(frame["instant"].dt.tz) == "Europe/Berlin"


def test_whole_numbers_with_gaps_keep_their_digits(url, run):
    run(url, "CREATE TABLE t (n BIGINT)", "INSERT INTO t VALUES (9007199254740993)", "INSERT INTO t VALUES (NULL)")
    frame = read_query(url, "SELECT n FROM t ORDER BY COALESCE(n, 0)")
    assert frame["n"].isna().tolist() == [True, False]
    assert frame["n"][1] == 9007199254740993


def test_placeholders_of_other_languages_are_plain_text(url):
    upsert(url, "t", pd.DataFrame({"x": ["50% :now ?"]}), ["x"])
    sql = "SELECT x, '%s :x ? %' AS y FROM t WHERE x LIKE '50\\%%' ESCAPE '\\' -- 100% :done"
    assert read_query(url, sql).to_numpy().tolist() == [["50% :now ?", "%s :x ? %"]]


def test_many_rows_come_in_their_order_and_types_agree_between_pieces(url, monkeypatch):
    monkeypatch.setattr("forecast.databases.connecting.BATCH_ROWS", 10)
    upsert(url, "t", pd.DataFrame({"n": range(95), "x": [None] * 50 + [0.5] * 45}), ["n"])
    frame = read_query(url, "SELECT * FROM t ORDER BY n")
    assert frame["n"].tolist() == list(range(95))
    assert frame["x"].isna().sum() == 50
    assert frame["x"].dtype == np.float64


def test_mixture_of_sqlite_becomes_numbers_or_else_text(tmp_path, monkeypatch):
    monkeypatch.setattr("forecast.databases.connecting.BATCH_ROWS", 1)
    path = tmp_path / "mixed.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (x, y)")
        connection.executemany("INSERT INTO t VALUES (?, ?)", [(1, 1), (2.5, "n/a"), (None, None)])
    frame = read_query(f"sqlite:///{path}", "SELECT * FROM t")
    assert frame["x"].tolist()[:2] == [1.0, 2.5]
    assert frame["y"].tolist()[:2] == ["1", "n/a"]
    assert frame.isna().sum().tolist() == [1, 1]


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


@pytest.mark.parametrize("sql", ["ATTACH '{}' AS other", "VACUUM INTO '{}'"])
def test_query_creates_no_other_file(tmp_path, sql):
    url, other = f"sqlite:///{tmp_path}/test.db", tmp_path / "other.db"
    upsert(url, "t", pd.DataFrame({"x": ["b"]}), ["x"])
    with pytest.raises(ForecastError, match=r"source\."):
        read_query(url, sql.format(other))
    assert not other.exists()


def test_function_that_changes_something_is_refused(server):
    server.execute("CREATE SEQUENCE s")
    with pytest.raises(NoInput, match=r"source\.url: cannot execute nextval\(\) in a read-only transaction"):
        read_query(server.url, "SELECT nextval('s')")


def test_value_that_cannot_be_computed_is_bad_data(server):
    with pytest.raises(BadData, match=r"source\.sql: division by zero"):
        read_query(server.url, "SELECT 1 / (n - 70000) FROM generate_series(1, 80000) AS n")
    with pytest.raises(BadData, match=r"source\.sql"):
        read_query(server.url, "SELECT date 'infinity'")
