"""The command `rollback`."""

from forecast.cli._command import Request
from forecast.cli._console import log, suggest
from forecast.cli._named_store import named_store
from forecast.jobs.administration import rollback
from forecast.settings import StoreSettings


def run(request: Request) -> None:
    wait = request.read_group(StoreSettings).wait
    with named_store(request.job, request.artifact) as store:
        before, live = rollback(store.folder, wait, store.pipeline)
        log(f"live     {store.redact(store.folder)}/{live}, no longer {before}")
        suggest(*store.use)
