"""Report what a fit would do and cost, by doing everything but training and saving."""

from dataclasses import replace
from pathlib import Path

from forecast.artifacts.format import encode
from forecast.cli import _console as console
from forecast.cli._console import put
from forecast.durable import check_folder
from forecast.engine.exporting import seconds_of_exports
from forecast.engine.fit import fit, read_to_fit
from forecast.engine.requests import FitRequest
from forecast.ensemble.baseline_forecasts import baselines_of
from forecast.ensemble.candidates import compared_with
from forecast.inference.contents import to_contents
from forecast.reading.reading import describe_reading
from forecast.settings import Facts
from forecast.tables.contents import free_memory, peak_memory
from forecast.training.context import Rehearsal

# constants of the estimates, measured on the tables of `python -m benchmarks dry-run`
START = 0.3  # seconds from the start of a command until its clock starts
FORECASTING = 3  # number of network kinds that forecast, of all that are tried
PROCESS_BYTES = 250 * 2**20  # memory of each further process that trains
WEIGHT_BYTES = 12  # bytes of a version for each weight: two copies in float32, and the export
# columns of the table of networks
TRIED = ("model", "scaling", "round", "lookback", "batch_size", "steps", "weights", "seconds")


def put_dry_run(request: FitRequest, begun: float, folder: str, as_json: bool) -> None:
    """Print what a fit would do, for people or as JSON."""
    check_folder(Path(folder), folder)
    reading = read_to_fit(request)
    panel = reading.panel
    rehearsal = Rehearsal()
    fitted = fit(replace(request, source=reading, started=begun, rehearsal=rehearsal))
    names = compared_with(request.settings)
    baselines = [baseline.label for baseline in baselines_of(names, fitted.config.lags)]
    windows, refit, held_out = rehearsal.windows

    networks = list[Facts]()
    for planned in rehearsal.networks:
        member = planned.member
        plan = {"round": planned.round, "batch_size": member.batch_size, "steps": member.steps}
        measured = {"weights": planned.weights, "seconds": round(planned.seconds, 3)}
        networks.append(member.candidate.model_dump(mode="json") | plan | measured)
    kinds = list(dict.fromkeys(network.member.key for network in rehearsal.networks))[:FORECASTING]
    weights = [network.weights for network in rehearsal.networks if network.member.key in kinds]

    files = encode(to_contents(fitted))
    stored = sum(map(len, files.values())) + WEIGHT_BYTES * sum(weights)
    exporting = seconds_of_exports(len(weights))
    seconds = START + rehearsal.clock() - begun + exporting
    memory = peak_memory() + rehearsal.processes * PROCESS_BYTES
    free = free_memory()
    if as_json:
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
        put(f"windows  {windows:,} to train on, {held_out:,} held out; {refit:,} in the last steps")
        _put_networks(networks)
    else:
        put("try      no network")
    put(f"store    {folder}: a version of about {_size(stored)}")
    take = f"{_number(seconds)} s and {_size(memory)} of memory"
    put(f"take     about {take}; {_size(free)} are free")
    put("Nothing was trained or written.")


def _put_networks(networks: list[Facts]) -> None:
    count = len({row["round"] for row in networks})
    rounds = f"{count} round{'s' * (count > 1)}"
    total = sum(row["weights"] for row in networks)
    put(f"try      {len(networks)} networks in {rounds}, {total:,} weights in all")
    rows = []
    for network in networks:
        values = [network[name] for name in TRIED]
        rows.append([value if isinstance(value, str) else _number(value) for value in values])
    heads = [name.replace("batch_size", "windows a step") for name in TRIED]
    console.put_numbers(heads, 2, rows, width=100)


def _number(value: float) -> str:
    return f"{value:.2g}" if isinstance(value, float) and value < 10 else f"{value:,.0f}"


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:,.1f} MiB"
