"""What a run publishes: sinks, ledger, live version; a folder keeps it where a check blocks it, to be accepted."""

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
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
from forecast.jobs.administration import claim_sinks, claimed, ledger_of
from forecast.jobs.kinds import Results, shown_keys
from forecast.jobs.ping import ping
from forecast.jobs.pipeline import Pipeline
from forecast.jobs.sinks import KINDS, SinkSettings, sinks_of
from forecast.ledger.ledger import (
    DAMAGED,
    INPUTS,
    MAX_RECORDS,
    TOTALS,
    DayScore,
    FitEntry,
    Ledger,
    packed,
    unpacked,
)
from forecast.ledger.record import CLOCK_TOLERANCE, FILE, Record
from forecast.logs import log
from forecast.panel.schema import Schema
from forecast.settings import OutputSettings

RUN, ROWS, FORECASTS = "run.json", "rows.parquet", "cells.parquet"
MAX_BYTES = 2**33  # of a file of a blocked run, which is read into memory


@dataclass(frozen=True)
class Publication:
    """All that a run writes once its forecasts are made."""

    record: Record
    tables: dict[str, Results]  # forecasts, and sums of them, by where they go
    series: list[tuple[str, ...]]  # ids of the forecasts
    forecasts: pd.DataFrame  # for the ledger
    more: Mapping[str, pd.DataFrame | bytes]  # sums and inputs for the ledger, by its tables
    days: list[DayScore]  # scores of earlier runs
    fit: FitEntry | None = None

    def publish(self, pipeline: Pipeline, ledger: Ledger) -> None:
        """Write the sinks, then the ledger; what goes live after that is owed to it."""
        claim_sinks(pipeline, self.series, write=True)
        # only now: else a run that failed would seem to have written
        self.record.output |= self._write(pipeline)
        ledger.add_run(self.record, self.forecasts, self.days, self.fit, self.more)

    def keep(self, pipeline: Pipeline) -> dict[str, Any]:
        """Keep all of it in a folder beside the ledger, which appears at once; returns what the record says of it."""
        folder = _blocked_folder(pipeline.store, self.record.as_of)
        half = folder.with_name("blocked-half")
        for old in (
            half,
            folder,
        ):  # of a run that was killed, and of an earlier run as of this time
            shutil.rmtree(old, ignore_errors=True)
        make_directory(half)
        sha256 = dict[str, str]()
        for name, data in self._files():
            write_new(half / name, data, shown=folder / name)
            sha256[name] = hashlib.sha256(data).hexdigest()
        parts = {name: getattr(self, name) for name in ("record", "series", "days", "fit")}
        tables = {place: (table.schema, [*table.frame]) for place, table in self.tables.items()}
        kept = _KeptRun(**parts, tables=tables, output=pipeline.output, sha256=sha256)
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

    def _files(self) -> Iterator[tuple[str, bytes]]:
        for number, table in enumerate(self.tables.values()):
            yield (
                f"{number}-{ROWS}",
                bytes(table.explained.set_index([table.times, table.origins]).to_parquet()),
            )
        yield FORECASTS, packed(self.forecasts)
        yield from (
            (name, new if isinstance(new, bytes) else packed(new))
            for name, new in self.more.items()
        )

    def _write(self, pipeline: Pipeline) -> dict[str, Any]:
        """Write tables, those of a database in one transaction; returns what the record says of them."""
        sinks = pipeline.sinks.values()
        named = [dict(sinks_of(sink)) for sink in sinks]
        facts, *others = (places(pipeline, sink) for sink in sinks)
        tables = [self.tables[place] for place in destinations(pipeline)]
        for kind in KINDS:
            pairs = [
                (kinds[kind], table)
                for kinds, table in zip(named, tables, strict=True)
                if kind in kinds
            ]
            added = kind.write(*pairs[0], *pairs[1:]) if pairs else {}
            facts |= added if kind in named[0] else {}
        return facts | ({"totals": others} if others else {})


class _KeptRun(BaseModel):
    record: Record
    tables: dict[str, tuple[Schema, list[str]]]  # columns without those that only some sinks write
    output: OutputSettings
    series: list[tuple[str, ...]]
    days: list[DayScore]
    fit: FitEntry | None
    sha256: dict[str, str]  # of each other file


def _blocked_folder(store: str, as_of: str) -> Path:
    return runs_folder(store) / f"blocked-{as_of.replace(':', '')}"


def newest_blocked(runs: Sequence[Record]) -> Record | None:
    """The run that a check blocked last, of which the folder keeps what it would have published."""
    blocked = [run for run in runs if run.exit_code == Blocked.exit_code and run.blocked]
    return max(blocked, key=lambda run: run.started, default=None)


def read_blocked(store: str, blocked: Record) -> Publication:
    """What a blocked run would have published; ArtifactRefused where it is missing or damaged."""
    folder, tables = _blocked_folder(store, blocked.as_of), dict[str, Results]()
    try:
        run = _KeptRun.model_validate_json(
            read_file(folder / RUN, MAX_BYTES, blocked.blocked.get("sha256", ""))
        )
        files = {
            name: read_file(folder / name, MAX_BYTES, sha256) for name, sha256 in run.sha256.items()
        }
        for number, (place, (schema, columns)) in enumerate(run.tables.items()):
            rows = pd.read_parquet(BytesIO(files[f"{number}-{ROWS}"]))
            times, origins = (rows.index.get_level_values(level).to_numpy() for level in (0, 1))
            rows = rows.reset_index(drop=True)
            made = str(run.record.version), run.output
            tables[place] = Results(rows[columns], rows, times, origins, schema, *made)
        forecasts = unpacked(files[FORECASTS])
        more: dict[str, pd.DataFrame | bytes] = {INPUTS: files[INPUTS]}
        more |= {TOTALS: unpacked(files[TOTALS])} if TOTALS in files else {}
    except DAMAGED as error:
        problem = f"what the blocked run kept cannot be read ({str(error).splitlines()[0]})"
        raise ArtifactRefused(problem, place=folder, cure="run the job again") from None
    return Publication(run.record, tables, run.series, forecasts, more, run.days, run.fit)


def _to_accept(pipeline: Pipeline, blocked: Record) -> Publication:
    """What a blocked run kept, for the destinations that the file names, with no rule broken."""
    publication = read_blocked(pipeline.store, blocked)
    if publication.tables.keys() != set(destinations(pipeline)):
        problem = f"the blocked run was to write {'; '.join(publication.tables)}; the file now names other places"
        raise UsageError(f"{problem}; undo that, or run the job again", place=pipeline.file)
    broken = {name for name in HARD if blocked.checks.get(name, {}).get("share")}
    for table in publication.tables.values():
        counts = checks.row_counts(table.frame.to_dict("series"), table.output)
        broken |= {name for name, count in counts.items() if count}
    if broken:
        rules = ", ".join(HARD[name] for name in sorted(broken))
        raise Blocked(
            f"the run as of {blocked.as_of} has {rules}, which no forecast may; run the job again"
        )
    return publication


def promote_owed(ledger: Ledger, store: Store, writer: Writer) -> None:
    """Make live the version that the newest run with a promoted fit owes: this run, or one that was killed."""
    clock = as_text(datetime.now(UTC) + CLOCK_TOLERANCE)
    owed = next((fit.version for fit in reversed(ledger.fits(clock)) if fit.goes_live), None)
    if (
        owed is not None
        and (store.path / owed).exists()
        and (store.empty or store.current() < owed)
    ):
        writer.promote(owed)  # a version that was saved later is the choice of a user


def destinations(pipeline: Pipeline) -> list[str]:
    """Where the forecasts go, and each of their sums: files and tables."""
    return [", ".join(places(pipeline, sink).values()) for sink in pipeline.sinks.values()]


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
    with (
        pipeline.hidden.kept_out(),
        store.lock(pipeline.wait) as writer,
        claimed(pipeline, take_over),
    ):
        ledger = ledger_of(pipeline)
        promote_owed(ledger, store, writer)  # of an acceptance that was killed
        runs = ledger.runs(MAX_RECORDS)
        found = newest_blocked(runs)
        if found is None:
            raise UsageError(f"job '{job}': no run is blocked, so that there is nothing to accept")
        if later := [run.as_of for run in runs if run.as_of > found.as_of and run.settled]:
            problem = (
                f"the run as of {later[0]} has published since that of {found.as_of} was blocked"
            )
            raise UsageError(f"job '{job}': {problem}")
        publication = _to_accept(pipeline, found)
        # from here on the next run finishes it, if this one is killed
        ledger.add_run(found.model_copy(update={"blocked": found.blocked | {"accepted": True}}))
        try:
            return _accepted(publication, pipeline, ledger, store, writer)
        except ForecastError:  # the user hears of it, so that no later run goes on with it
            if ledger.runs(1, found.as_of)[0].exit_code == found.exit_code:
                ledger.add_run(found)
            raise


def finish_accepted(pipeline: Pipeline, ledger: Ledger, store: Store, writer: Writer) -> None:
    """Publish a blocked run that was accepted, and whose publication was killed."""
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
    record.warnings.append(
        f"a check blocked it, and it was accepted at {as_text(datetime.now(UTC))}"
    )
    record.blocked = {"accepted": True}
    publication.publish(pipeline, ledger)
    promote_owed(ledger, store, writer)
    log.info("accepted %s", record.id)
    write_record(record, pipeline)
    ping(pipeline.ping, "", record.model_dump_json(include={"counts", "warnings"}))
    return record
