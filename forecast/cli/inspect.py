"""Show a saved forecaster, or how a table would be read."""

import csv
import io
from collections import Counter
from typing import Any

from forecast.artifacts.store import Store
from forecast.cli._command import Request, predicting
from forecast.cli._console import put, put_json, suggest
from forecast.cli._data import load
from forecast.cli.store import SUFFIX, chosen_store
from forecast.events.closed import Row, closed_groups, suspects
from forecast.inference.fitted import Config, describe_fit, models_of, ranking_of
from forecast.inference.forecasting import load_fitted
from forecast.reading.comparing import warn_status
from forecast.reading.reading import describe, describe_reading, read
from forecast.settings import TableSettings, TextSettings, TrainSettings


def run(request: Request) -> None:
    data = request.data
    if data is None or data.lower().endswith(SUFFIX):
        with chosen_store(data, request.artifact) as chosen:
            lines, facts = _of_artifact(chosen.store, request.version)
        after = chosen.use if chosen.pipeline else predicting(chosen.store, facts["table"]["known"])
    else:
        lines, facts = _of_table(request)
        after = request.fit_words()
    if request.as_json:
        put_json(facts, indent=1)
    else:
        put(*lines)
    suggest(*after)


def _of_artifact(artifact: str, version: str | None) -> tuple[list[str], dict[str, Any]]:
    contents, info = Store(artifact).load(version)
    fitted = load_fitted(artifact, info.id)
    config, network = fitted.config, fitted.ensemble.network
    weights = sum(array.size for array in contents.weights.values())
    seen = dict(sorted(Counter(fitted.history.status).items()))
    count, exported = (
        sum(map(len, config.members())),
        len(fitted.exports),
    )  # of networks that forecast
    why = "".join(f"; {reason}" for reason in sorted(set(fitted.unexported.values())))
    closed = closed_groups(fitted.closed, config.table)
    lines = [
        f"version  {info.id}, saved {info.created.replace(tzinfo=None).isoformat(' ', 'seconds')} UTC",
        f"hash     {info.hash}",
        *describe_fit(fitted),
        *_training(config, weights),
        *(
            [f"exports  {exported} of {count} network{'s' * (count > 1)} to ONNX{why}"]
            if count
            else []
        ),
        *([] if network is None else [f"network  pretrained, sha256 {network.hash}"]),
        f"horizon  {config.horizon}, from the last {config.lookback} steps; trained to {config.train_end}",
        *(
            line
            for line in describe(config.table, fitted.history)
            if not line.startswith(("layout", "time"))
        ),
        f"table    {config.table.layout}, {', '.join(config.table.time)} every {config.table.calendar.name}",
        "series   " + ", ".join(f"{number:,} {name}" for name, number in seen.items()),
        *ranking_of(fitted),
    ]
    return lines, {
        "version": info.id,
        "created": info.created.isoformat(),
        "hash": info.hash,
        "models": dict(zip(map("/".join, fitted.history.ids), models_of(fitted), strict=True)),
        "series": len(fitted.history),
        "statuses": seen,
        "closed": [dict(zip(("series", "when", "value"), group, strict=True)) for group in closed],
        "pretrained": None if network is None else network.hash,
        "exports": {"networks": len(fitted.exports), "missing": fitted.unexported},
        **config.model_dump(mode="json"),
    }


def _training(config: Config, weights: int) -> list[str]:
    """Which networks forecast and for how long they were trained, how many were tried, and what they went on from."""
    groups, members = config.plan.groups(), config.plan.members
    used, tried = [number for group in config.networks for number in groups[group]], len(members)
    if not used:
        return [f"trained  {tried} networks, and none is used" if tried else "trained  no network"]
    steps = [f"{members[number].model} {config.trained_steps[number]:,} steps" for number in used]
    some = ", ".join(steps[:6]) + (f" and {len(steps) - 6} more" if len(steps) > 6 else "")
    others = (
        f"; {tried} were tried, {sum(config.trained_steps):,} steps in all"
        if tried > len(used)
        else ""
    )
    lines = [
        f"trained  {len(used)} network{'s' * (len(used) > 1)} with {weights:,} weights: {some}{others}"
    ]
    if warm := max(members[number].warm for number in used):
        count = "1 warm start" if warm == 1 else f"{warm} warm starts in a row"
        lines.append(f"start    from the networks of {config.plan.started_from}, {count}")
    return lines


def _of_table(request: Request) -> tuple[list[str], dict[str, Any]]:
    table, defaults = load(request.data, request.of(TextSettings))
    train, settings = request.of(TrainSettings), request.of(TableSettings, defaults)
    reading = read(table, settings, horizon=train.horizon, lookback=train.lookback)
    panel = reading.panel
    warn_status(panel, reading.schema, table.name)
    found, names = suspects(panel, reading.schema), ("start", "end", "name", "kind", "ids")
    return [*describe_reading(reading), *_as_events(found, reading.schema.ids)], {
        "series": len(panel),
        "values": int(panel.observed.sum()),
        "missing": int(panel.lengths.sum() - panel.observed.sum()),
        "statuses": dict(sorted(Counter(panel.status).items())),
        "horizon": panel.ahead,
        "lookback": reading.lookback,
        "suspects": [dict(zip(names, row, strict=True)) for row in found],
        "table": reading.schema.model_dump(mode="json", exclude={"inferred"}),
    }


def _as_events(found: list[Row], ids: tuple[str, ...]) -> list[str]:
    """What may need an event, as lines to paste into a table of events."""
    if not found:
        return []
    named, file = any(row[-1] for row in found), io.StringIO()
    rows = [[*row[:-1], *((row[-1] or [""] * len(ids)) if named else ())] for row in found[:20]]
    csv.writer(file, lineterminator="\n").writerows(
        [["start", "end", "name", "kind", *(ids if named else ())], *rows]
    )
    shown = " (the first 20 here)" if len(found) > 20 else ""
    text = f"suspects {len(found):,} runs of one value, or lone outliers{shown}; all are used. To say what they are"
    kinds = "paste lines into a file of events: closed, stock_out where only the stock was 0, or ignore for errors"
    return [f"{text}, {kinds}", *(f"         {line}" for line in file.getvalue().splitlines())]
