"""Peers, one file each: `fit` trains and saves, `load` gives a function that forecasts, `lookback` the past it needs."""
