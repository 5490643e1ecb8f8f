"""Holidays and events: which slots they touch, what they do, and days of no sales."""
