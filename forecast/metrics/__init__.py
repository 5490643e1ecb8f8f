"""Metrics of forecasts, and arithmetic of quantiles."""
