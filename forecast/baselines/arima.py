"""ARIMA whose orders AICc chooses, from the package statsforecast (Hyndman, Khandakar 2008)."""

from forecast.baselines.shared.auto_models import AutoModel

# a search of at most 15 forms, by sums of squares: a longer one takes twice the time for as much error
OPTIONS = (("approximation", True), ("nmodels", 15))
METHOD = AutoModel("AutoARIMA", longest_season=12, options=OPTIONS).method()
