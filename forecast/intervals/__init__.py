"""How sure forecasts are.

Calibrated quantiles, errors of baselines and of sums, corrections by past runs.
"""
