"""Train on a table and save the forecaster, or say what that would take."""

import time
from dataclasses import replace

import click

from forecast.artifacts.store import Store
from forecast.cli import _console as console
from forecast.cli._command import Request, predicting
from forecast.cli._console import log, log_lines, suggest
from forecast.cli._data import load_later
from forecast.cli._dry_run import put_dry_run
from forecast.engine.fit import fit
from forecast.engine.requests import Callbacks, FitRequest, TableFile
from forecast.ensemble.names import check_names
from forecast.errors import (
    INCOMPLETE,
    ArtifactRefused,
    NoInput,
    Setting,
    UsageError,
    as_flag,
)
from forecast.inference.contents import to_contents
from forecast.inference.fitted import Fitted, describe_fit
from forecast.inference.forecasting import load_fitted
from forecast.settings import StoreSettings, TableSettings, TextSettings, TrainSettings

MAX_STARTUP = (
    3.0  # seconds of a start-up that a budget holds; it counts from the reading of the table
)


def run(request: Request) -> int:
    check_names(request.of(TrainSettings))
    begun = click.get_current_context().obj
    if request.as_json and not request.dry_run:
        raise UsageError("it belongs to --dry-run", setting=Setting("json", True))
    if request.dry_run:
        put_dry_run(_asked(request), begun, request.store, request.as_json)
        return 0
    store = request.of(StoreSettings)
    with Store(request.store).lock(store.wait) as writer:
        started = min(time.monotonic(), begun + MAX_STARTUP)
        checkpoints = writer.checkpoints(request.resume)
        with console.using_cluster(request.cluster), console.progress_bar() as on_step:
            asked = replace(
                _asked(request),
                started=started,
                callbacks=Callbacks(on_read=log_lines, on_step=on_step),
                checkpoints=checkpoints,
                exports=True,
            )
            fitted = fit(asked).fitted
        version = writer.save(to_contents(fitted), store.keep)
        checkpoints.discard()
    log_lines(describe_fit(fitted))
    log(f"saved    {request.store}/{version.id}")
    if "missing" in fitted.history.status:
        return INCOMPLETE
    suggest(*predicting(request.store, fitted.config.table.known))
    return 0


def _asked(request: Request) -> FitRequest:
    train = request.of(TrainSettings)
    text = request.of(TextSettings)
    return FitRequest(
        TableFile(request.data, text),
        train,
        request.of(TableSettings),
        future=load_later(request.future, text),
        earlier=_live(request.store) if train.warm_start else None,
    )


def _live(folder: str) -> Fitted | None:
    """The live forecaster, which training continues; None if the store has none."""
    try:
        return load_fitted(folder)
    except (NoInput, ArtifactRefused) as error:
        log(f"training starts from scratch: {error.render(as_flag)}", "warning")
        return None
<<<<<<< HEAD
=======


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
    seconds = START + rehearsal.clock() - begun + seconds_of_exports(len(weights))
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
>>>>>>> af2fcb7f (Training takes one device, a dry run is a formula, and numbers tuned together stand together)
