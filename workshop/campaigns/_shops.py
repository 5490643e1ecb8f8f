"""Daily sales of 8 stores and 6 products, a job that forecasts them, and what may go wrong with a night's table.

Sales follow prices and promotions. All stores are shut on some days, one of them for two weeks; two open, one closes.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd

from forecast.errors import ForecastError
from forecast.jobs.pipeline import read_pipeline
from forecast.jobs.run import run_job

STORES = [f"store {number}" for number in range(1, 9)]
CLOSED = "store 0"  # long ago; its rows stay in the table
PRODUCTS = ["bread", "milk", "rice", "soap", "tea", "wine"]
FIRST_DAY = pd.Timestamp("2025-01-01")
DAYS_BEFORE = 200  # of sales before the first night
CLEAN_NIGHTS = 23
AHEAD = 14
ELASTICITY, PROMOTED = -1.5, 1.4  # what a promotion sells is so many times as much
OPENED = {"store 9": pd.Timestamp("2025-08-28"), "store A": pd.Timestamp("2025-09-25")}
SHUT = ("store 2", pd.Timestamp("2025-09-15"))  # its last day
EVENTS = """\
start,end,name,kind,store
2025-02-03,2025-02-03,stocktaking,effect,
2025-04-18,2025-04-18,holiday,closed,
2025-05-01,2025-05-01,holiday,closed,
2025-10-03,2025-10-03,holiday,closed,
2025-09-01,2025-09-14,new shelves,closed,store 6
2025-09-16,2027-12-31,given up,closed,store 2
"""
JOB = """\
store = "model"
refit = "{refit}"

[source]
path = "sales.csv"
vintages = "{vintages}"

[table]
id = ["store", "product"]
target = "units"
known = ["price", "promoted"]
events = "events.csv"

[train]
model = "{model}"
horizon = 14

[sink]
path = "forecasts.csv"
"""


def sales(days: int, seed: int = 0) -> pd.DataFrame:
    """A row for each day, store and product; on Saturdays twice as many units are sold as on Tuesdays."""
    generator = np.random.default_rng(seed)
    stores = [*STORES, *OPENED]
    store_sizes = np.exp(generator.normal(0.0, 0.4, len(stores)))
    store_sizes[len(STORES) :] *= 0.6  # a new store is small
    product_sizes = np.exp(generator.normal(3.5, 0.7, len(PRODUCTS)))
    weekdays = np.array([0.9, 0.7, 0.8, 0.9, 1.2, 1.4, 1.1])
    dates = pd.date_range(FIRST_DAY, periods=days + AHEAD)
    of_a_day = weekdays[dates.day_of_week] * np.exp(generator.normal(0.0, 0.08, len(dates)))
    means = of_a_day[:, None, None] * store_sizes[:, None] * product_sizes
    week = np.arange(len(dates)) // 7
    prices = generator.choice([0.8, 1.0, 1.1], (week[-1] + 1, *means.shape[1:]), p=[0.2, 0.6, 0.2])
    promoted = week[:, None] % len(PRODUCTS) == np.arange(len(PRODUCTS))
    promoted &= dates.day_of_week.to_numpy()[:, None] > 2  # from Thursday on
    means = means * prices[week] ** ELASTICITY * np.where(promoted, PROMOTED, 1.0)[:, None]
    units = generator.poisson(means * np.exp(generator.normal(0.0, 0.15, means.shape)))
    index = pd.MultiIndex.from_product([dates, stores, PRODUCTS], names=["day", "store", "product"])
    table = pd.DataFrame({"units": units.ravel().astype(float)}, index=index).reset_index()
    table["price"] = prices[week].ravel() * (2.0 + table["product"].map(PRODUCTS.index))
    table["promoted"] = np.broadcast_to(promoted[:, None], means.shape).ravel().astype(int)
    for event in (
        pd.read_csv(StringIO(EVENTS), parse_dates=["start", "end"])
        .query("kind == 'closed'")
        .itertuples()
    ):
        shut = table["day"].between(event.start, event.end)
        shut &= (table["store"] == event.store) | pd.isna(event.store)
        table.loc[shut, "units"] = 0.0
    table = table[(table["store"] != SHUT[0]) | (table["day"] <= SHUT[1])]
    opened = table["store"].map(OPENED).fillna(FIRST_DAY)
    table = table[table["day"] >= opened]
    table["units"] = table["units"].mask(table["day"] >= dates[days])
    closed = table[
        (table["store"] == STORES[-1]) & (table["day"] < FIRST_DAY + pd.Timedelta(days=60))
    ]
    closed = closed.assign(store=CLOSED, units=closed["units"] + 3)
    table = pd.concat([table, closed])
    return table.assign(stock=table["units"] * 20 + 300)


@dataclass(frozen=True)
class Fault:
    """What is wrong with the table of a night, and what the job should do about it."""

    exit_code: int
    check: str  # which names it
    text: str  # that the message holds
    plant: Callable[[pd.DataFrame], pd.DataFrame]


def _scaled(rows: pd.Series, factor: float, table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(units=table["units"].where(~rows, (table["units"] * factor).round()))


def _priced(rows: pd.Series, factor: float | None, table: pd.DataFrame) -> pd.DataFrame:
    changed = np.nan if factor is None else table["price"] * factor
    return table.assign(price=table["price"].mask(rows, changed))


def _newest(table: pd.DataFrame, days: int = 1) -> pd.Series:
    known = table["units"].notna()
    return known & (table["day"] > table.loc[known, "day"].max() - pd.Timedelta(days=days))


def _newest_of(table: pd.DataFrame, name: str, days: int = 1) -> pd.Series:
    """The newest rows of a store or a product."""
    return _newest(table, days) & ((table["store"] == name) | (table["product"] == name))


def _copied(table: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([table, table.assign(store=table["store"] + "x")])


def _with_new_ids(table: pd.DataFrame, count: int = 300) -> pd.DataFrame:
    first = table[(table["store"] == STORES[0]) & (table["product"] == PRODUCTS[0])]
    generator = np.random.default_rng(1)
    parts = [
        first.assign(
            product=f"new {number}",
            units=first["units"].where(
                first["units"].isna(), generator.poisson(first["units"].mean(), len(first))
            ),
        )
        for number in range(count)
    ]
    return pd.concat([table, *parts])


def _swapped(table: pd.DataFrame) -> pd.DataFrame:
    newest = _newest(table)
    return table.assign(
        units=table["units"].where(~newest, table["stock"]),
        stock=table["stock"].where(~newest, table["units"]),
    )


BLOCKED, WARNED = 5, 0
FAULTS = {
    "a store times 10": Fault(
        BLOCKED, "group", "store 3", lambda table: _scaled(_newest_of(table, "store 3"), 10, table)
    ),
    "a product times 1/10": Fault(
        BLOCKED, "group", "milk", lambda table: _scaled(_newest_of(table, "milk"), 0.1, table)
    ),
    "all series times 2": Fault(
        BLOCKED, "group", "all series", lambda table: _scaled(_newest(table), 2, table)
    ),
    "units and stock swapped": Fault(BLOCKED, "group", "all series", _swapped),
    "a store is absent": Fault(
        BLOCKED, "series_missing", "store 3", lambda table: table[table["store"] != "store 3"]
    ),
    "loaded twice under other ids": Fault(BLOCKED, "duplicate", "store 1x", _copied),
    "300 new ids": Fault(BLOCKED, "new_series", "; total_jump: ", _with_new_ids),
    "a store without the newest day": Fault(
        WARNED, "silent", "store 3", lambda table: table[~_newest_of(table, "store 3")]
    ),
    "two days late": Fault(
        WARNED,
        "late",
        "2 days",
        lambda table: table.assign(units=table["units"].mask(_newest(table, days=2))),
    ),
    "the whole past of a store doubled": Fault(
        BLOCKED, "revised", "store 3", lambda table: _scaled(table["store"] == "store 3", 2, table)
    ),
    "one series times 30": Fault(
        WARNED,
        "value",
        "store 5/milk",
        lambda table: _scaled(
            _newest_of(table, "store 5") & (table["product"] == "milk"), 30, table
        ),
    ),
    "a store without newest prices": Fault(
        WARNED, "known", "store 3", lambda table: _priced(_newest_of(table, "store 3"), None, table)
    ),
    "no past prices": Fault(
        BLOCKED, "known", "all series", lambda table: _priced(table["units"].notna(), None, table)
    ),
    "future prices times 100": Fault(
        BLOCKED, "known", "all series", lambda table: _priced(table["units"].isna(), 100, table)
    ),
    "future prices of 0": Fault(
        BLOCKED, "known", "all series", lambda table: _priced(table["units"].isna(), 0, table)
    ),
    "past prices times 100": Fault(
        BLOCKED, "known", "all series", lambda table: _priced(table["units"].notna(), 100, table)
    ),
    "a store without its first half year": Fault(
        BLOCKED,
        "revised",
        "store 3",
        lambda table: table[
            (table["store"] != "store 3") | (table["day"] > FIRST_DAY + pd.Timedelta(days=180))
        ],
    ),
    "all stores without their first half year": Fault(
        BLOCKED,
        "revised",
        "changed since the last run",
        lambda table: table[table["day"] > FIRST_DAY + pd.Timedelta(days=180)],
    ),
    "one series times 10": Fault(
        WARNED,
        "value",
        "store 5/milk",
        lambda table: _scaled(
            _newest_of(table, "store 5") & (table["product"] == "milk"), 10, table
        ),
    ),
    "a store times 10 for a week": Fault(
        BLOCKED,
        "group",
        "store 3",
        lambda table: _scaled(_newest_of(table, "store 3", 7), 10, table),
    ),
    "the whole past of all stores doubled": Fault(
        BLOCKED, "revised", "all series", lambda table: _scaled(table["units"] >= 0, 2, table)
    ),
    "no newest prices": Fault(
        WARNED, "known", "all series", lambda table: _priced(_newest(table), None, table)
    ),
    "all prices times 3": Fault(
        BLOCKED, "known", "all series", lambda table: _priced(table["units"] != -1, 3, table)
    ),
    "past prices times 3": Fault(
        BLOCKED, "known", "all series", lambda table: _priced(table["units"].notna(), 3, table)
    ),
    "future prices times 1/3": Fault(
        BLOCKED, "known", "all series", lambda table: _priced(table["units"].isna(), 1 / 3, table)
    ),
    "the past of a store revised by 1.3": Fault(
        WARNED,
        "revised",
        "store 3",
        lambda table: _scaled(_newest_of(table, "store 3", days=92) & ~_newest(table), 1.3, table),
    ),
}


def answered(fault: Fault, code: int, messages: list[str]) -> bool:
    """Whether a run ended as it should, and one of its messages names the fault."""
    named = any(f"{fault.check}: " in text and fault.text in text for text in messages)
    return code == fault.exit_code and named


@dataclass(frozen=True)
class ShopJob:
    """The job in a folder, whose source is replaced before each night."""

    folder: Path
    sales: pd.DataFrame

    @property
    def file(self) -> Path:
        return self.folder / "job.toml"

    def write(self, model: str, refit: str = "never", vintages: str = "keep") -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        text = JOB.format(model=model, refit=refit, vintages=vintages)
        self.file.write_text(text, encoding="utf-8")
        (self.folder / "events.csv").write_text(EVENTS, encoding="utf-8")

    def table(self, night: int) -> pd.DataFrame:
        """The sales that are known on a night, counted from 0, and the prices of two weeks more."""
        last_day = FIRST_DAY + pd.Timedelta(days=DAYS_BEFORE + night - 1)
        table = self.sales[self.sales["day"] <= last_day + pd.Timedelta(days=AHEAD)]
        later = [store for store, opened in OPENED.items() if opened > last_day]
        table = table[~table["store"].isin(later)]
        return table.assign(units=table["units"].where(table["day"] <= last_day))

    def run(self, night: int, table: pd.DataFrame | None = None) -> tuple[int, list[str]]:
        """Run a night, by default with a table without a fault; returns the exit code and the messages."""
        fed = self.table(night) if table is None else table
        fed.to_csv(self.folder / "sales.csv", index=False)
        try:
            record = run_job(read_pipeline(str(self.file)), as_of=self.as_of(night), take_over=True)
        except ForecastError as error:
            return error.exit_code, [str(error)]
        return record.exit_code, record.warnings

    def copy_to(self, folder: Path) -> "ShopJob":
        shutil.copytree(self.folder, folder)
        return ShopJob(folder, self.sales)

    @staticmethod
    def as_of(night: int) -> str:
        """Three in the morning after the last day of the table of a night."""
        return (FIRST_DAY + pd.Timedelta(days=DAYS_BEFORE + night, hours=3)).isoformat() + "+00:00"
