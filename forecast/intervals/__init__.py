"""How sure forecasts are: calibrated quantiles, errors of baselines and of sums, corrections by past runs."""
