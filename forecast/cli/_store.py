"""Name a store: by the pipeline file of its job, or by --artifact."""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from forecast.errors import UsageError

if TYPE_CHECKING:
    from forecast.jobs.ledger import Ledger
    from forecast.jobs.pipeline import Pipeline

DEFAULT = "forecast-model"
SUFFIX = ".toml"


@dataclass(frozen=True)
class Place:
    """A store, and the job that it was named by, if any."""

    store: str
    pipeline: "Pipeline | None" = None

    def shown(self, text: str) -> str:
        """A text without what the pipeline file keeps out of messages."""
        return text if self.pipeline is None else self.pipeline.hidden(text)

    @contextmanager
    def kept_out(self) -> Iterator[None]:
        """Keep the secrets of the pipeline file out of errors that end the block."""
        with nullcontext() if self.pipeline is None else self.pipeline.hidden.kept_out():
            yield

    def own_ledger(self) -> "Ledger | None":
        """The ledger of the job where that does not lie beside the store."""
        from forecast.jobs.run import ledger_of

        elsewhere = self.pipeline is not None and self.pipeline.ledger == "sink"
        return ledger_of(self.pipeline) if elsewhere and self.pipeline is not None else None


def store_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add [JOB] and --artifact, and hand the store that they name to the command as `place`."""

    @functools.wraps(function)
    def called(*args: Any, job: str | None, artifact: str | None, **values: Any) -> Any:  # the way in which click calls
        place = place_of(job, artifact)
        with place.kept_out():
            return function(*args, place=place, **values)

    option = click.option("--artifact", metavar="DIR", help=f"the store of saved versions  [default: {DEFAULT}]")
    return click.argument("job", required=False)(option(called))


def place_of(job: str | None, artifact: str | None) -> Place:
    """The store that a pipeline file, or else --artifact, names.

    Raises
    ------
    UsageError
        If both are given, or a folder where a pipeline file is expected.
    NoInput
        If the file is not there.
    """
    if job is None:
        return Place(DEFAULT if artifact is None else artifact)
    if artifact is not None:
        raise UsageError(f"--artifact {artifact}: {job} names the store already; leave one of the two out")
    if Path(job).is_dir():
        raise UsageError(f"{job} is a folder, not a pipeline file; name a store with --artifact {job}")
    from forecast.jobs.pipeline import read_pipeline

    pipeline = read_pipeline(job)
    return Place(pipeline.store, pipeline)
