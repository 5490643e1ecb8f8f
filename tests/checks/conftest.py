"""A job to run, and databases that it may write to."""

from tests._databases import forecasts, postgresql, rows, run, server, url
from tests.jobs.a_job import at, job

__all__ = ["at", "forecasts", "job", "postgresql", "rows", "run", "server", "url"]
