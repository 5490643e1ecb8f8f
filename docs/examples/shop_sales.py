"""
Shop sales with promotions
==========================

Forecast what fifteen products sell in the next two weeks, with the promotions that are planned.

The table is made here: three shops, five products, two years. Put your own sales in its place, in the same columns.
"""

import numpy as np
import pandas as pd

from forecast import Forecaster

# %%
# The table
# ---------
# A row for each shop, product and day. ``promo`` is 1 on days with a promotion. Shops are closed at Christmas and on
# New Year's Day.

random = np.random.default_rng(0)
days = pd.date_range("2024-01-01", "2025-12-14", freq="D")
closed = days.strftime("%m-%d").isin(["12-25", "12-26", "01-01"])
week = np.array([0.9, 0.85, 0.9, 1.0, 1.3, 1.5, 0.55])[days.day_of_week]
year = 1 + 0.2 * np.sin(2 * np.pi * (days.day_of_year - 120) / 365)
parts = []
for shop, size in {"north": 1.0, "centre": 1.6, "south": 0.6}.items():
    for product, sells in {"coffee": 40, "tea": 18, "juice": 25, "bread": 60, "cake": 9}.items():
        promo = np.repeat(random.random(len(days) // 7 + 1) < 0.12, 7)[: len(days)]  # whole weeks
        lift = 1 + promo * random.uniform(0.4, 0.9)
        mean = size * sells * week * year * lift * ~closed
        units = random.negative_binomial(20, 20 / (20 + np.maximum(mean, 1e-9)))
        parts.append(
            pd.DataFrame(
                {"shop": shop, "product": product, "day": days, "promo": promo * 1, "units": units}
            )
        )
table = pd.concat(parts, ignore_index=True)
table.tail(3)

# %%
# The plan of the two weeks to come has the same columns, but for what they sell. Days with a name go into a table of
# events: what they do is learned from all years and series.

horizon = 14
last = days[-1] - pd.Timedelta(days=horizon)
past, plan = table[table["day"] <= last], table[table["day"] > last].drop(columns="units")
holidays = [day for day in days if day.strftime("%m-%d") in ("12-25", "12-26", "01-01")]
events = pd.DataFrame({"date": holidays, "name": [f"closed {day:%d %B}" for day in holidays]})

# %%
# Is it any good?
# ---------------
# Eight origins, two weeks apart. ``wql`` judges the intervals: smaller is better.

model = Forecaster(
    horizon=horizon, id=("shop", "product"), target="units", known="promo", events=events
)
tested = model.backtest(past, models=("auto", "theta"))
tested.overall[["model", "skill", "mase", "wql", "coverage_80", "coverage_95"]].round(3)

# %%
# Promotions are what seasonal naive and Theta cannot see. The error in units a day, without one (0) and with one (1):

errors = tested.forecasts.merge(table, on=["shop", "product", "day"])
errors["error"] = (errors["actual"] - errors["forecast"]).abs()
errors.pivot_table(index="model", columns="promo", values="error").round(2)

# %%
# Forecast
# --------
# Whole units, from the plan. The upper end of the 80 % interval is exceeded on one day in ten: a delivery for one day
# at a service level of 90 %.

model.fit(past)
forecasts = model.predict(future=plan, levels=(80,))
forecasts["order"] = np.ceil(forecasts["hi_80"]).astype(int)
forecasts.head(3)

# %%
# Two products, with what came:

last_day = last.strftime("%Y-%m-%d")
model.plot(table, origin=last_day, series=("centre/coffee", "south/cake"), history=56)

# %%
# What is it made of?
# -------------------
# Level, week and what events and the plan add, in units a day.

model.explain(future=plan).parts[["median", "level", "season", "events", "known"]].head(5).round(2)

# %%
# A delivery for several days needs the distribution of their sum. Sum the table to deliveries first, as
# :doc:`spare_parts` does with months. ``forecast run`` with a pipeline file reads plan and sales every night.
