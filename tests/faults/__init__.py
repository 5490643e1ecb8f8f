"""Kill, break, flip and overload the application, and count what is lost: `python -m tests.faults NAME`."""
