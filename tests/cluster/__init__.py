"""Whole clusters on this machine: `python -m tests.cluster ray` or `dask`; it takes minutes, and is not in the gate."""
