"""Show the status of jobs: runs, accuracy, age of the data, live version."""

import click

from forecast.cli._command import JOB_OR_STORE, OUTPUT, Command, Option

command = Command(
    "status",
    """Show the status of JOB, a pipeline file, or of all jobs of a store.

    The exit code is for monitoring: 0 all is well, 3 the newest run failed or left series out, 4 the data are stale.
    """,
    [
        *JOB_OR_STORE,
        Option("--runs", "number of runs to show", OUTPUT, type=click.IntRange(1, 1000), default=10, show_default=True),
        Option("--json", "print a list of objects, one for each job", OUTPUT, name="as_json"),
    ],
    "forecast status job.toml",
    "forecast status --artifact shops --json",
)
