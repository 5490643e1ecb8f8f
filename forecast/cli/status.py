"""The command `status`."""

from typing import Any

from forecast.calendar.spec import as_text, parse_as_of
from forecast.cli._command import Request
from forecast.cli._console import echo, put, put_json, put_rows, suggest
from forecast.cli._named_store import named_store
from forecast.jobs.administration import build_status, run_note
from forecast.jobs.checks.age import age_text
from forecast.jobs.diff import group_scores, newest_run
from forecast.jobs.lag_scores import scores_at_lag
from forecast.jobs.monitoring import exposition
from forecast.report.sections import actuals_lines
from forecast.settings import LagSettings

MEASURES_SHOWN = ("MASE", "bias", "in 80 %", "in 95 %")
MOST_WARNINGS = 5
RUN_FIELDS = ("as_of", "exit_code", "seconds", "version")


def run(request: Request) -> int:
    """Print the status of a job, or of all jobs of a store; returns the worst exit code."""
    as_of = None if request.as_of is None else parse_as_of(request.as_of)
    with named_store(request.job, request.artifact) as store:
        ledgers = store.ledgers()
        if as_of is not None:
            ledgers = [one for one in ledgers if one.runs(1, as_text(as_of))] or ledgers
        states = []
        for ledger in ledgers:
            state = build_status(ledger, store.folder, request.runs, as_of)
            if request.lag is None:
                state["groups"] = group_scores(ledger, store.folder, request.by)
            else:
                asked = request.read_group(LagSettings)
                _, _, knew = newest_run(ledger, store.folder)
                fitted = knew.predictor.fitted
                state["groups"] = []
                state["at_lag"] = scores_at_lag(
                    ledger, knew.panel, fitted, asked, request.by, store.pipeline
                )
            states.append(state)
        if request.format == "json":
            put_json(states, indent=2)
        elif request.format == "prometheus":
            echo(exposition(states))
        else:
            for state in states:
                _put(state)
        code: int = max(state["code"] for state in states)
        if code == 0:
            suggest("versions", *store.words)
        return code


def _put(state: dict[str, Any]) -> None:
    age = "" if state["data_age"] is None else f", {age_text(state['data_age'])}"
    put(
        f"job      {state['job']}: {state['said']}",
        f"live     {state['live'] or 'no version'}",
        f"store    belongs to {state['owner'] or 'no job yet'}",
        f"data     up to {state['data_end'] or 'an unknown time'}{age}",
    )
    warnings = state["runs"][0]["warnings"]
    put(*(f"warning  {text}" for text in warnings[:MOST_WARNINGS]))
    if len(warnings) > MOST_WARNINGS:
        put(f"         and {len(warnings) - MOST_WARNINGS} more, which --json has")
    label = "actuals"
    for line in actuals_lines(state["actuals"]):
        put(f"{label:8} {line}")
        label = ""
    runs = [[*(run[name] for name in RUN_FIELDS), run_note(run)] for run in state["runs"]]
    put_rows(("run as of", "exit", "seconds", "version", "what"), runs, "{:.1f}")
    put_rows(("day", "values", *MEASURES_SHOWN), map(dict.values, state["days"]))
    put_rows(list(*state["groups"][:1]), map(dict.values, state["groups"]))
    overrides = state["actuals"].get("overrides", ())
    put_rows(list(*overrides[:1]), map(dict.values, overrides))
    put_rows(("totals", "sums", "error", *MEASURES_SHOWN[1:]), map(dict.values, state["totals"]))
    for name in ("groups", "totals"):
        rows = state["at_lag"].get(name, ())
        head = f"{name} at {state['at_lag'].get('lag')}"
        put_rows((head, "values", "error", "naive", *MEASURES_SHOWN[1:]), map(dict.values, rows))
