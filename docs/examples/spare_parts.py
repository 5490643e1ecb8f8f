"""
Sparse spare parts
==================

Forecast how many of forty spare parts are needed each month, and how many to have in stock.

Most months need none, so that a single number says little. The table is made here from the mean demand of each part;
put the bookings of your store in its place.
"""

import numpy as np
import pandas as pd

from forecast import Forecaster

# %%
# The table
# ---------
# Bookings: a row for each day on which a part was taken, and none for other days. Some parts have become more common,
# others less.

random = np.random.default_rng(0)
days = pd.date_range("2019-01-01", "2024-12-31", freq="D")
parts = []
for number in range(40):
    growth = np.linspace(1.0, random.choice([0.3, 1.0, 1.0, 2.0]), len(days))
    taken = random.random(len(days)) < growth * random.uniform(0.1, 0.7) / 30
    pieces = random.geometric(random.uniform(0.3, 0.9), len(days))
    parts.append(pd.DataFrame({"part": f"P{number:03d}", "day": days, "pieces": pieces})[taken])
bookings = pd.concat(parts, ignore_index=True)
bookings.head(3)

# %%
# Months are what is ordered by, so months are what is forecast. ``missing="zero"`` says that no row means no demand,
# and not an unknown one.

months = bookings.groupby(["part", bookings["day"].dt.to_period("M").astype(str).rename("month")])[
    "pieces"
].sum()
table = months.reset_index()
counts = table.groupby("part").size()
print(f"the median part was needed in {counts.median():.0f} of 72 months")

# %%
# Is it any good?
# ---------------
# Twelve origins, one month apart, each forecasting three months. The absolute error (``mase``) is smallest for a
# forecast of 0, which helps nobody; ``rmsse`` judges the mean and ``wql`` the intervals.

model = Forecaster(horizon=3, id="part", target="pieces", missing="zero", freq="MS")
tested = model.backtest(table, windows=12, step=1, models=("auto", "mean"))
tested.overall[["model", "mase", "rmsse", "wql", "coverage_80", "coverage_95"]].round(3)

# %%
# Stock
# -----
# How much stock would have been enough in the first month after each origin? The upper end of the 80 % interval aims at
# a service level of 90 %, that of the 95 % interval at 97.5 %. Beside them stands a common rule: three times the mean
# of the last year.

first = (
    tested.forecasts[tested.forecasts["model"] == "auto"]
    .groupby(["part", "origin"], as_index=False)
    .first()
)
wide = table.pivot(index="month", columns="part", values="pieces").fillna(0)
rule = (
    np.ceil(3 * wide.rolling(12).mean())
    .stack()
    .rename("rule of thumb")
    .rename_axis(["origin", "part"])
)
first = first.merge(rule, on=["origin", "part"])
stocks = {name: first[name] for name in ("hi_80", "hi_95", "rule of thumb")}
pd.DataFrame(
    {
        "months with enough": {
            name: (stock >= first["actual"]).mean() for name, stock in stocks.items()
        },
        "pieces in stock": {name: stock.mean() for name, stock in stocks.items()},
        "demand met": {
            name: np.minimum(stock, first["actual"]).sum() / first["actual"].sum()
            for name, stock in stocks.items()
        },
    }
).round(3)

# %%
# Forecast
# --------
# The ends of intervals of counts are whole numbers, rounded outwards: they hold a little more than they promise.

model.fit(table)
stock = model.predict(levels=(80, 90))
stock.groupby("part").first()[["forecast", "hi_80", "hi_90"]].head()

# %%
model.plot(series=("P000", "P001"), history=36)

# %%
# From the command line, with the mean for the budget: ``forecast predict --point mean --levels 80,90 --integer``.
