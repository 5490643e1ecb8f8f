"""
Energy by the hour
==================

Forecast the load of a town for the next 48 hours, from its past and from the temperature.

The temperatures are those of an airport in New York in 2013. The load is made from them, so that the script runs
anywhere: people heat, cool, get up and go to work. Put your own load in its place.
"""

import numpy as np
import pandas as pd

from forecast import Forecaster

# %%
# The table
# ---------
# One row an hour: the load in megawatts, and the temperature. The weather station missed 24 hours, which are filled
# here, since a temperature that is to be known in advance may have no gaps.

measured = pd.read_csv(
    "../../data/jfk_temperature.csv", parse_dates=["time_utc"], index_col="time_utc"
)["temperature"]
temperature = ((measured - 32) / 1.8).resample("h").mean().interpolate()

random = np.random.default_rng(0)
local = temperature.index - pd.Timedelta(hours=5)
awake = np.exp(-(((local.hour - 9) / 3) ** 2)) + 1.3 * np.exp(-(((local.hour - 19) / 3) ** 2))
working = np.where(local.day_of_week < 5, 1.0, 0.75)
weather = 8 * np.clip(14 - temperature, 0, None) + 15 * np.clip(temperature - 20, 0, None)
wander = pd.Series(random.normal(0, 8, len(temperature))).ewm(alpha=0.2).mean().to_numpy()
load = 400 + 160 * awake * working + weather + wander + random.normal(0, 5, len(temperature))

table = (
    pd.DataFrame({"load": load.round(1), "temperature": temperature.round(1)})
    .rename_axis("time")
    .reset_index()
)
table.tail(3)

# %%
# The last two days are kept back, to be forecast at the end. Of them only the temperature is known.

past, ahead = table.iloc[:-48], table.iloc[-48:]

# %%
# Is it any good?
# ---------------
# A backtest forecasts from eight origins, two days apart, with one fit before the first of them. ``skill`` is the error
# reduction against seasonal naive, which repeats the day before. The temperatures of the horizon are the measured ones
# here. In your system they are a weather forecast, with errors of its own: keep old weather forecasts, and test on
# those.

model = Forecaster(horizon=48, known="temperature", target="load")
tested = model.backtest(past, models=("auto", "theta"))
tested.overall[["model", "skill", "mase", "coverage_80", "coverage_95"]].round(3)

# %%
# Look at the coverage, too: an interval of 80 % that held much less is too narrow to trade by.
#
# The error by step of the horizon, in parts of twelve hours. If you trade the day ahead only, the first two count.

steps = tested.by_step[tested.by_step["model"] == "auto"]
steps.groupby((steps["step"] - 1) // 12 * 12)["mase"].mean().round(2).rename(
    "mase, by first hour of twelve"
)

# %%
# Forecast
# --------
# The fit uses all of the past. ``future`` brings the temperatures of the horizon.

model.fit(past)
forecasts = model.predict(future=ahead[["time", "temperature"]], levels=(80, 95))
forecasts.head(3)

# %%
# The two days that were kept back are drawn beside it.

model.plot(table, origin=str(past["time"].iloc[-1]), history=120)

# %%
# What is it made of?
# -------------------
# Level, season and what the temperature adds, in megawatts; together they are the median.

model.explain(future=ahead[["time", "temperature"]]).parts[
    ["median", "level", "season", "events", "known"]
].head(5).round(2)

# %%
# Save it, and let a job forecast every night: ``forecast predict tonight.csv --artifact load --future weather.csv``.
# A table of your own by the hour needs little else: name the columns, and pass ``--timezone`` if its times are local,
# so that the days of the clock change are right.
