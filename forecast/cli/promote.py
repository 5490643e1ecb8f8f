"""Make a version of a store the live one."""

import click

from forecast.cli._console import say, style_options
from forecast.cli._store import Place, store_options


@click.command()
@click.argument("version")
@store_options
@click.option("--wait", type=click.FloatRange(0), default=0.0, help="seconds to wait for a run that holds the store")
@style_options
def command(version: str, place: Place, wait: float) -> int:
    """Make VERSION the live one, after a look through all its files; `forecast versions` lists them.

    The store is that of JOB, a pipeline file, or of --artifact. The beginning of an id, or of a hash, is enough where
    it can mean only one.
    """
    from forecast.jobs.life import promote

    now = promote(place.store, version, wait, place.own_ledger())
    say(f"live     {place.shown(place.store)}/{now}")
    return 0
