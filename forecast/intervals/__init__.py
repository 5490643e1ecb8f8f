"""How certain forecasts are: calibration, errors of baselines and of sums, and corrections.

Corrections are learned from past runs of a job.
"""
