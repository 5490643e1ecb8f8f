"""How good forecasts are, and what quantiles say."""
