"""Sums of forecasts over groups of series and over time."""
