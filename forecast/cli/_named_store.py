"""The store of a command, named by a pipeline file or by --artifact."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from forecast.cli._command import CommandLine, name_artifact
from forecast.errors import UsageError
from forecast.jobs.administration import open_ledger, open_ledgers
from forecast.jobs.ledger import Ledger
from forecast.jobs.pipeline import Pipeline, read_pipeline
from forecast.settings import DEFAULT_STORE

PIPELINE_SUFFIX = ".toml"


@dataclass(frozen=True)
class NamedStore:
    folder: str
    pipeline: Pipeline | None = None

    @property
    def words(self) -> CommandLine:
        """The words that name the store on a command line."""
        return name_artifact(self.folder) if self.pipeline is None else (self.pipeline.file,)

    @property
    def use(self) -> CommandLine:
        """The command that forecasts with the store."""
        return ("predict" if self.pipeline is None else "run", *self.words)

    def redact(self, text: str) -> str:
        """A text without the secrets of the pipeline file."""
        return text if self.pipeline is None else self.pipeline.hidden(text)

    def ledgers(self) -> list[Ledger]:
        return [open_ledger(self.pipeline)] if self.pipeline else open_ledgers(self.folder)


@contextmanager
def named_store(job: str | None, artifact: str | None) -> Iterator[NamedStore]:
    """The store that a pipeline file or --artifact names.

    Errors that end the block do not show the secrets of the file.
    """
    if job is None:
        yield NamedStore(artifact or DEFAULT_STORE.store)
        return
    if artifact is not None:
        problem = f"--artifact {artifact}: {job} names the store already"
        raise UsageError(f"{problem}; leave one of the two out")
    if Path(job).is_dir():
        problem = f"{job} is a folder, not a pipeline file"
        raise UsageError(f"{problem}; name a store with --artifact {job}")
    pipeline = read_pipeline(job)
    with pipeline.hidden.kept_out():
        yield NamedStore(pipeline.store, pipeline)
