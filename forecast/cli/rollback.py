"""Go back to the version before the live one."""

import click

from forecast.cli._console import say, style_options
from forecast.cli._data import artifact_option


@click.command()
@artifact_option
@click.option("--wait", type=click.FloatRange(0), default=0.0, help="seconds to wait for a run that holds the store")
@style_options
def command(artifact: str, wait: float) -> int:
    """Make the version that was saved before the live one the live one."""
    from forecast.jobs.life import rollback

    before, now = rollback(artifact, wait)
    say(f"live     {artifact}/{now}, no longer {before}")
    return 0
