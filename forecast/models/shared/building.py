"""Build a network by name: new and initialised by a seed, or with saved weights."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from forecast.errors import ArtifactRefused
from forecast.models import model_class
from forecast.models.shared.model import RecurrentModel, Shape
from forecast.panel.panel import Integers
from forecast.panel.schema import Schema, calendar_of
from forecast.settings import LossName
from forecast.windows.inputs import category_sizes, numeric_count


class Named(Protocol):
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


def rebuild(
    named: Named, shape: Shape, weights: dict[str, NDArray[Any]], device: torch.device
) -> RecurrentModel:
    """A network with saved weights, which must be those of the model (`ArtifactRefused`), ready to predict."""
    by_gradients = model_class(named.model).rows_at_once == 0
    if by_gradients and not any(
        name.startswith("effects.") for name in weights
    ):  # an older one: all is the calendar
        shape = replace(shape, calendar=shape.embedded().future)
    with _Uninitialised():
        network = build(named, shape)
    expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    shapes = {name: array.shape for name, array in weights.items()}
    if shapes != expected:
        name = min(
            name
            for name in expected.keys() | shapes.keys()
            if expected.get(name) != shapes.get(name)
        )
        problem = f"have shape {shapes.get(name)}, not {expected.get(name)}"
        raise ArtifactRefused(f"the weights '{name[:80]}' of model {named.model} {problem}")
    network.load_state_dict(to_tensors(weights))
    return network.to(device).eval()


def to_tensors(arrays: dict[str, NDArray[Any]]) -> dict[str, Tensor]:
    return {name: torch.tensor(array) for name, array in arrays.items()}


def to_arrays(tensors: dict[str, Tensor]) -> dict[str, NDArray[Any]]:
    """Copies of tensors by name as arrays."""
    return {name: tensor.numpy(force=True).copy() for name, tensor in tensors.items()}


def layout_of(tensors: Mapping[str, Tensor]) -> dict[str, tuple[torch.Size, torch.dtype]]:
    """Shape and type of each tensor; the weights of one network always have the same."""
    return {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}


def carry_weights(
    named: Named, shape: Shape, weights: dict[str, NDArray[Any]], earlier: Integers
) -> dict[str, NDArray[Any]] | None:
    """The weights of an earlier fit as a network of this shape has them; None where they do not fit.

    Weights of a series move with it: `earlier` [series] is the series index that each series had in the earlier fit.
    """
    expected = layout_of(build(named, shape).state_dict())
    more = layout_of(build(named, replace(shape, series=shape.series + 1)).state_dict())
    rows = np.concatenate([[0], earlier])
    carried = {
        name: array[rows] if expected.get(name) != more.get(name) else array
        for name, array in weights.items()
    }
    return carried if layout_of(to_tensors(carried)) == expected else None


class _Uninitialised(TorchFunctionMode):
    """Leave new weights as they are: saved ones follow, and pages that nobody writes take no memory."""

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if (
            function in (Tensor.uniform_, Tensor.normal_)
            or getattr(function, "__module__", "") == nn.init.__name__
        ):
            return args[0] if args else kwargs["tensor"]
        return function(*args, **(kwargs or {}))


def network_shape(
    schema: Schema,
    horizon: int,
    lookback: int,
    lags: tuple[int, ...],
    levels: tuple[float, ...],
    series: int,
    loss: LossName,
) -> Shape:
    calendar = len(calendar_of(schema).feature_names)
    known = numeric_count(schema.known, schema)
    return Shape(
        lookback=lookback,
        horizon=horizon,
        past=calendar + known + numeric_count(schema.past, schema),
        future=calendar + known,
        calendar=calendar,
        static=numeric_count(schema.static, schema),
        past_categories=category_sizes((*schema.known, *schema.past), schema),
        future_categories=category_sizes(schema.known, schema),
        static_categories=category_sizes(schema.static, schema),
        series=series,
        seasons=lags,
        levels=levels,
        loss=loss,
    )
