"""Say what a fit would read, try and store, and what it would take; nothing is trained or written."""

from pathlib import Path

from forecast.artifacts.format import encode
from forecast.cli._command import Request
from forecast.cli._console import put, put_json, put_numbers
from forecast.cli._data import load, load_later
from forecast.durable import check_folder
from forecast.engine.exporting import seconds_of_exports
from forecast.engine.stages import PanelFit, deadline_of
from forecast.ensemble.baseline_forecasts import baselines_of
from forecast.ensemble.candidates import compared_with
from forecast.inference.contents import to_contents
from forecast.inference.fitted import Fitted
from forecast.reading.reading import check_to_fit, describe_reading, read
from forecast.settings import TableSettings, TextSettings, TrainSettings
from forecast.tables.contents import free_memory, peak_memory
from forecast.training.rehearsal import PlannedNetwork, Rehearsal

# measured on the tables of `python -m benchmarks dry-run`
START = 0.3  # seconds until a command begins to count
FORECASTING = 3  # kinds of networks that forecast, of all that are tried
PROCESS_BYTES = 250 * 2**20  # of another process that trains
WEIGHT_BYTES = 12  # of a version, for each weight: two copies in float32, and the export


def put_dry_run(begun: float, folder: str, request: Request, earlier: Fitted | None) -> None:
    """Do all that a fit does but train and save, and print what it would do, for people or as JSON."""
    train = request.of(TrainSettings)
    check_folder(Path(folder), folder)
    table, defaults = load(request.data, request.of(TextSettings))
    how, later = request.of(TableSettings, defaults), load_later(request.future, request.of(TextSettings))
    reading = read(table, how, horizon=train.horizon, lookback=train.lookback, future=later)
    check_to_fit(reading)
    deadline = deadline_of(train, begun)
    panel, schema, rehearsal = reading.panel, reading.schema, Rehearsal()
    fitted = PanelFit(
        panel, schema, train, reading.name, deadline, earlier=earlier, sums=True, rehearsal=rehearsal
    ).run()
    baselines = [baseline.label for baseline in baselines_of(compared_with(train), fitted.config.lags)]
    networks, (windows, refit, held_out) = rehearsal.networks, rehearsal.windows
    seconds, memory, stored = _estimate(begun, fitted, rehearsal)
    free = free_memory()
    if request.as_json:
        facts = {
            "table": reading.schema.model_dump(mode="json"),
            "series": len(reading.panel),
            "values": int(reading.panel.observed.sum()),
            "horizon": reading.panel.ahead,
            "lookback": reading.lookback,
            "baselines": baselines,
            "windows": {"training": windows, "held_out": held_out, "last_steps": refit},
            "networks": list(map(_facts, networks)),
            "processes": 1 + rehearsal.processes,
            "store": {"folder": folder, "bytes": stored},
            "seconds": round(seconds, 3),
            "memory": memory,
            "free_memory": free,
        }
        put_json(facts, indent=1)
        return
    put(*describe_reading(reading), f"compare  {len(baselines)} baselines: {', '.join(baselines)}")
    if networks:
        rounds, weights = len({network.round for network in networks}), sum(network.weights for network in networks)
        put(
            f"windows  {windows:,} to train on, {held_out:,} held out; {refit:,} in the last steps",
            f"try      {len(networks)} networks in {rounds} round{'s' * (rounds > 1)}, {weights:,} weights in all",
        )
        _put_networks(networks)
    else:
        put("try      no network")
    put(
        f"store    {folder}: a version of about {_size(stored)}",
        f"take     about {_number(seconds)} s and {_size(memory)} of memory; {_size(free)} are free",
        "Nothing was trained or written.",
    )


def _estimate(begun: float, fitted: Fitted, rehearsal: Rehearsal) -> tuple[float, int, int]:
    """Seconds and bytes of memory of the whole command, and bytes of the version."""
    kinds = list(dict.fromkeys(network.member.key for network in rehearsal.networks))[:FORECASTING]
    weights = [network.weights for network in rehearsal.networks if network.member.key in kinds]
    stored = sum(map(len, encode(to_contents(fitted)).values())) + WEIGHT_BYTES * sum(weights)
    seconds = START + rehearsal.clock() - begun + rehearsal.busy() * seconds_of_exports(len(weights))
    return seconds, peak_memory() + rehearsal.processes * PROCESS_BYTES, stored


def _facts(network: PlannedNetwork) -> dict[str, object]:
    member, seconds = network.member, round(network.seconds, 3)
    facts = {"round": network.round, "batch_size": member.batch_size, "steps": member.steps}
    return {**member.candidate.model_dump(mode="json"), **facts, "weights": network.weights, "seconds": seconds}


def _put_networks(networks: list[PlannedNetwork]) -> None:
    heads, rows = ("model", "scaling", "round", "lookback", "windows a step", "steps", "weights", "seconds"), []
    for network in networks:
        member = network.member
        numbers = (network.round, member.lookback, member.batch_size, member.steps, network.weights)
        seconds = _number(network.seconds)
        rows.append((member.model, member.scaling, *(f"{number:,}" for number in numbers), seconds))
    put_numbers(heads, 2, rows, width=100)


def _number(value: float) -> str:
    return f"{value:.2g}" if value < 10 else f"{value:,.0f}"


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:,.1f} MiB"
