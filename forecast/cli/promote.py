"""Make a version of a store the live one."""

import click

from forecast.cli._console import say, say_next, style_options
from forecast.cli._help import with_examples
from forecast.cli._options import Given, settings_options
from forecast.cli._store import Place, store_options
from forecast.settings import StoreSettings


@with_examples(
    "forecast versions --artifact shops",
    "forecast promote v-20260131T020000.000000Z-1ab4a977 --artifact shops",
)
@click.argument("version")
@store_options
@style_options
@settings_options(single={"wait": StoreSettings})
def command(version: str, place: Place, given: Given) -> int:
    """Check all files of VERSION, and make it the live one; `forecast versions` lists the versions.

    JOB, a pipeline file, or --artifact names the store. VERSION is an id or a hash, or the beginning of one.
    """
    from forecast.jobs.administration import promote

    now = promote(place.store, version, given.of(StoreSettings).wait, place.own_ledger())
    say(f"live     {place.shown(place.store)}/{now}")
    say_next(*place.use)
    return 0
