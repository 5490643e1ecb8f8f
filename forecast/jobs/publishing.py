"""Publish a run, or keep it in a folder if a check blocks it, so that the user can accept it."""

import hashlib
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import BaseModel

from forecast.artifacts.store import Store, Writer, runs_folder
from forecast.calendar.spec import as_text
from forecast.checks import output as checks
from forecast.checks.accuracy import NEWEST
from forecast.checks.limits import HARD
from forecast.durable import (
    failure,
    fsync_directory,
    make_directory,
    raised_as,
    read_file,
    replace_file,
    write_new,
)
from forecast.errors import ArtifactRefused, Blocked, ForecastError, UsageError
from forecast.jobs import sinks
from forecast.jobs.administration import claim, claim_sinks, ledger_of, status_of
from forecast.jobs.monitoring import exposition
from forecast.jobs.pipeline import Pipeline
from forecast.jobs.sinks import Results, SinkSettings
from forecast.ledger.ledger import (
    DAMAGED,
    INPUTS,
    MAX_RECORDS,
    OVERRIDES,
    TOTALS,
    DayScore,
    FitEntry,
    Ledger,
    packed,
    unpacked,
)
from forecast.ledger.record import CLOCK_TOLERANCE, FILE, Record
from forecast.logs import log
from forecast.panel.panel import Ids
from forecast.panel.schema import Schema
from forecast.settings import Facts, OutputSettings

RUN = "run.json"
ROWS = "rows.parquet"
FORECASTS = "cells.parquet"
MAX_BYTES = 2**33  # largest file of a blocked run, as it is read into memory


@dataclass(frozen=True)
class Publication:
    """All that a run writes after its forecasts are made."""

    record: Record
    tables: dict[str, Results]  # forecasts and sums of them, by destination
    series: Ids  # ids of the forecasts
    forecasts: pd.DataFrame  # for the ledger
    # for the ledger, by its tables: inputs as bytes, sums and overrides as frames
    more: Mapping[str, Any]
    days: list[DayScore]  # scores of earlier runs
    fit: FitEntry | None = None

    def publish(self, pipeline: Pipeline, ledger: Ledger) -> None:
        """Write the sinks, then the ledger, which says which version is to go live after that."""
        claim_sinks(pipeline, self.series, write=True)
        tables = [self.tables[place] for place in destinations(pipeline)]
        facts = sinks.write(list(zip(pipeline.sinks.values(), tables, strict=True)))
        # not earlier, or a run that fails here would seem to have written its output
        written = [places(pipeline, sink) for sink in pipeline.sinks.values()]
        self.record.output |= written[0] | facts
        if len(written) > 1:
            self.record.output["totals"] = written[1:]
        was_settled = self.record.settled
        self.record.settled = True
        if self.fit is not None:
            self.record.fit["promoted"] = self.fit.promoted
        try:
            ledger.add_run(self.record, self.forecasts, self.days, self.fit, self.more)
        except ForecastError as error:
            self.record.settled = was_settled
            written_places = "; ".join(destinations(pipeline))
            text = f"these are new, and the ledger does not know it: {written_places}"
            cures = [str(error.cure), text, "the next run writes them anew"]
            error.cure = "; ".join(filter(None, cures))
            raise

    def keep(self, pipeline: Pipeline) -> Facts:
        """Keep it in a folder, which appears in one step; returns what the record says of it."""
        folder = _blocked_folder(pipeline.store, self.record.as_of)
        half = folder.with_name("blocked-half")
        # left by a run that was killed, and by an earlier run with the same `as_of`
        for old in (half, folder):
            shutil.rmtree(old, ignore_errors=True)
        make_directory(half)
        sha256 = {}
        for name, data in self._files().items():
            write_new(half / name, data, shown=folder / name)
            sha256[name] = hashlib.sha256(data).hexdigest()
        kept = _KeptRun(
            record=self.record,
            schemas={place: table.schema for place, table in self.tables.items()},
            output=pipeline.output,
            series=self.series,
            days=self.days,
            fit=self.fit,
            sha256=sha256,
        )
        run = kept.model_dump_json().encode()
        write_new(half / RUN, run, shown=folder / RUN)
        fsync_directory(half)
        with raised_as(failure, folder):
            os.rename(half, folder)
        fsync_directory(folder.parent)
        for old in set(folder.parent.glob("blocked-*")) - {folder}:
            shutil.rmtree(old, ignore_errors=True)
        return {
            "folder": pipeline.hidden(str(folder)),
            "accepted": False,
            "sha256": hashlib.sha256(run).hexdigest(),
        }

    def _files(self) -> dict[str, bytes]:
        files = {}
        for number, table in enumerate(self.tables.values()):
            rows = table.explained.set_index([table.times, table.origins])
            files[f"{number}-{ROWS}"] = bytes(rows.to_parquet())
        files[FORECASTS] = packed(self.forecasts)
        for name, new in self.more.items():
            if len(new):
                files[name] = new if isinstance(new, bytes) else packed(new)
        return files


class _KeptRun(BaseModel):
    record: Record
    schemas: dict[str, Schema]  # of each table, by place
    output: OutputSettings
    series: Ids
    days: list[DayScore]
    fit: FitEntry | None
    sha256: dict[str, str]  # of each other file


def _blocked_folder(store: str, as_of: str) -> Path:
    return runs_folder(store) / f"blocked-{as_of.replace(':', '')}"


def newest_blocked(runs: Sequence[Record]) -> Record | None:
    """The run that a check blocked last; the folder keeps what it would have published."""
    blocked = [run for run in runs if run.exit_code == Blocked.exit_code and run.blocked]
    return max(blocked, key=lambda run: run.started, default=None)


def read_blocked(store: str, blocked: Record) -> Publication:
    """What a blocked run would have published; `ArtifactRefused` if it is missing or damaged."""
    folder = _blocked_folder(store, blocked.as_of)
    try:
        sha256 = blocked.blocked.get("sha256", "")
        run = _KeptRun.model_validate_json(read_file(folder / RUN, MAX_BYTES, sha256))
        files = {
            name: read_file(folder / name, MAX_BYTES, sha256) for name, sha256 in run.sha256.items()
        }
        tables = {
            place: _results(files[f"{number}-{ROWS}"], run, place)
            for number, place in enumerate(run.schemas)
        }
        forecasts = unpacked(files[FORECASTS])
        more: Facts = {INPUTS: files[INPUTS]}
        for name in {TOTALS, OVERRIDES} & files.keys():
            more[name] = unpacked(files[name])
    except DAMAGED as error:
        problem = f"what the blocked run kept cannot be read ({str(error).splitlines()[0]})"
        raise ArtifactRefused(problem, place=folder, cure="run the job again") from None
    return Publication(run.record, tables, run.series, forecasts, more, run.days, run.fit)


def _results(data: bytes, run: _KeptRun, place: str) -> Results:
    rows = pd.read_parquet(BytesIO(data))
    return Results(
        explained=rows.reset_index(drop=True),
        times=rows.index.get_level_values(0).to_numpy(),
        origins=rows.index.get_level_values(1).to_numpy(),
        schema=run.schemas[place],
        version=str(run.record.version),
        output=run.output,
    )


def _to_accept(pipeline: Pipeline, blocked: Record) -> Publication:
    """What a blocked run kept, for the sinks that the file now names.

    Refused if it breaks a rule that no forecast may break.
    """
    publication = read_blocked(pipeline.store, blocked)
    if publication.tables.keys() != set(destinations(pipeline)):
        places_then = "; ".join(publication.tables)
        problem = f"the blocked run was to write {places_then}; the file now names other places"
        raise UsageError(f"{problem}; undo that, or run the job again", place=pipeline.file)
    broken = {name for name in HARD if blocked.checks.get(name, {}).get("share")}
    for table in publication.tables.values():
        counts = checks.row_counts(table.explained.to_dict("series"), table.output)
        broken |= {name for name, count in counts.items() if count}
    if broken:
        rules = ", ".join(HARD[name] for name in sorted(broken))
        problem = f"the run as of {blocked.as_of} has {rules}, which no forecast may"
        raise Blocked(problem, cure="run the job again")
    return publication


def promote_owed(ledger: Ledger, store: Store, writer: Writer) -> None:
    """Make the newest promoted version live, of this run or of one that was killed before that."""
    clock = as_text(datetime.now(UTC) + CLOCK_TOLERANCE)
    owed = [fit.version for fit in ledger.fits(clock) if fit.goes_live]
    if not owed or not (store.path / owed[-1]).exists():
        return
    # a newer version is live because a user chose it
    if store.empty or store.current() < owed[-1]:
        writer.promote(owed[-1])


def destinations(pipeline: Pipeline) -> list[str]:
    """The files and tables of the forecasts, then those of each table of sums."""
    return [", ".join(places(pipeline, sink).values()) for sink in pipeline.sinks.values()]


def places(pipeline: Pipeline, sink: SinkSettings) -> Facts:
    """The files and tables of a sink, by key, as the record shows them."""
    return {key: pipeline.hidden(place) for key, place in sink.places.items()}


def write_record(record: Record, pipeline: Pipeline) -> None:
    """Write the newest record of a job, and its gauges where the file has [monitoring]."""
    path = runs_folder(pipeline.store) / FILE
    make_directory(path.parent)
    replace_file(path, (record.model_dump_json(indent=2) + "\n").encode())
    if pipeline.monitoring.path is None:
        return
    path = Path(pipeline.monitoring.path)
    try:
        state = status_of(ledger_of(pipeline), pipeline.store)
        make_directory(path.parent)
        replace_file(path, f"{exposition([state])}\n".encode())
    except ForecastError as error:  # the forecasts are written, and matter more
        log.warning("the gauges could not be written: %s", error)


def accept_blocked(pipeline: Pipeline, take_over: bool = False) -> Record:
    """Publish the newest blocked run exactly as it was.

    With `take_over` the job takes store and sinks from the job that they belong to. Raises
    `UsageError` if no run is blocked, or a later run has published.
    """
    pipeline._take_over = take_over
    job = f"job '{pipeline.shown_name}'"
    store = Store(pipeline.store)
    with pipeline.hidden.kept_out(), store.lock(pipeline.wait) as writer:
        claim(pipeline)
        ledger = ledger_of(pipeline)
        promote_owed(ledger, store, writer)  # left undone by an acceptance that was killed
        runs = ledger.runs(MAX_RECORDS)
        blocked = newest_blocked(runs)
        if blocked is None:
            raise UsageError(f"{job}: no run is blocked, so that there is nothing to accept")
        later = [run.as_of for run in runs if run.as_of > blocked.as_of and run.settled]
        if later:
            problem = f"the run as of {later[0]} has published since that of {blocked.as_of}"
            raise UsageError(f"{job}: {problem} was blocked")
        publication = _to_accept(pipeline, blocked)
        # if this process is killed from here on, the next run finishes the acceptance
        accepted = blocked.blocked | {"accepted": True}
        ledger.add_run(blocked.model_copy(update={"blocked": accepted}))
        try:
            return _accepted(publication, pipeline, ledger, store, writer)
        except ForecastError:  # the user sees the error, so no later run has to finish it
            if ledger.runs(1, blocked.as_of)[0].exit_code == blocked.exit_code:
                ledger.add_run(blocked)
            raise


def finish_accepted(pipeline: Pipeline, ledger: Ledger, store: Store, writer: Writer) -> None:
    """Publish a blocked run that was accepted, if its publication was killed."""
    for run in ledger.runs(NEWEST):
        if run.exit_code == Blocked.exit_code and run.blocked.get("accepted"):
            try:
                publication = _to_accept(pipeline, run)
            except (ArtifactRefused, Blocked, UsageError) as error:
                log.warning("what was accepted is not published: %s", error)
            else:
                _accepted(publication, pipeline, ledger, store, writer)
        if run.settled:
            return


def _accepted(
    publication: Publication, pipeline: Pipeline, ledger: Ledger, store: Store, writer: Writer
) -> Record:
    record = publication.record
    now = as_text(datetime.now(UTC))
    record.warnings.append(f"a check blocked it, and it was accepted at {now}")
    record.blocked = {"accepted": True}
    publication.publish(pipeline, ledger)
    promote_owed(ledger, store, writer)
    log.info("accepted %s", record.id)
    write_record(record, pipeline)
    return record
