"""Go back to the version before the live one."""

from forecast.cli._command import JOB_OR_STORE, Command, options_of
from forecast.settings import StoreSettings

command = Command(
    "rollback",
    """Make the version that was saved before the live one live again.

    JOB, a pipeline file, or --artifact names the store.
    """,
    [*JOB_OR_STORE, *options_of(StoreSettings, "wait")],
    "forecast rollback job.toml",
    "forecast rollback --artifact shops",
)
