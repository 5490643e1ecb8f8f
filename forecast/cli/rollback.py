"""Go back to the version before the live one."""

from forecast.cli._console import say, say_next, style_options
from forecast.cli._help import with_examples
from forecast.cli._options import Given, settings_options
from forecast.cli._store import Place, store_options
from forecast.settings import StoreSettings


@with_examples(
    "forecast rollback job.toml",
    "forecast rollback --artifact shops",
)
@store_options
@style_options
@settings_options(single={"wait": StoreSettings})
def command(place: Place, given: Given) -> int:
    """Make the version that was saved before the live one live again.

    JOB, a pipeline file, or --artifact names the store.
    """
    from forecast.jobs.administration import rollback

    before, now = rollback(place.store, given.of(StoreSettings).wait, place.own_ledger())
    say(f"live     {place.shown(place.store)}/{now}, no longer {before}")
    say_next(*place.use)
    return 0
