"""The fitted forecaster as plain arrays, its check, and how it forecasts a panel."""
