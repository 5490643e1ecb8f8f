"""What a run publishes: sinks, ledger, live version; a folder keeps it where a check blocks it, to be accepted."""

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import BaseModel

from forecast.artifacts.store import Store, Writer, runs_folder
from forecast.calendar.spec import as_text
from forecast.durable import failure, fsync_directory, make_directory, raised_as, replace_file, write_new
from forecast.errors import ArtifactRefused, Blocked, ForecastError, UsageError
from forecast.jobs.administration import claim_sinks, claimed, ledger_of
from forecast.jobs.kinds import Results, shown_keys
from forecast.jobs.ping import ping
from forecast.jobs.pipeline import Pipeline
from forecast.jobs.sinks import KINDS, SinkSettings, sinks_of
from forecast.ledger.accuracy import NEWEST
from forecast.ledger.ledger import DAMAGED, INPUTS, MAX_RECORDS, TOTALS, DayScore, FitEntry, Ledger, packed, unpacked
from forecast.ledger.record import CLOCK_TOLERANCE, FILE, Record
from forecast.logs import log
from forecast.panel.schema import Schema
from forecast.settings import OutputSettings

RUN, ROWS, FORECASTS = "run.json", "rows.parquet", "cells.parquet"


@dataclass(frozen=True)
class Publication:
    """All that a run writes once its forecasts are made."""

    record: Record
    tables: list[Results]  # forecasts, and sums of them
    series: list[tuple[str, ...]]  # ids of the forecasts
    forecasts: pd.DataFrame  # for the ledger
    more: Mapping[str, pd.DataFrame | bytes]  # sums and inputs for the ledger, by its tables
    days: list[DayScore]  # scores of earlier runs
    fit: FitEntry | None = None

    def publish(self, pipeline: Pipeline, ledger: Ledger) -> None:
        """Write the sinks, then the ledger; what goes live after that is owed to it."""
        claim_sinks(pipeline, self.series, write=True)
        # only now: else a run that failed would seem to have written
        self.record.output |= _written(pipeline, self.tables)
        if self.record.ahead_of_clock:  # later runs would learn from its forecasts
            ledger.add_run(self.record, fit=self.fit)
        else:
            ledger.add_run(self.record, self.forecasts, self.days, self.fit, self.more)

    def keep(self, pipeline: Pipeline) -> dict[str, Any]:
        """Keep all of it in a folder beside the ledger, which appears at once; returns what the record says of it."""
        folder = _blocked_folder(pipeline.store, self.record.as_of)
        half = folder.with_name("blocked-half")
        for old in (half, folder):  # of a run that was killed, and of an earlier run as of this time
            shutil.rmtree(old, ignore_errors=True)
        make_directory(half)
        for name, data in self._files():
            write_new(half / name, data, shown=folder / name)
        fsync_directory(half)
        with raised_as(failure, folder):
            os.rename(half, folder)
        fsync_directory(folder.parent)
        for old in set(folder.parent.glob("blocked-*")) - {folder}:
            shutil.rmtree(old, ignore_errors=True)
        return {"folder": pipeline.hidden(str(folder)), "accepted": False}

    def _files(self) -> Iterator[tuple[str, bytes]]:
        for number, table in enumerate(self.tables):
            yield f"{number}-{ROWS}", bytes(table.explained.set_index([table.times, table.origins]).to_parquet())
        yield FORECASTS, packed(self.forecasts)
        yield from ((name, new if isinstance(new, bytes) else packed(new)) for name, new in self.more.items())
        first, parts = self.tables[0], {name: getattr(self, name) for name in ("record", "series", "days", "fit")}
        schemas, columns = [table.schema for table in self.tables], [[*table.frame] for table in self.tables]
        run = _KeptRun(**parts, version=first.version, output=first.output, schemas=schemas, columns=columns)
        yield RUN, run.model_dump_json().encode()


class _KeptRun(BaseModel):
    record: Record
    series: list[tuple[str, ...]]
    days: list[DayScore]
    fit: FitEntry | None
    version: str
    output: OutputSettings
    schemas: list[Schema]
    columns: list[list[str]]  # of each table without those that only some sinks write


def _blocked_folder(store: str, as_of: str) -> Path:
    return runs_folder(store) / f"blocked-{as_of.replace(':', '')}"


def read_blocked(store: str, as_of: str) -> Publication:
    """What a blocked run would have published; ArtifactRefused where it is missing or damaged."""
    folder, tables = _blocked_folder(store, as_of), list[Results]()
    try:
        run = _KeptRun.model_validate_json((folder / RUN).read_bytes())
        for number, (schema, columns) in enumerate(zip(run.schemas, run.columns, strict=True)):
            rows = pd.read_parquet(folder / f"{number}-{ROWS}")
            times, origins = (rows.index.get_level_values(level).to_numpy() for level in (0, 1))
            rows = rows.reset_index(drop=True)
            tables.append(Results(rows[columns], rows, times, origins, schema, run.version, run.output))
        forecasts = unpacked((folder / FORECASTS).read_bytes())
        more: dict[str, pd.DataFrame | bytes] = {INPUTS: (folder / INPUTS).read_bytes()}
        more |= {TOTALS: unpacked((folder / TOTALS).read_bytes())} if (folder / TOTALS).exists() else {}
    except DAMAGED as error:
        problem = f"what the blocked run kept cannot be read ({str(error).splitlines()[0]})"
        raise ArtifactRefused(problem, place=folder, cure="run the job again") from None
    return Publication(run.record, tables, run.series, forecasts, more, run.days, run.fit)


def promote_owed(ledger: Ledger, store: Store, writer: Writer) -> None:
    """Make live the version that the newest run with a promoted fit owes: this run, or one that was killed."""
    clock = datetime.now(UTC) + timedelta(seconds=CLOCK_TOLERANCE)
    owed = next((fit.version for fit in reversed(ledger.fits(as_text(clock))) if fit.goes_live), None)
    if owed is not None and (store.path / owed).exists() and (store.empty or store.current() < owed):
        writer.promote(owed)  # a version that was saved later is the choice of a user


def _written(pipeline: Pipeline, tables: list[Results]) -> dict[str, Any]:
    """Write tables, those of a database in one transaction; returns what the record says of them."""
    named = [dict(sinks_of(sink)) for sink in pipeline.sinks.values()]
    facts, *others = [places(pipeline, sink) for sink in pipeline.sinks.values()]
    for kind in KINDS:
        pairs = [(kinds[kind], table) for kinds, table in zip(named, tables, strict=True) if kind in kinds]
        added = kind.write(*pairs[0], *pairs[1:]) if pairs else {}
        facts |= added if kind in named[0] else {}
    return facts | ({"totals": others} if others else {})


def places(pipeline: Pipeline, sink: SinkSettings) -> dict[str, Any]:
    """The files and tables of a sink, by their keys, as the record shows them."""
    return {key: pipeline.hidden(value) for key, value in shown_keys(sink).items()}


def write_record(record: Record, pipeline: Pipeline) -> None:
    path = runs_folder(pipeline.store) / FILE
    make_directory(path.parent)
    replace_file(path, (record.model_dump_json(indent=2) + "\n").encode())


def accept_blocked(pipeline: Pipeline, take_over: bool = False) -> Record:
    """Publish the newest blocked run exactly as it was.

    With `take_over` store and sinks are taken from the job that they belong to. Raises `UsageError` if no run is
    blocked, or a later run has published.
    """
    pipeline._take_over = take_over
    job, store = pipeline.hidden(pipeline.name or "job"), Store(pipeline.store)
    with pipeline.hidden.kept_out(), store.lock(pipeline.wait) as writer, claimed(pipeline, take_over):
        ledger = ledger_of(pipeline)
        promote_owed(ledger, store, writer)  # of an acceptance that was killed
        runs = ledger.runs(MAX_RECORDS)
        found = next((run for run in runs if run.exit_code == Blocked.exit_code and run.blocked), None)
        if found is None:
            raise UsageError(f"job '{job}': no run is blocked, so that there is nothing to accept")
        if later := [run.as_of for run in runs if run.as_of > found.as_of and run.settled]:
            problem = f"the run as of {later[0]} has published since that of {found.as_of} was blocked"
            raise UsageError(f"job '{job}': {problem}")
        publication = read_blocked(pipeline.store, found.as_of)
        if len(publication.tables) != len(pipeline.sinks):
            raise UsageError("the file has other [[totals]] than the blocked run; undo that, or run the job again")
        # from here on the next run finishes it, if this one is killed
        ledger.add_run(found.model_copy(update={"blocked": found.blocked | {"accepted": True}}))
        try:
            return _accepted(publication, pipeline, ledger, store, writer)
        except ForecastError:  # the user hears of it, so that no later run goes on with it
            if any((run.as_of, run.exit_code) == (found.as_of, found.exit_code) for run in ledger.runs(MAX_RECORDS)):
                ledger.add_run(found)
            raise


def finish_accepted(pipeline: Pipeline, ledger: Ledger, store: Store, writer: Writer) -> None:
    """Publish a blocked run that was accepted, and whose publication was killed."""
    for run in ledger.runs(NEWEST):
        if run.exit_code == Blocked.exit_code and run.blocked.get("accepted"):
            try:
                _accepted(read_blocked(pipeline.store, run.as_of), pipeline, ledger, store, writer)
            except ArtifactRefused as error:
                log.warning("%s", error)
        if run.settled:
            return


def _accepted(publication: Publication, pipeline: Pipeline, ledger: Ledger, store: Store, writer: Writer) -> Record:
    record = publication.record
    record.warnings.append(f"a check blocked it, and it was accepted at {as_text(datetime.now(UTC))}")
    record.blocked = {"accepted": True}
    publication.publish(pipeline, ledger)
    promote_owed(ledger, store, writer)
    log.info("accepted %s", record.id)
    write_record(record, pipeline)
    ping(pipeline.ping, "", record.model_dump_json(include={"counts", "warnings"}))
    return record
