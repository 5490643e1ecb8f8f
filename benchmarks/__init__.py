"""This project and its peers on the same work, by one command; run from a checkout, not installed."""
