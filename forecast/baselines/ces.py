"""Complex exponential smoothing, from the package statsforecast (Svetunkov et al. 2022)."""

from forecast.baselines.shared.auto_models import AutoModel

METHOD = AutoModel("AutoCES", longest_season=52, carries=False).method()
