"""Go back to the version before the live one."""

import click

from forecast.cli._console import say, style_options
from forecast.cli._store import Place, store_options


@click.command()
@store_options
@click.option("--wait", type=click.FloatRange(0), default=0.0, help="seconds to wait for a run that holds the store")
@style_options
def command(place: Place, wait: float) -> int:
    """Make the version that was saved before the live one live again.

    The store is that of JOB, a pipeline file, or of --artifact.
    """
    from forecast.jobs.life import rollback

    before, now = rollback(place.store, wait, place.own_ledger())
    say(f"live     {place.shown(place.store)}/{now}, no longer {before}")
    return 0
