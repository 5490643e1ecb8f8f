"""The command `diff`."""

from forecast.cli._command import Request
from forecast.cli._console import WIDTH, put, put_json, put_numbers, suggest
from forecast.cli._named_store import named_store
from forecast.jobs.diff import compare_runs
from forecast.settings import Facts, TrainSettings


def run(request: Request) -> None:
    """Print why forecasts changed between two runs of a job, or of each job of a store."""
    machine = request.read_group(TrainSettings)
    runs = (request.before, request.after)
    with named_store(request.job, request.artifact) as store:
        ledgers = store.ledgers()
        diffs = [compare_runs(one, store.folder, runs, machine, request.sums) for one in ledgers]
        if request.as_json:
            put_json(diffs, indent=2)
        else:
            for facts in diffs:
                _put(facts, request.limit)
        suggest("status", *store.words)


def _put(facts: Facts, limit: int) -> None:
    size = "" if facts["size"] is None else f"{_percent(facts['size'])} changed, in "
    cells = f"{facts['cells']:,} forecasts of {facts['series']:,} series"
    put(f"job      {facts['job']}: {size}{cells}")
    for name in ("from", "to"):
        put(f"{name:8} {facts[name]['as_of']}, {facts[name]['version']}")
    put(*(f"note     {note}" for note in facts["notes"]))
    steps = [
        (row["step"], _amount(row["change"]), _percent(row["size"] or 0)) for row in facts["steps"]
    ]
    heads = ("step, in this order", "change of the sum", "size")
    put_numbers(heads, 1, steps, width=WIDTH)
    series = facts["by_series"][:limit]
    title = f"the {len(series)} series whose sum changed most, of "
    _put_changes(f"{title}{len(facts['by_series']):,}", series)
    _put_changes("sums", facts["sums"])


def _percent(share: float) -> str:
    return f"{100 * share:,.0f} %" if share > 1 else f"{100 * share:.3g} %"


def _amount(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= 1_000 else f"{number:.4g}"


def _put_changes(title: str, rows: list[Facts]) -> None:
    """Print changes as a table, with a column for each step that changes any of them."""
    if not rows:
        return
    keys = [name for name, value in rows[0].items() if isinstance(value, str)]
    steps = [step for step in rows[0]["steps"] if any(row["steps"][step] for row in rows)]
    texts = list[list[str]]()
    for row in rows:
        changes = {**row, **row["steps"]}
        amounts = [_amount(changes[name]) for name in ("old", "new", "change", *steps)]
        texts.append([*(row[key] for key in keys), *amounts])
    put_numbers((*keys, "before", "now", "change", *steps), len(keys), texts, title, WIDTH)
