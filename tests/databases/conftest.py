"""Databases to write to, SQLite and a PostgreSQL server of this session, and a job that uses them."""

from tests._databases import forecasts, postgresql, rows, run, server, url
from tests.jobs.a_job import at, job

__all__ = ["at", "forecasts", "job", "postgresql", "rows", "run", "server", "url"]
