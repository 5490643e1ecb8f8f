"""Make a version of a store the live one."""

import click

from forecast.cli._command import JOB_OR_STORE, Command, options_of
from forecast.settings import StoreSettings

command = Command(
    "promote",
    """Check all files of VERSION, and make it the live one; `forecast versions` lists the versions.

    JOB, a pipeline file, or --artifact names the store. VERSION is an id or a hash, or the beginning of one.
    """,
    [click.Argument(["version"]), *JOB_OR_STORE, *options_of(StoreSettings, "wait")],
    "forecast versions --artifact shops",
    "forecast promote v-20260131T020000.000000Z-1ab4a977 --artifact shops",
)
