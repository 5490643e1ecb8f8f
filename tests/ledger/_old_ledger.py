"""Make a ledger one as 0.2.0 wrote it: a row for each forecast, or none of the columns of raw quantiles."""

import pandas as pd

from forecast.databases import connect
from forecast.ledger.ledger import COLUMNS, OLD_TABLE, RAW, unpacked


def age(url: str, raw: bool) -> None:
    """Put the forecasts of all jobs into the old table, with raw quantiles or without."""
    names = [name for name in COLUMNS if name != "streak" and (raw or name not in RAW)]
    types = {"series": "TEXT NOT NULL", "step": "INTEGER NOT NULL", "instant": "BIGINT NOT NULL"}
    columns = ", ".join(f"{name} {types.get(name, 'DOUBLE PRECISION')}" for name in names)
    key = "PRIMARY KEY (job, as_of, series, step)"
    marks = ", ".join(f":{name}" for name in names)
    with connect(url) as execute:
        execute(f"CREATE TABLE {OLD_TABLE} (job TEXT NOT NULL, as_of TEXT NOT NULL, {columns}, {key})")
        for job, as_of, cells in execute("SELECT job, as_of, cells FROM forecast_cells"):
            frame: pd.DataFrame = unpacked(cells)[names]
            rows = [{"job": job, "as_of": as_of, **row} for row in frame.to_dict("records")]
            execute(f"INSERT INTO {OLD_TABLE} VALUES (:job, :as_of, {marks})", rows)
        execute("DROP TABLE forecast_cells")
