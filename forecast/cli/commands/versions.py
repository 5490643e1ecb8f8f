"""List the versions of a store."""

from forecast.cli._command import JOB_OR_STORE, OUTPUT, Command, Option

command = Command(
    "versions",
    """List the versions of a store, oldest first; the live one is marked.

    JOB, a pipeline file, or --artifact names the store.
    """,
    [*JOB_OR_STORE, Option("--json", "print a list of objects", OUTPUT, name="as_json")],
    "forecast versions job.toml",
    "forecast versions --artifact shops",
)
