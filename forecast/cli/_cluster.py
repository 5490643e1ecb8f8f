"""Forecast in shards, on this machine or on a cluster."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

from forecast.cli._console import say
from forecast.cli._forecasts import Continued, say_written, schema_as_fitted
from forecast.cli._options import Given
from forecast.errors import Setting, UsageError, Words
from forecast.parallel import cluster, on_cluster, workers
from forecast.settings import CheckSettings, ClusterSettings, OutputSettings, TrainSettings

if TYPE_CHECKING:
    from forecast.inference.predictor import Predictor

SHARDS = 16  # with a cluster, whatever its size: the same files come out of any


@contextmanager
def in_use(given: Given) -> Iterator[None]:
    """Run parallel work of the block where --cluster says."""
    address = given.of(ClusterSettings).cluster
    with cluster(address):
        if address is not None:
            say(f"cluster  {address}: {workers()} processes")
        yield


def shards_of(given: Given) -> int | None:
    """The number of shards that a table is forecast in; None for all at once."""
    machines = given.of(ClusterSettings)
    return SHARDS if machines.shards is None and machines.cluster is not None else machines.shards


def refuse_sharded(source: Continued, output: str | None, shape: OutputSettings) -> None:
    """Refuse what does not go with shards, before any work."""
    shards = Setting("shards")
    if source.data is None or source.data == "-" or source.data.startswith("synth:"):
        raise UsageError(
            "shards are read from Parquet or CSV", setting=shards, cure="name a file, a folder of Parquet, or a URI"
        )
    if output is None:
        cure = Words("name one with ", Setting("output"))
        raise UsageError("shards are written into a folder", setting=shards, cure=cure)
    for other in ("origin", "shard"):
        if getattr(source if other == "origin" else shape, other) is not None:
            raise UsageError("it does not go with shards", setting=Setting(other), cure=Words("leave out ", shards))


def put_sharded(
    predictor: "Predictor", source: Continued, given: Given, shape: OutputSettings, output: str, instant: datetime
) -> int:
    """Forecast a table in shards, into a folder; returns the exit code."""
    from forecast.inference.sharded import MANIFEST, forecast_shards, plan_shards
    from forecast.jobs.checks import age, check_age
    from forecast.reading.tidying import tidied
    from forecast.tables.files import load_future

    schema, text = schema_as_fitted(predictor, given)
    future = None if source.future is None else tidied(load_future(source.future, text))
    data, checks, shards = str(source.data), given.of(CheckSettings), shards_of(given) or 1
    work = plan_shards(predictor, schema, data, text, output, shape, source.horizon, future)
    check_age(age(work.large.newest, schema, instant), checks, data)
    jobs = given.of(TrainSettings).jobs or 1
    with in_use(given):
        manifest, skipped = forecast_shards(work, shards, max(jobs, workers() if on_cluster() else 1))
    count, size = f"{manifest.series:,} series, {manifest.rows:,} rows", len(manifest.files)
    say(f"saved    {output}/{MANIFEST}: {count} in {size} files")
    return say_written(skipped, predictor.fitted, shape, checks)
