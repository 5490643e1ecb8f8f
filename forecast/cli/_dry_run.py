"""Say what a fit would read, try and store, and what it would take; nothing is trained or written."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forecast.cli._console import cell, put, put_json, put_table
from forecast.cli._data import load
from forecast.cli._options import Given
from forecast.settings import TableSettings, TextSettings, TrainSettings

if TYPE_CHECKING:
    from forecast.inference.fitted import Fitted
    from forecast.reading.reading import Reading
    from forecast.training.rehearsal import Rehearsal

# measured on the tables of `python -m benchmarks dry-run`
START = 0.3  # seconds until a command begins to count
FORECASTING = 3  # kinds of networks that forecast, of all that are tried
PROCESS_BYTES = 250 * 2**20  # of another process that trains
WEIGHT_BYTES = 12  # of a version, for each weight: two copies in float32, and the export


@dataclass(frozen=True)
class DryRun:
    """What a fit would do.

    Attributes
    ----------
    reading : the table as it is read
    rehearsal : the networks that would be trained
    baselines : labels of those that are compared
    seconds, memory, stored : that the whole command would take: by the clock, bytes at its peak, bytes of the version
    """

    reading: "Reading"
    rehearsal: "Rehearsal"
    baselines: tuple[str, ...]
    seconds: float
    memory: int
    stored: int


def rehearse(begun: float, data: str, artifact: str, given: Given, earlier: "Fitted | None") -> DryRun:
    """Do all that a fit does but train and save.

    Parameters
    ----------
    begun : `time.monotonic()` at which the command began
    artifact : the store, which must be writable
    earlier : a fit that training would continue
    """
    from forecast.durable import check_folder
    from forecast.engine.stages import deadline_of, rehearse_panel
    from forecast.ensemble.baseline_forecasts import baselines_of
    from forecast.ensemble.candidates import compared_with
    from forecast.reading.reading import check_to_fit, read

    train = given.of(TrainSettings)
    check_folder(Path(artifact), artifact)
    table, defaults = load(data, given.of(TextSettings))
    reading = read(table, given.of(TableSettings, defaults), horizon=train.horizon, lookback=train.lookback)
    check_to_fit(reading)
    deadline = deadline_of(train, begun)
    fitted, rehearsal = rehearse_panel(reading.panel, reading.schema, train, reading.name, deadline, earlier)
    baselines = tuple(one.label for one in baselines_of(compared_with(train), fitted.config.lags))
    return DryRun(reading, rehearsal, baselines, *_estimate(begun, fitted, rehearsal))


def put_dry_run(found: DryRun, artifact: str, as_json: bool) -> None:
    """Print what a fit would do, for people or as JSON."""
    from forecast.reading.reading import describe_reading
    from forecast.tables.memory import free_memory

    free = free_memory()
    if as_json:
        put_json(_facts(found, artifact, free), indent=1)
        return
    train, refit, held_out = found.rehearsal.windows
    networks = found.rehearsal.networks
    weights = sum(network.weights for network in networks)
    rounds = len({network.round for network in networks})
    put(*describe_reading(found.reading), f"compare  {len(found.baselines)} baselines: {', '.join(found.baselines)}")
    if networks:
        put(
            f"windows  {train:,} to train on, {held_out:,} held out; {refit:,} in the last steps",
            f"try      {len(networks)} networks in {rounds} round{'s' * (rounds > 1)}, {weights:,} weights in all",
        )
        _put_networks(found.rehearsal)
    else:
        put("try      no network")
    put(
        f"store    {artifact}: a version of about {_size(found.stored)}",
        f"take     about {_number(found.seconds)} s and {_size(found.memory)} of memory; {_size(free)} are free",
        "Nothing was trained or written.",
    )


def _put_networks(rehearsal: "Rehearsal") -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    shown = Table(box=SIMPLE_HEAD)
    for name in ("model", "scaling"):
        shown.add_column(cell(name))
    for name in ("round", "lookback", "windows a step", "steps", "weights", "seconds"):
        shown.add_column(cell(name), justify="right")
    for network in rehearsal.networks:
        one = network.member
        numbers = (network.round, one.lookback, one.batch_size, one.steps, network.weights)
        texts = (one.model, one.scaling, *(f"{number:,}" for number in numbers), _number(network.seconds))
        shown.add_row(*map(cell, texts))
    put_table(shown, width=100)


def _facts(found: DryRun, artifact: str, free: int) -> dict[str, Any]:
    reading, (train, refit, held_out) = found.reading, found.rehearsal.windows
    return {
        "table": reading.schema.model_dump(mode="json"),
        "series": len(reading.panel),
        "values": int(reading.panel.observed.sum()),
        "horizon": reading.panel.ahead,
        "lookback": reading.lookback,
        "baselines": list(found.baselines),
        "windows": {"training": train, "held_out": held_out, "last_steps": refit},
        "networks": [
            {
                **network.member.candidate.model_dump(mode="json"),
                "round": network.round,
                "batch_size": network.member.batch_size,
                "steps": network.member.steps,
                "weights": network.weights,
                "seconds": round(network.seconds, 3),
            }
            for network in found.rehearsal.networks
        ],
        "processes": 1 + found.rehearsal.processes,
        "store": {"folder": artifact, "bytes": found.stored},
        "seconds": round(found.seconds, 3),
        "memory": found.memory,
        "free_memory": free,
    }


def _estimate(begun: float, fitted: "Fitted", rehearsal: "Rehearsal") -> tuple[float, int, int]:
    """Seconds and bytes of memory of the whole command, and bytes of the version."""
    from forecast.artifacts.format import encode
    from forecast.engine.exporting import seconds_of_exports
    from forecast.inference.contents import to_contents
    from forecast.tables.memory import peak_memory

    kinds = list(dict.fromkeys(network.member.key for network in rehearsal.networks))[:FORECASTING]
    weights = [network.weights for network in rehearsal.networks if network.member.key in kinds]
    stored = sum(map(len, encode(to_contents(fitted)).values())) + WEIGHT_BYTES * sum(weights)
    seconds = START + rehearsal.clock() - begun + rehearsal.busy() * seconds_of_exports(len(weights))
    return seconds, peak_memory() + rehearsal.processes * PROCESS_BYTES, stored


def _number(value: float) -> str:
    return f"{value:.2g}" if value < 10 else f"{value:,.0f}"


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:,.1f} MiB"
