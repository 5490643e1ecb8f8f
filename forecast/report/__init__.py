"""Pictures of series and their forecasts, from plain tables."""
