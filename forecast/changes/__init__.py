"""Why two forecasts of the same dates differ, step by step.

What would be forecast under other known columns.
"""
