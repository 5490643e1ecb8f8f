"""A table that is there before forecasts are written to it, and the names of tables."""

import pandas as pd
import pytest

from forecast.errors import BadData, UsageError
from forecast.jobs.databases import upsert

KEYS = ["store", "day", "origin"]


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
    with pytest.raises(UsageError, match=r"sink\.table f lacks columns.*: Lo_80, model; did you mean 'lo_80'\?"):
        upsert(url, "f", forecasts().rename(columns={"lo_80": "Lo_80"}).assign(model="x"), KEYS)


def test_column_of_another_type_is_named(url, forecasts):
    upsert(url, "f", forecasts(), KEYS)
    with pytest.raises(BadData, match="column 'forecast' is of numbers, the forecasts have text"):
        upsert(url, "f", forecasts().assign(forecast="many"), KEYS)
    with pytest.raises(BadData, match="column 'store' is of text, the forecasts have whole numbers"):
        upsert(url, "f", forecasts().assign(store=[1, 2, 3, 4]), KEYS)


def test_column_without_any_value_fits_every_type(url, forecasts, rows):
    upsert(url, "f", forecasts(), KEYS)
    upsert(url, "f", forecasts().assign(lo_80=[None] * 4), KEYS)
    assert rows(url, "SELECT COUNT(*), COUNT(lo_80) FROM f") == [(4, 0)]


def test_zone_that_would_get_lost_is_refused(server, forecasts):
    upsert(server.url, "f", forecasts(), KEYS)
    with pytest.raises(BadData, match="column 'day' is of times without a zone, the forecasts have times with a zone"):
        upsert(server.url, "f", forecasts().assign(day=forecasts()["day"].dt.tz_localize("UTC")), KEYS)


def test_time_of_day_that_would_get_lost_is_refused(url, rows, run):
    run(url, "CREATE TABLE f (day DATE PRIMARY KEY, x INTEGER)")
    upsert(url, "f", pd.DataFrame({"day": pd.to_datetime(["2024-02-29"]), "x": 1}), ["day"])
    assert rows(url, "SELECT CAST(day AS TEXT), x FROM f") == [("2024-02-29", 1)]
    with pytest.raises(BadData, match="column 'day' is of dates"):
        upsert(url, "f", pd.DataFrame({"day": pd.to_datetime(["2024-02-29 01:00"]), "x": 1}), ["day"])


def test_ids_go_into_a_column_of_whole_numbers_where_they_are_such(url, rows, run):
    run(url, "CREATE TABLE f (id INTEGER PRIMARY KEY, x NUMERIC)")
    upsert(url, "f", pd.DataFrame({"id": ["7", "-12"], "x": [1, 2]}), ["id"])
    assert rows(url, "SELECT id FROM f ORDER BY id") == [(-12,), (7,)]
    for code in ("007", "7a", "7.0", ""):
        with pytest.raises(BadData, match="column 'id' is of whole numbers, the forecasts have text"):
            upsert(url, "f", pd.DataFrame({"id": [code], "x": [1]}), ["id"])


def test_table_without_an_index_over_the_keys_is_refused(url, run):
    run(url, "CREATE TABLE f (id TEXT, day TIMESTAMP, x REAL, PRIMARY KEY (id))")
    with pytest.raises(UsageError, match=r"sink\.table f has no primary key or unique index over exactly id, day"):
        upsert(url, "f", pd.DataFrame({"id": ["a"], "day": pd.Timestamp("2024"), "x": 1.0}), ["id", "day"])
    run(url, "CREATE UNIQUE INDEX two ON f (day, id)")
    assert upsert(url, "f", pd.DataFrame({"id": ["a"], "day": pd.Timestamp("2024"), "x": 1.0}), ["id", "day"]) == 1


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
    assert server.execute("SELECT COUNT(*) FROM public.f UNION ALL SELECT COUNT(*) FROM other.f") == [(4,), (2,)]


def test_sqlite_has_the_schema_main_and_no_other(tmp_path, forecasts):
    url = f"sqlite:///{tmp_path}/f.db"
    assert upsert(url, "main.f", forecasts(), KEYS) == 4
    with pytest.raises(UsageError, match=r"sink\.table: unknown database"):
        upsert(url, "other.f", forecasts(), KEYS)


def test_name_that_postgresql_would_cut_is_refused(server, forecasts):
    name = "ü" * 32
    with pytest.raises(UsageError, match="64 bytes, and PostgreSQL takes 63"):
        upsert(server.url, "f", forecasts().rename(columns={"forecast": name}), KEYS)
    assert upsert(server.url, "f", forecasts().rename(columns={"forecast": name[1:]}), KEYS) == 4
