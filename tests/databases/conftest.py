"""The fixtures of databases, which jobs share."""

from tests.jobs.conftest import at, forecasts, job, postgresql, rows, run, server, url

__all__ = ["at", "forecasts", "job", "postgresql", "rows", "run", "server", "url"]
