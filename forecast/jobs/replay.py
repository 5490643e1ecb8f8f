"""Which past runs the limits of a pipeline file would have stopped, or warned of."""

from forecast.checks.output import Statistics, blocks, outcome, statistic_text
from forecast.jobs.administration import ledger_of
from forecast.jobs.pipeline import Pipeline


def replayed(pipeline: Pipeline, runs: int) -> list[str]:
    """A line for each of the newest runs of which a check of forecasts would have said something, and a summary."""
    with pipeline.hidden.kept_out():
        records = [record for *_, record in ledger_of(pipeline).runs(runs) if record["checks"]]
    alarms = [(record["as_of"], *_alarms(pipeline, record["checks"])) for record in reversed(records)]
    lines = [f"{at}  {word}: {text}" for at, word, text in alarms if word]
    counts = {word: sum(each == word for _, each, _ in alarms) for word in ("blocked", "error", "warning")}
    said = ", ".join(f"{count} {word}" for word, count in counts.items() if count) or "no alarm"
    return [*lines, f"replayed {len(records)} runs with the limits of {pipeline.file}: {said}"]


def _alarms(pipeline: Pipeline, checks: Statistics) -> tuple[str, str]:
    limits = pipeline.checks.output
    words = {name: outcome(name, statistic, limits) for name, statistic in checks.items()}
    errors = [name for name, word in words.items() if word == "error"]
    worst = "blocked" if any(blocks(name, limits) for name in errors) else "error" if errors else "warning"
    texts = [statistic_text(name, checks[name]) for name, word in words.items() if word]
    return (worst, "; ".join(texts)) if texts else ("", "")
