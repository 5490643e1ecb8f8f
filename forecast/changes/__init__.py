"""Why two forecasts of the same dates differ, step by step; what would be forecast under other known columns."""
