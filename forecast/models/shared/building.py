"""Build a network by name: new and initialised by a seed, or with saved weights."""

from typing import Any, Protocol

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from forecast.errors import ArtifactRefused
from forecast.models import model_class
from forecast.models.shared.model import RecurrentModel, Shape
from forecast.panel.schema import Schema, calendar_of
from forecast.settings import LossName
from forecast.windows.covariates import category_sizes, numeric_count


class Named(Protocol):
    """The name of a model, and its settings."""

    @property
    def model(self) -> str: ...
    @property
    def params(self) -> dict[str, Any] | None: ...


def build(named: Named, shape: Shape, seed: int = 0) -> RecurrentModel:
    """A new network, initialised by the seed, on the CPU."""
    network = model_class(named.model)
    params = network.Params.check(named.params or {}, f"model {named.model}: ", within="params")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return network(params, shape)


def rebuild(named: Named, shape: Shape, weights: dict[str, NDArray[Any]], device: torch.device) -> RecurrentModel:
    """A network with saved weights, ready to predict.

    Raises
    ------
    UsageError
        If there is no such model, or it cannot have such settings.
    ArtifactRefused
        If the weights are not those of the model.
    """
    with _Uninitialised():
        network = build(named, shape)
    wanted = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    given = {name: tuple(array.shape) for name, array in weights.items()}
    if given != wanted:
        name = min(name for name in wanted.keys() | given.keys() if wanted.get(name) != given.get(name))
        raise ArtifactRefused(
            f"the weights '{name[:80]}' of model {named.model} have shape {given.get(name)}, not {wanted.get(name)}"
        )
    network.load_state_dict(to_tensors(weights))
    return network.to(device).eval()


def to_tensors(arrays: dict[str, NDArray[Any]]) -> dict[str, Tensor]:
    """Arrays by name as tensors, in memory of torch's own."""
    return {name: torch.tensor(array) for name, array in arrays.items()}


def to_arrays(tensors: dict[str, Tensor]) -> dict[str, NDArray[Any]]:
    """Tensors by name as arrays, which share their memory where it lies in the CPU's."""
    return {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}


class _Uninitialised(TorchFunctionMode):
    """Leave new weights as they are: saved ones follow, and pages that nobody writes take no memory."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        named = kwargs or {}
        if function in (Tensor.uniform_, Tensor.normal_) or getattr(function, "__module__", "") == nn.init.__name__:
            return args[0] if args else named["tensor"]
        return function(*args, **named)


def network_shape(
    schema: Schema,
    horizon: int,
    lookback: int,
    lags: tuple[int, ...],
    levels: tuple[float, ...],
    series: int,
    loss: LossName,
) -> Shape:
    """What a network must know of tables of this schema."""
    calendar = len(calendar_of(schema).feature_names)
    known = numeric_count(schema.known, schema)
    return Shape(
        lookback=lookback,
        horizon=horizon,
        past=calendar + known + numeric_count(schema.past, schema),
        future=calendar + known,
        static=numeric_count(schema.static, schema),
        past_categories=category_sizes((*schema.known, *schema.past), schema),
        future_categories=category_sizes(schema.known, schema),
        static_categories=category_sizes(schema.static, schema),
        series=series,
        seasons=lags,
        levels=levels,
        loss=loss,
    )
