"""What runs leave behind: their records, fits and forecasts, and the scores of these."""
