"""Several networks of one plan, differing in their seed or kind, whose median is the forecast."""

import os
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from joblib import Parallel, delayed
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from forecast.errors import ArtifactRefused
from forecast.models import model_class
from forecast.models.shared.model import RecurrentModel, Shape
from forecast.panel.windows import Batch, Windows
from forecast.settings import TrainSettings
from forecast.training.devices import threads
from forecast.training.loop import Draw, Progress, Trained, train
from forecast.training.plan import Member, lanes
from forecast.training.run import member_seed
from forecast.training.states import Keeper

PREDICT_BATCH = 128

Places = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Windows, each as a series and the position after its past, [windows] twice."""


class Named(Protocol):
    """What says which network to build."""

    @property
    def model(self) -> str: ...
    @property
    def params(self) -> dict[str, Any] | None: ...


def build(named: Named, shape: Shape, seed: int = 0) -> RecurrentModel:
    """A new network, initialised by the seed, on the CPU."""
    network = model_class(named.model)
    knobs = network.Knobs.check(named.params or {}, f"model {named.model}: ", within="params")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return network(knobs, shape)


def rebuild(named: Named, shape: Shape, weights: dict[str, Any], device: torch.device) -> RecurrentModel:
    """A network with saved weights, ready to predict.

    Raises
    ------
    UsageError
        If there is no such model, or it cannot have such knobs.
    ArtifactRefused
        If the weights are not those of the model.
    """
    with _Unfilled():
        network = build(named, shape)
    wanted = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    given = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    if given != wanted:
        name = min(name for name in wanted.keys() | given.keys() if wanted.get(name) != given.get(name))
        raise ArtifactRefused(
            f"the weights '{name[:80]}' of model {named.model} have shape {given.get(name)}, not {wanted.get(name)}"
        )
    network.load_state_dict(weights)
    return network.to(device).eval()


class _Unfilled(TorchFunctionMode):
    """Leave new weights as they are: saved ones follow, and memory that nobody has written to is not taken."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        named = kwargs or {}
        if function in (Tensor.uniform_, Tensor.normal_) or getattr(function, "__module__", "") == nn.init.__name__:
            return args[0] if args else named["tensor"]
        return function(*args, **named)


def network_quantiles(network: RecurrentModel, windows: Windows, places: Places, seed: int) -> NDArray[np.float64]:
    """Quantiles that one network gives to windows, in the unit of the windows' values, [windows, horizon, levels].

    Windows go through in batches of one size, filled up where need be: a forecast then does not depend, not even in
    its last bit, on which others are made with it.

    Parameters
    ----------
    seed : of models that sample paths
    """
    series, position = (torch.from_numpy(np.ascontiguousarray(part)).to(windows.device) for part in places)
    parts = [np.zeros((0, network.shape.horizon, len(network.shape.levels)))]
    for start in range(0, len(series), PREDICT_BATCH):
        batch = windows.batch(series[start : start + PREDICT_BATCH], position[start : start + PREDICT_BATCH])
        rows = len(batch)
        full = batch.padded(PREDICT_BATCH)
        generator = torch.Generator(device=windows.device).manual_seed(seed)
        with torch.no_grad():
            scaled = network.quantiles(full, network.shape.levels, generator)
        parts.append(full.unscaled(scaled)[:rows].cpu().numpy())
    return np.concatenate(parts)


def median_of_members(members: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """The median over members of each quantile; it keeps them in order."""
    return members[0] if len(members) == 1 else np.median(np.stack(members), axis=0)


def train_members(
    members: Iterable[Member],
    make: Callable[[Member], tuple[Shape, Draw, list[Batch]]],
    settings: TrainSettings,
    device: torch.device,
    *,
    first: int = 0,
    jobs: int = 1,
    deadline: float | None = None,
    on_step: Callable[[Progress], None] | None = None,
    keep: Keeper | None = None,
    start: list[dict[str, Tensor]] | None = None,
    seconds: Sequence[float] | None = None,
) -> list[Trained]:
    """Train networks, `jobs` side by side, each with seeds of its own.

    Parameters
    ----------
    make : gives the shape, the windows to draw and the held-out batches of a member
    first : number of the first one: seeds go by it
    deadline : `time.monotonic()` at which training must be over
    on_step : is given the progress of those trained in this process
    keep : where each keeps its state; those trained in other processes write it there themselves
    start : weights that each goes on from
    seconds : that each is thought to take; by default they are alike
    """
    todo = list(members)
    costs = [1.0] * len(todo) if seconds is None else list(seconds)

    def one(number: int, report: Callable[[Progress], None] | None, last: float | None) -> Trained:
        shape, draw, validation = make(todo[number])
        network = build(todo[number], shape, settings.seed + 104_729 * (first + number)).to(device)
        if start is not None:
            network.load_state_dict(start[number])
        with threads(1), torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(
                member_seed(settings, todo[number]) + first + number
            )  # dropout draws from the global generator
            return train(
                network,
                draw,
                validation,
                settings,
                todo[number],
                number=first + number,
                deadline=last,
                on_step=report,
                keep=keep,
            )

    def lane(numbers: list[int], report: Callable[[Progress], None] | None) -> list[Trained]:
        made = []
        for at, number in enumerate(numbers):
            # each of those that are left gets its share of the time that is left
            now = time.monotonic()
            share = costs[number] / sum(costs[later] for later in numbers[at:])
            made.append(one(number, report, None if deadline is None else now + (deadline - now) * share))
        return made

    def elsewhere(numbers: list[int], parent: int) -> list[Trained]:
        return lane(numbers, _leave_with(parent))

    here, *others = lanes(costs, jobs)
    trained: dict[int, Trained] = {}
    # two at least: with one job joblib would train in this process, and only when asked
    running = (
        Parallel(n_jobs=max(2, len(others)), return_as="generator")(
            delayed(elsewhere)(numbers, os.getpid()) for numbers in others
        )
        if others
        else None
    )
    try:
        trained.update(zip(here, lane(here, on_step), strict=True))  # in this process, so that its progress shows
        for numbers, made in zip(others, running or (), strict=True):
            trained.update(zip(numbers, made, strict=True))
    finally:
        if running is not None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that others are cancelled where one failed is no news
                running.close()
    return [trained[number] for number in range(len(todo))]


def _leave_with(parent: int) -> Callable[[Progress], None] | None:
    """What ends this process after the next step once the one that started it is gone; None in that one itself."""
    if os.getpid() == parent:
        return None
    above = os.getppid()

    def check(at: Progress) -> None:
        if os.getppid() != above:
            os._exit(1)  # nobody is there to catch an exception

    return check
