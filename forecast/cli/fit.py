"""Train on a table and save the forecaster, or say what that would take."""

import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from forecast.artifacts.format import encode
from forecast.artifacts.store import Store
from forecast.cli import _console as console
from forecast.cli._command import Request, predicting
from forecast.cli._console import log, log_lines, put, suggest
from forecast.cli._data import load, load_later
from forecast.durable import check_folder
from forecast.engine.exporting import seconds_of_exports, with_exports
from forecast.engine.stages import PanelFit, deadline_of
from forecast.ensemble.baseline_forecasts import baselines_of
from forecast.ensemble.candidates import compared_with
from forecast.ensemble.names import check_names
from forecast.errors import (
    INCOMPLETE,
    ArtifactRefused,
    ForecastError,
    NoInput,
    Setting,
    UsageError,
    as_flag,
)
from forecast.inference.contents import to_contents
from forecast.inference.fitted import Fitted, describe_fit
from forecast.inference.forecasting import load_fitted
from forecast.inference.predictor import pick_engine, require_engine
from forecast.panel.schema import Schema
from forecast.parallel import process_rank
from forecast.reading.comparing import schema_differences
from forecast.reading.dated import normalised
from forecast.reading.large import sampled
from forecast.reading.reading import Reading, check_to_fit, describe_reading, read
from forecast.settings import StoreSettings, TableSettings, TextSettings, TrainSettings
from forecast.tables.contents import free_memory, peak_memory
from forecast.tables.table import Table
from forecast.training.context import Rehearsal

# of the estimates of --dry-run, measured on the tables of `python -m benchmarks dry-run`
START = 0.3  # seconds until a command begins to count
FORECASTING = 3  # kinds of networks that forecast, of all that are tried
PROCESS_BYTES = 250 * 2**20  # of another process that trains
WEIGHT_BYTES = 12  # of a version, for each weight: two copies in float32, and the export
TRIED = (
    "model",
    "scaling",
    "round",
    "lookback",
    "batch_size",
    "steps",
    "weights",
    "seconds",
)  # columns of networks


def run(request: Request) -> int:
    train = request.of(TrainSettings)
    check_names(train)
    folder, store = request.store, request.of(StoreSettings)
    begun = click.get_current_context().obj
    if request.as_json and not request.dry_run:
        raise UsageError("it belongs to --dry-run", setting=Setting("json", True))
    if request.dry_run:
        if process_rank() == 0:
            _put_dry_run(begun, folder, request)
        return 0
    if (
        process_rank() > 0
    ):  # one of several processes of torchrun: the first one says what happens, and saves
        console.listen(quiet=True)
        _to_fit(request, time.monotonic()).run()
        return 0
    with Store(folder).lock(store.wait) as writer:
        started = min(
            time.monotonic(), begun + 3.0
        )  # a budget counts from the reading of the table, not the start-up
        checkpoints = writer.checkpoints(request.resume)
        fit = replace(_to_fit(request, started), checkpoints=checkpoints)
        with console.using_cluster(request.cluster), console.progress_bar() as on_step:
            fitted = replace(fit, on_step=on_step).run()
        fitted = with_exports(fitted)
        if fitted.config.networks:
            pick_engine(
                fitted, train.engine, train.device
            )  # one that cannot run them is refused before they are saved
        before = None
        with suppress(
            ForecastError, ValueError
        ):  # none can be read; an older one lacks what is newer: the default
            before = Schema.model_validate(Store(folder).load()[0].config.get("table"))
        version = writer.save(to_contents(fitted), store.keep)
        checkpoints.discard()
    changes = [] if before is None else schema_differences(before, fit.schema)
    if changes:
        log(
            f"this version reads tables differently from the one before it: {'; '.join(changes)}",
            "warning",
        )
    log_lines(describe_fit(fitted))
    log(f"saved    {folder}/{version.id}")
    if "missing" in fitted.history.status:
        return INCOMPLETE
    suggest(*predicting(folder, fit.schema.known))
    return 0


def _to_fit(request: Request, started: float) -> PanelFit:
    """What is fitted: the table, or an even sample of its series where it does not fit into memory."""
    train, text = request.of(TrainSettings), request.of(TextSettings)
    require_engine(train.engine, train.model)
    sample = sampled(request.data, text, request.of(TableSettings), train.seed)
    table, defaults = load(request.data, text) if sample is None else (normalised(sample), {})
    earlier = _live(request.store) if train.warm_start else None
    reading = _read(request, table, defaults)
    log_lines(describe_reading(reading))
    deadline = deadline_of(train, started)
    return PanelFit(
        reading.panel, reading.schema, train, reading.name, deadline, earlier=earlier, sums=True
    )


def _read(request: Request, table: Table, defaults: dict[str, Any]) -> Reading:
    train, later = request.of(TrainSettings), load_later(request.future, request.of(TextSettings))
    how = request.of(TableSettings, defaults)
    reading = read(table, how, horizon=train.horizon, lookback=train.lookback, future=later)
    check_to_fit(reading)
    return reading


def _live(folder: str) -> Fitted | None:
    """The live forecaster, which training continues; None if the store has none."""
    try:
        return load_fitted(folder)
    except (NoInput, ArtifactRefused) as error:
        log(f"training starts from scratch: {error.render(as_flag)}", "warning")
        return None


def _put_dry_run(begun: float, folder: str, request: Request) -> None:
    """Do all that a fit does but train and save, and print what it would do, for people or as JSON."""
    train = request.of(TrainSettings)
    check_folder(Path(folder), folder)
    reading = _read(request, *load(request.data, request.of(TextSettings)))
    live, panel, rehearsal = _live(folder) if train.warm_start else None, reading.panel, Rehearsal()
    options: dict[str, Any] = {"earlier": live, "sums": True, "rehearsal": rehearsal}
    fitted = PanelFit(
        panel, reading.schema, train, reading.name, deadline_of(train, begun), **options
    ).run()
    baselines = [
        baseline.label for baseline in baselines_of(compared_with(train), fitted.config.lags)
    ]
    networks, (windows, refit, held_out) = list[dict[str, Any]](), rehearsal.windows
    for planned in rehearsal.networks:
        member, seconds = planned.member, round(planned.seconds, 3)
        plan = {"round": planned.round, "batch_size": member.batch_size, "steps": member.steps}
        measured = {"weights": planned.weights, "seconds": seconds}
        networks.append(member.candidate.model_dump(mode="json") | plan | measured)
    kinds = list(dict.fromkeys(network.member.key for network in rehearsal.networks))[:FORECASTING]
    weights = [network.weights for network in rehearsal.networks if network.member.key in kinds]
    stored = sum(map(len, encode(to_contents(fitted)).values())) + WEIGHT_BYTES * sum(weights)
    seconds = (
        START + rehearsal.clock() - begun + rehearsal.busy() * seconds_of_exports(len(weights))
    )
    memory, free = peak_memory() + rehearsal.processes * PROCESS_BYTES, free_memory()
    if request.as_json:
        facts = {
            "table": reading.schema.model_dump(mode="json"),
            "series": len(panel),
            "values": int(panel.observed.sum()),
            "horizon": panel.ahead,
            "lookback": reading.lookback,
            "baselines": baselines,
            "windows": {"training": windows, "held_out": held_out, "last_steps": refit},
            "networks": networks,
            "processes": 1 + rehearsal.processes,
            "store": {"folder": folder, "bytes": stored},
            "seconds": round(seconds, 3),
            "memory": memory,
            "free_memory": free,
        }
        console.put_json(facts, indent=1)
        return
    put(*describe_reading(reading), f"compare  {len(baselines)} baselines: {', '.join(baselines)}")
    if networks:
        rounds, total = (
            len({row["round"] for row in networks}),
            sum(row["weights"] for row in networks),
        )
        put(f"windows  {windows:,} to train on, {held_out:,} held out; {refit:,} in the last steps")
        put(
            f"try      {len(networks)} networks in {rounds} round{'s' * (rounds > 1)}, {total:,} weights in all"
        )
        rows = [
            [row[name] if isinstance(row[name], str) else _number(row[name]) for name in TRIED]
            for row in networks
        ]
        console.put_numbers(
            [name.replace("batch_size", "windows a step") for name in TRIED], 2, rows, width=100
        )
    else:
        put("try      no network")
    put(f"store    {folder}: a version of about {_size(stored)}")
    put(
        f"take     about {_number(seconds)} s and {_size(memory)} of memory; {_size(free)} are free"
    )
    put("Nothing was trained or written.")


def _number(value: float) -> str:
    return f"{value:.2g}" if isinstance(value, float) and value < 10 else f"{value:,.0f}"


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:,.1f} MiB"
