"""A job that writes what to order of its items, into a file and a database."""

import sqlite3

import pandas as pd

from tests.conftest import At, Run
from tests.jobs.a_job import Job


def test_a_job_writes_what_to_order(job: Job, forecast: Run, at: At) -> None:
    items = job.folder / "items.csv"
    items.write_text(
        "shop,lead_time,review,service_level,on_hand\nnorth,2,4,95,100\ngone,1,1,90,\n"
    )
    database = job.folder / "orders.db"
    job.write(
        sink=f'url = "sqlite:///{database}"\ntable = "forecasts"',
        orders='items = "items.csv"\npath = "orders.csv"\ntable = "orders"',
    )
    checked = forecast("run", job.file, "--as-of", at(149), "--check")
    assert checked.code == 0, checked.err
    assert "table orders will be created" in checked.out + checked.err
    for day in (149, 150):
        ran = forecast("run", job.file, "--as-of", at(day))
        assert ran.code == 0, ran.err
    orders = pd.read_csv(job.folder / "orders.csv")
    assert orders["shop"].tolist() == ["north"]
    assert orders["day"].tolist() == ["2024-06-05"]
    assert job.record()["output"]["orders"] == {
        "path": str(job.folder / "orders.csv"),
        "table": "orders",
    }
    with sqlite3.connect(database) as connection:
        rows = connection.execute(
            "SELECT shop, origin, order_up_to FROM orders ORDER BY 2"
        ).fetchall()
    assert [row[0] for row in rows] == ["north", "north"]
    assert rows[1][2] == orders["order_up_to"].iloc[0]
    items.write_text("shop,lead_time,review,service_level\nnorth,4,9,95\n")
    refused = forecast("run", job.file, "--as-of", at(151), "--check")
    assert refused.code == 65
    assert "lead_time and review are 13 steps, and the horizon has 7" in refused.err
    job.write(orders='path = "orders.csv"')
    assert "[orders] names no items" in forecast("run", job.file, "--check").err
