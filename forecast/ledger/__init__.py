"""Store what runs leave behind: their records, fits and forecasts, and the forecasts' scores."""
