"""Holidays and events: which slots they touch, their effects, and closed days."""
