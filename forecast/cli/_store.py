"""The store that a command works on: that of a job, by its pipeline file, or --artifact."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from forecast.cli._command import named
from forecast.errors import UsageError
from forecast.jobs.administration import ledger_of
from forecast.jobs.ledger import Ledger
from forecast.jobs.pipeline import Pipeline, read_pipeline
from forecast.settings import STORE

SUFFIX = ".toml"


@dataclass(frozen=True)
class Place:
    """A store, and the job that named it, if any."""

    store: str
    pipeline: Pipeline | None = None

    @property
    def words(self) -> tuple[str, ...]:
        """The words that name the store on the command line."""
        return (self.pipeline.file,) if self.pipeline is not None and self.pipeline.file else named(self.store)

    @property
    def use(self) -> tuple[str, ...]:
        """The command that forecasts with the live version."""
        return ("predict" if self.pipeline is None else "run", *self.words)

    def shown(self, text: str) -> str:
        """A text without the secrets of the pipeline file."""
        return text if self.pipeline is None else self.pipeline.hidden(text)

    def sink_ledger(self) -> Ledger | None:
        """The ledger of the job if it is not beside the store."""
        return ledger_of(self.pipeline) if self.pipeline is not None and self.pipeline.ledger == "sink" else None


@contextmanager
def place_of(job: str | None, artifact: str | None) -> Iterator[Place]:
    """The store that a pipeline file or --artifact names; no error that ends the block holds the file's secrets.

    Raises
    ------
    UsageError
        If both are given, or a folder instead of a pipeline file.
    NoInput
        If the file does not exist.
    """
    if job is None:
        yield Place(artifact or STORE.store)
        return
    if artifact is not None:
        raise UsageError(f"--artifact {artifact}: {job} names the store already; leave one of the two out")
    if Path(job).is_dir():
        raise UsageError(f"{job} is a folder, not a pipeline file; name a store with --artifact {job}")
    pipeline = read_pipeline(job)
    with pipeline.hidden.kept_out():
        yield Place(pipeline.store, pipeline)
