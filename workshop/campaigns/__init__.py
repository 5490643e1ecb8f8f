"""Kill, break, flip and overload the application, and count what is lost: `python -m workshop.campaigns NAME`."""
