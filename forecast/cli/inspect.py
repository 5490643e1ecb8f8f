"""The command `inspect`."""

from collections import Counter

import numpy as np
import pandas as pd

from forecast.cli._command import Request, build_predict_command
from forecast.cli._console import put, put_json, suggest
from forecast.cli._named_store import PIPELINE_SUFFIX, named_store
from forecast.effects.closed import Row, closed_groups, suspects
from forecast.inference.fitted import Fitted, describe_fit, list_models, rank_candidates
from forecast.inference.forecasting import load_forecaster
from forecast.panel.comparing import warn_status
from forecast.panel.infer import describe, describe_reading, read
from forecast.panel.panel import Panel, first_names, series_key
from forecast.panel.successors import likely_successors
from forecast.settings import Facts, TableSettings, TextSettings, TrainSettings
from forecast.tables.reading import read_table
from forecast.training.plan import fit_seconds

MOST_SHOWN = 20  # most lines of a kind that are shown to be pasted into a file
SUSPECTS = (
    "suspects {:,} runs of one value or of low ones, lone outliers, or days of zeros in nearly all "
    "series{}; all are used. To say what they are, paste "
    "lines into a file of events: closed, stock_out where only the stock was low, or ignore for errors"
)
SUCCESSORS = (
    "replaced {:,} series end where others begin{}. If these replace them, paste lines into a file "
    "of successors"
)
# fields of the ensemble that --json shows
ENSEMBLE_FACTS = ("components", "networks", "lookback", "context_length", "scores")
MOST_NETWORKS = 6


def run(request: Request) -> None:
    data = request.data
    if data is None or data.lower().endswith(PIPELINE_SUFFIX):
        with named_store(data, request.artifact) as store:
            lines, facts = _of_version(store.folder, request.version)
        after = store.use
        if store.pipeline is None:
            after = build_predict_command(store.folder, facts["table"]["known"])
    else:
        lines, facts = _of_table(request)
        after = request.fit_words()
    if request.as_json:
        put_json(facts, indent=1)
    else:
        put(*lines)
    suggest(*after)


def _of_version(folder: str, version: str | None) -> tuple[list[str], Facts]:
    fitted, info = load_forecaster(folder, version)
    config = fitted.config
    table = config.table
    pretrained = fitted.ensemble.network
    created = info.created.replace(tzinfo=None).isoformat(" ", "seconds")
    lines = [
        f"version  {info.id}, saved {created} UTC",
        f"hash     {info.hash}",
        *describe_fit(fitted),
        *_training(fitted),
    ]
    if networks := len(fitted.network_members):
        reasons = "".join(f"; {reason}" for reason in sorted(set(fitted.unexported.values())))
        count = f"{len(fitted.exports)} of {networks} network{'s' * (networks > 1)}"
        lines.append(f"exports  {count} to ONNX{reasons}")
    if pretrained is not None:
        lines.append(f"network  pretrained, sha256 {pretrained.hash}")
    lookback = f"from the last {fitted.ensemble.lookback} steps"
    lines.append(f"horizon  {config.horizon}, {lookback}; trained to {config.train_end}")
    reading = describe(table, fitted.history)
    lines += [line for line in reading if not line.startswith(("layout", "time"))]
    lines.append(f"table    {table.layout}, {', '.join(table.time)} every {table.calendar.name}")
    statuses = _statuses(fitted.history)
    counts = [f"{number:,} {status}" for status, number in statuses.items()]
    lines += [f"series   {', '.join(counts)}", *rank_candidates(fitted)]

    models = zip(map(series_key, fitted.history.ids), list_models(fitted), strict=True)
    closed = closed_groups(fitted.effects.closed, table)
    return lines, {
        "version": info.id,
        "created": info.created.isoformat(),
        "hash": info.hash,
        "models": dict(models),
        "series": len(fitted.history),
        "statuses": statuses,
        "closed": [dict(zip(("series", "when", "value"), group, strict=True)) for group in closed],
        "pretrained": None if pretrained is None else pretrained.hash,
        "exports": {"networks": len(fitted.exports), "missing": fitted.unexported},
        **config.model_dump(mode="json"),
        **{name: getattr(fitted.ensemble, name) for name in ENSEMBLE_FACTS},
    }


def _statuses(panel: Panel) -> dict[str, int]:
    return dict(sorted(Counter(panel.status).items()))


def _training(fitted: Fitted) -> list[str]:
    """Lines on the networks that forecast: how long they were trained, and from which start.

    Also how many networks were tried.
    """
    config = fitted.config
    members = config.plan.members
    groups = config.plan.groups()
    used = [number for group in fitted.ensemble.networks for number in groups[group]]
    tried = len(members)
    if not tried:
        return ["trained  no network"]
    if not used:
        return [f"trained  {tried} networks, and none is used"]
    steps = [f"{members[number].model} {config.trained_steps[number]:,} steps" for number in used]
    text = first_names(steps, MOST_NETWORKS)
    if tried > len(used):
        text += f"; {tried} were tried, {sum(config.trained_steps):,} steps in all"
    weights = sum(array.size for arrays in fitted.network_weights for array in arrays.values())
    networks = f"{len(used)} network{'s' * (len(used) > 1)} with {weights:,} weights"
    lines = [f"trained  {networks}: {text}"]
    if warm := max(members[number].warm for number in used):
        count = "1 warm start" if warm == 1 else f"{warm} warm starts in a row"
        lines.append(f"start    from the networks of {config.plan.started_from}, {count}")
    return lines


def _of_table(request: Request) -> tuple[list[str], Facts]:
    table = read_table(request.data, request.read_group(TextSettings))
    train = request.read_group(TrainSettings)
    settings = request.read_group(TableSettings)
    reading = read(table, settings, horizon=train.horizon, lookback=train.lookback)
    panel = reading.panel
    schema = reading.schema
    warn_status(panel, schema, table.name)
    rows = suspects(panel, schema)
    successors = likely_successors(panel, schema)
    names = ("start", "end", "name", "kind", "ids")
    observed = int(panel.observed.sum())
    steps = (reading.lookback or 0) + panel.ahead
    training = fit_seconds(int(np.maximum(panel.lengths - steps, 0).sum()))
    lines = [*describe_reading(reading), f"fit      about {training:.0f} s of training at most"]
    lines += _as_events(rows, schema.ids)
    return lines + _to_paste(SUCCESSORS, pd.DataFrame(successors)), {
        "series": len(panel),
        "values": observed,
        "missing": int(panel.lengths.sum()) - observed,
        "statuses": _statuses(panel),
        "horizon": panel.ahead,
        "lookback": reading.lookback,
        "training_seconds": training,
        "successors": successors,
        "suspects": [dict(zip(names, row, strict=True)) for row in rows],
        "table": schema.model_dump(mode="json", exclude={"inferred"}),
    }


def _as_events(rows: list[Row], ids: tuple[str, ...]) -> list[str]:
    """Days that may need an event, as lines to paste into a table of events."""
    if not any(row[-1] for row in rows):
        ids = ()
    lines = [(*event, *(names or [""] * len(ids))) for *event, names in rows]
    return _to_paste(SUSPECTS, pd.DataFrame(lines, columns=["start", "end", "name", "kind", *ids]))


def _to_paste(text: str, table: pd.DataFrame) -> list[str]:
    """A text with the number of rows, and the first of them as lines of CSV."""
    if not len(table):
        return []
    shown = f" (the first {MOST_SHOWN} here)" if len(table) > MOST_SHOWN else ""
    lines = table[:MOST_SHOWN].to_csv(index=False).splitlines()
    return [text.format(len(table), shown), *(f"         {line}" for line in lines)]
