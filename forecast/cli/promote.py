"""Make a version of a store the live one."""

from forecast.cli._command import Request
from forecast.cli._console import log, suggest
from forecast.cli._store import place_of
from forecast.jobs.administration import promote
from forecast.settings import StoreSettings


def run(version: str, job: str | None, artifact: str | None, request: Request) -> None:
    """Check the version and make it live."""
    with place_of(job, artifact) as place:
        now = promote(place.store, version, request.of(StoreSettings).wait, place.sink_ledger())
        log(f"live     {place.shown(place.store)}/{now}")
        suggest(*place.use)
