"""Pictures, explanations and reports of series and their forecasts, from plain tables."""
