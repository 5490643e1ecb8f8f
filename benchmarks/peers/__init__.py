"""Peers, one file each: `fit` trains and saves, `load` gives a function from series to forecasts."""
