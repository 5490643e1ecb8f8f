"""Metrics, rolling origins, backtest, scoring, and the scikit-learn splitter."""
