"""Exponential smoothing that chooses its own form, from statsforecast (Hyndman et al. 2002)."""

from forecast.baselines.shared.auto_models import AutoModel

METHOD = AutoModel("AutoETS", longest_season=24).method()
