"""The verbs: fit, forecast and backtest, each with one request and one result."""
