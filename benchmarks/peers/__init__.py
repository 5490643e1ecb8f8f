"""Peers, one file each: `fit` trains and saves, `load` gives what forecasts, `lookback` the past it needs."""
