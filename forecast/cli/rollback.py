"""Go back to the version before the live one."""

from forecast.cli._command import Request
from forecast.cli._console import log, suggest
from forecast.cli._store import place_of
from forecast.jobs.administration import rollback
from forecast.settings import StoreSettings


def run(job: str | None, artifact: str | None, request: Request) -> None:
    """Make the version before the live one live again."""
    with place_of(job, artifact) as place:
        before, now = rollback(place.store, request.of(StoreSettings).wait, place.sink_ledger())
        log(f"live     {place.shown(place.store)}/{now}, no longer {before}")
        suggest(*place.use)
