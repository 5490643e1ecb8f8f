"""Commands on a job and its store, by the pipeline file of the job, or on the store of --artifact."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forecast.calendar.spec import as_text, parse_as_of
from forecast.checks.accuracy import actuals_lines
from forecast.checks.table import age_text
from forecast.cli._command import Request, named
from forecast.cli._console import (
    log,
    log_lines,
    progress_bar,
    put,
    put_json,
    put_numbers,
    put_rows,
    suggest,
)
from forecast.errors import UsageError
from forecast.jobs import administration
from forecast.jobs.administration import ledger_of
from forecast.jobs.diff import diff_of
from forecast.jobs.gate import replayed_checks
from forecast.jobs.inputs import check_job
from forecast.jobs.pipeline import Pipeline, read_pipeline
from forecast.jobs.publishing import accept_blocked
from forecast.jobs.run import run_job
from forecast.jobs.sinks import SinkSettings
from forecast.ledger.ledger import Ledger
from forecast.ledger.record import Record
from forecast.settings import STORE, StoreSettings, TrainSettings

SUFFIX = ".toml"
WIDTH = 160  # characters of a line of a status if stdout is not a terminal


@dataclass(frozen=True)
class Chosen:
    store: str
    pipeline: Pipeline | None = None

    @property
    def words(self) -> tuple[str, ...]:
        return (self.pipeline.file,) if self.pipeline is not None else named(self.store)

    @property
    def use(self) -> tuple[str, ...]:
        return ("predict" if self.pipeline is None else "run", *self.words)

    def shown(self, text: str) -> str:
        """A text without the secrets of the pipeline file."""
        return text if self.pipeline is None else self.pipeline.hidden(text)

    def ledgers(self) -> list[Ledger]:
        return (
            [ledger_of(self.pipeline)] if self.pipeline else administration.ledgers_of(self.store)
        )


@contextmanager
def chosen_store(job: str | None, artifact: str | None) -> Iterator[Chosen]:
    """The store that a pipeline file or --artifact names; no error that ends the block holds the file's secrets."""
    if job is None:
        yield Chosen(artifact or STORE.store)
        return
    if artifact is not None:
        raise UsageError(
            f"--artifact {artifact}: {job} names the store already; leave one of the two out"
        )
    if Path(job).is_dir():
        raise UsageError(
            f"{job} is a folder, not a pipeline file; name a store with --artifact {job}"
        )
    pipeline = read_pipeline(job)
    with pipeline.hidden.kept_out():
        yield Chosen(pipeline.store, pipeline)


def promote(request: Request) -> None:
    with chosen_store(request.job, request.artifact) as chosen:
        wait = request.of(StoreSettings).wait
        live = administration.promote(chosen.store, request.version, wait, chosen.pipeline)
        log(f"live     {chosen.shown(chosen.store)}/{live}")
        suggest(*chosen.use)


def rollback(request: Request) -> None:
    with chosen_store(request.job, request.artifact) as chosen:
        before, live = administration.rollback(
            chosen.store, request.of(StoreSettings).wait, chosen.pipeline
        )
        log(f"live     {chosen.shown(chosen.store)}/{live}, no longer {before}")
        suggest(*chosen.use)


def versions(request: Request) -> None:
    with chosen_store(request.job, request.artifact) as chosen:
        found = administration.versions_of(chosen.store, chosen.pipeline)
        found = [{**version, "note": chosen.shown(version["note"])} for version in found]
        if request.as_json:
            put_json(found, indent=2)
        for version in () if request.as_json else found:
            mark = "live" if version["live"] else ""
            put(
                f"{version['version']}  {mark:4}  {str(version['hash'])[:12]}  {version['note']}".rstrip()
            )
        suggest("inspect", *chosen.words)


def status(request: Request) -> int:
    """Print the status of a job, or of all jobs of a store; the worst of their codes is the exit code."""
    with chosen_store(request.job, request.artifact) as chosen:
        ledgers, as_of = (
            chosen.ledgers(),
            None if request.as_of is None else parse_as_of(request.as_of),
        )
        ledgers = [
            ledger for ledger in ledgers if as_of is None or ledger.runs(1, as_text(as_of))
        ] or ledgers
        states = [
            administration.status_of(ledger, chosen.store, as_of, request.runs)
            for ledger in ledgers
        ]
        if request.as_json:
            put_json(states, indent=2)
        for state in () if request.as_json else states:
            _show(state)
        code: int = max(state["code"] for state in states)
        if code == 0:
            suggest("versions", *chosen.words)
        return code


def diff(request: Request) -> None:
    """Print why forecasts changed between two runs of a job, or of each job of a store."""
    where, runs = request.of(TrainSettings), (request.before, request.after)
    with chosen_store(request.job, request.artifact) as chosen:
        found = [
            diff_of(ledger, chosen.store, runs, where, request.sums) for ledger in chosen.ledgers()
        ]
        if request.as_json:
            put_json(found, indent=2)
        for facts in () if request.as_json else found:
            _show_diff(facts, request.limit)
        suggest("status", *chosen.words)


def _show_diff(facts: dict[str, Any], limit: int) -> None:
    size = "" if facts["size"] is None else f"{_percent(facts['size'])} changed, in "
    put(
        f"job      {facts['job']}: {size}{facts['cells']:,} forecasts of {facts['series']:,} series"
    )
    put(*(f"{name:8} {facts[name]['as_of']}, {facts[name]['version']}" for name in ("from", "to")))
    put(*(f"note     {note}" for note in facts["notes"]))
    steps = [
        (row["step"], _amount(row["change"]), _percent(row["size"] or 0)) for row in facts["steps"]
    ]
    put_numbers(("step, in this order", "change of the sum", "size"), 1, steps, width=WIDTH)
    series, count = facts["by_series"][:limit], len(facts["by_series"])
    _put_changes(
        f"the {len(series)} series that moved most, up and down together, of {count:,}", series
    )
    _put_changes("sums", facts["sums"])


def _percent(share: float) -> str:
    return f"{100 * share:,.0f} %" if share > 1 else f"{100 * share:.3g} %"


def _amount(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= 1_000 else f"{number:.4g}"


def _put_changes(title: str, rows: list[dict[str, Any]]) -> None:
    """Changes in a table, with a column for each step that changes some of them."""
    if rows:
        names = [name for name, value in rows[0].items() if isinstance(value, str)]
        steps = [step for step in rows[0]["steps"] if any(row["steps"][step] for row in rows)]
        flat, heads = [{**row, **row["steps"]} for row in rows], ("old", "new", "change", *steps)
        texts = [
            [*(row[name] for name in names), *(_amount(row[head]) for head in heads)]
            for row in flat
        ]
        put_numbers((*names, "before", "now", "change", *steps), len(names), texts, title, WIDTH)


def _show(state: dict[str, Any]) -> None:
    age = "" if state["data_age"] is None else f", {age_text(state['data_age'])}"
    put(f"job      {state['job']}: {state['said']}", f"live     {state['live'] or 'no version'}")
    put(f"store    belongs to {state['owner'] or 'no job yet'}")
    put(f"data     up to {state['data_end'] or 'an unknown time'}{age}")
    warned = state["runs"][0]["warnings"]
    put(*(f"warning  {text}" for text in warned[:5]))
    if len(warned) > 5:
        put(f"         and {len(warned) - 5} more, which --json has")
    put(
        *(
            f"{'actuals' if not number else '':8} {line}"
            for number, line in enumerate(actuals_lines(state["actuals"]))
        )
    )
    names = ("as_of", "exit_code", "seconds", "version")
    runs = [[*(run[name] for name in names), administration.run_note(run)] for run in state["runs"]]
    put_rows(("run as of", "exit", "seconds", "version", "what"), runs, WIDTH, "{:.1f}")
    put_rows(
        ("day", "values", "MASE", "bias", "in 80 %", "in 95 %"),
        map(dict.values, state["days"]),
        WIDTH,
    )
    put_rows(
        ("totals", "sums", "error", "bias", "in 80 %", "in 95 %"),
        map(dict.values, state["totals"]),
        WIDTH,
    )


def run(request: Request) -> int:
    if request.schema:
        put_json(Pipeline.model_json_schema(), indent=2)
        return 0
    if (job := request.job) is None:
        raise UsageError("name a pipeline file: forecast run JOB.toml")
    pipeline = read_pipeline(job)
    if "wait" in request.values:
        pipeline = pipeline.model_copy(update={"wait": request.of(StoreSettings).wait})
    if request.replay is not None and not request.check:
        raise UsageError("--replay goes with --check: it replays past runs, and runs nothing")
    if request.accept:
        if others := [
            name for name in ("as_of", "output", "resume", "check") if getattr(request, name)
        ]:
            raise UsageError(
                f"--accept publishes a run that is over; leave out --{others[0].replace('_', '-')}"
            )
        return _show_record(accept_blocked(pipeline, request.take_over), request)
    if request.replay is not None:
        log_lines(replayed_checks(pipeline, request.replay))
        return 0
    if request.check:
        source = pipeline.source.path or "a query"
        sinks = " and ".join(_places(sink.places) for sink in pipeline.sinks.values())
        does = (
            f"job '{pipeline.name}' reads {source}, refits {pipeline.refit}, and writes to {sinks}"
        )
        log(pipeline.hidden(f"{job}: the file is valid; {does}"))
        log_lines(check_job(pipeline, request.as_of, request.take_over))
        suggest("run", job)
        return 0
    options = {name: getattr(request, name) for name in ("as_of", "output", "resume", "take_over")}
    with progress_bar() as on_step:
        record = run_job(pipeline, **options, on_step=on_step)
    return _show_record(record, request)


def _show_record(record: Record, request: Request) -> int:
    if request.as_json:
        put_json(record.model_dump(mode="json"), indent=2)
    written = (record.output, *record.output.get("totals", ()))
    where, *others = (
        _places({key: to[key] for key in SinkSettings.model_fields if key in to}) for to in written
    )
    sums = f", and {record.counts['sums']:,} sums to {' and '.join(others)}" if others else ""
    log(
        f"done     {record.counts['rows']:,} forecasts of {record.counts['series']:,} series to {where}{sums}"
    )
    log(f"run      {record.id} by {record.version}, {record.seconds:.1f} s")
    return record.exit_code


def _places(output: dict[str, str]) -> str:
    return " and ".join(
        f"the table {place}" if key == "table" else str(place) for key, place in output.items()
    )
