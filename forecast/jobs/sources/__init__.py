"""Where tonight's table comes from: every file in this folder is a kind of source, found by listing it."""

from typing import Any, Literal

from pydantic import Field

from forecast.errors import UsageError
from forecast.jobs.kinds import Source, joined_keys, named_kinds, ways
from forecast.registry import modules_in
from forecast.settings import UNFINISHED, FilePath, TextSettings, Unfinished

KINDS: list[Source] = modules_in(__name__, __path__[0])
USE = f"give either {ways(KINDS)}"
_Keys = joined_keys(KINDS)


class SourceSettings(_Keys, TextSettings):  # type: ignore[valid-type,misc]  # its keys stand in the files of the kinds
    """Where tonight's table comes from."""

    future: FilePath | None = Field(
        None, description="a file with the columns that are known in advance"
    )
    vintages: Literal["keep", "off"] = Field(
        "keep", description="keep what each run knows in advance for later fits"
    )
    unfinished: Unfinished = UNFINISHED

    def text(self) -> TextSettings:
        """How text is read."""
        return TextSettings(**self.model_dump(include=set(TextSettings.model_fields)))


def source_of(settings: SourceSettings) -> tuple[Source, Any]:
    """The one kind of source that a job names, and its settings."""
    named = [
        kind
        for kind in KINDS
        if any(getattr(settings, key) is not None for key in kind.Settings.model_fields)
    ]
    if len(named) != 1:
        raise UsageError(USE)
    return named_kinds(settings, named)[0]
