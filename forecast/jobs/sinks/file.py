"""A file of forecasts, replaced all at once."""

import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from forecast.durable import check_folder, make_directory
from forecast.errors import CannotCreate
from forecast.jobs.kinds import Results, SinkKeys
from forecast.ledger.record import sha256_of_file
from forecast.panel.schema import Names, Schema
from forecast.settings import FilePath, OutputSettings
from forecast.tables.table import Table
from forecast.tables.writing import check_output, guard_formulas, write_frames


def _with_known_suffix(path: str) -> str:
    check_output(path)
    return path


class Settings(SinkKeys):
    """Keys of [sink] for a file."""

    path: Annotated[FilePath, AfterValidator(_with_known_suffix)] = Field(
        description="a .csv, .parquet or .xlsx file, replaced all at once"
    )


def check(
    sink: Settings,
    schema: Schema,
    table: Table,
    output: OutputSettings,
    ids: Names = (),
    texts: Names = (),
) -> str:
    """Refuse a file that cannot be written or replaced."""
    target = Path(os.path.realpath(sink.path))
    if target.is_dir():
        raise CannotCreate("is a folder; name a file in it", place=sink.path)
    if target.exists() and not os.access(target, os.W_OK):
        raise CannotCreate("may not be written", place=sink.path)
    check_folder(target.parent, sink.path)
    return f"{sink.path} can be written"


def write(sink: Settings, results: Results, *beside: tuple[Settings, Results]) -> dict[str, Any]:
    """Replace one file after the other, and make folders that are missing."""
    for target, each in ((sink, results), *beside):
        frame = (
            guard_formulas(each.frame, each.schema.ids) if each.output.excel_safe else each.frame
        )
        make_directory(Path(target.path).parent)
        write_frames([frame], target.path)
    return {"sha256": sha256_of_file(sink.path)}
