"""Options that name a store: the pipeline file of its job, or --artifact."""

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forecast.cli._help import file_argument, option
from forecast.cli._options import grouped
from forecast.errors import UsageError
from forecast.settings import STORE, StoreSettings

if TYPE_CHECKING:
    from forecast.jobs.ledger import Ledger
    from forecast.jobs.pipeline import Pipeline

SUFFIX = ".toml"

artifact_option = option(
    "--artifact",
    heading=StoreSettings.heading,
    default=STORE.store,
    show_default=True,
    metavar="DIR",
    help="folder of the saved versions",
)
optional_artifact_option = option(
    "--artifact",
    heading=StoreSettings.heading,
    metavar="DIR",
    help=f"folder of the saved versions  [default: {STORE.store}]",
)


@dataclass(frozen=True)
class Saved:
    """A version of a store; the live one if none is named."""

    artifact: str
    version: str | None


version_option = option(
    "--version",
    heading=StoreSettings.heading,
    first=False,
    metavar="ID",
    help="a version of the store; default the live one",
)
saved_options = grouped("saved", Saved, artifact_option, version_option)


def named(artifact: str) -> tuple[str, ...]:
    """The words that name a store on the command line; none for the default one."""
    return () if artifact == STORE.store else ("--artifact", artifact)


def predicting(artifact: str, known: Sequence[str]) -> tuple[str, ...]:
    """The command that forecasts with a store; covariates known in advance need a table of the future."""
    return ("predict", *named(artifact), *(("--future", "FILE") if known else ()))


@dataclass(frozen=True)
class Place:
    """A store, and the job that named it, if any."""

    store: str
    pipeline: "Pipeline | None" = None

    @property
    def words(self) -> tuple[str, ...]:
        """The words that name the store on the command line."""
        return (self.pipeline.file,) if self.pipeline is not None and self.pipeline.file else named(self.store)

    @property
    def use(self) -> tuple[str, ...]:
        """The command that forecasts with the live version."""
        return ("run", *self.words) if self.pipeline is not None else ("predict", *self.words)

    def shown(self, text: str) -> str:
        """A text without the secrets of the pipeline file."""
        return text if self.pipeline is None else self.pipeline.hidden(text)

    @contextmanager
    def kept_out(self) -> Iterator[None]:
        """Keep the secrets of the pipeline file out of errors that end the block."""
        with nullcontext() if self.pipeline is None else self.pipeline.hidden.kept_out():
            yield

    def own_ledger(self) -> "Ledger | None":
        """The ledger of the job if it is not beside the store."""
        from forecast.jobs.administration import ledger_of

        elsewhere = self.pipeline is not None and self.pipeline.ledger == "sink"
        return ledger_of(self.pipeline) if elsewhere and self.pipeline is not None else None


def store_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add [JOB] and --artifact, and hand the store to the command as `place`."""

    @functools.wraps(function)
    def called(*args: Any, job: str | None, artifact: str | None, **values: Any) -> Any:  # click passes by keyword
        place = place_of(job, artifact)
        with place.kept_out():
            return function(*args, place=place, **values)

    return file_argument("job", required=False)(optional_artifact_option(called))


def place_of(job: str | None, artifact: str | None) -> Place:
    """The store that a pipeline file or --artifact names.

    Raises
    ------
    UsageError
        If both are given, or a folder instead of a pipeline file.
    NoInput
        If the file does not exist.
    """
    if job is None:
        return Place(STORE.store if artifact is None else artifact)
    if artifact is not None:
        raise UsageError(f"--artifact {artifact}: {job} names the store already; leave one of the two out")
    if Path(job).is_dir():
        raise UsageError(f"{job} is a folder, not a pipeline file; name a store with --artifact {job}")
    from forecast.jobs.pipeline import read_pipeline

    pipeline = read_pipeline(job)
    return Place(pipeline.store, pipeline)
