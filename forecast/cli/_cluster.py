"""Run the parallel work of a command where --cluster says."""

from collections.abc import Iterator
from contextlib import contextmanager

from forecast.cli._command import Request
from forecast.cli._console import log
from forecast.parallel import cluster, workers
from forecast.settings import ClusterSettings


@contextmanager
def in_use(request: Request) -> Iterator[None]:
    """Run parallel work of the block where --cluster says."""
    address = request.of(ClusterSettings).cluster
    with cluster(address):
        if address is not None:
            log(f"cluster  {address}: {workers()} processes")
        yield
