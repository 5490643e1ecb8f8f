"""The fitted forecaster as plain arrays, its checks, and how it forecasts a panel."""
