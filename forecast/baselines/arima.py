"""ARIMA whose orders AICc chooses, from the package statsforecast (Hyndman, Khandakar 2008)."""

from forecast.baselines.shared.auto_models import AutoModel

# at most 15 forms, compared by sums of squares: other searches take twice the time and more
OPTIONS = (("approximation", True), ("nmodels", 15))
METHOD = AutoModel("AutoARIMA", longest_season=12, options=OPTIONS).method()
