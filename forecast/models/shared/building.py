"""Build a network by name, either initialised by a seed or with saved weights."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from forecast.errors import ArtifactRefused
from forecast.models import model_class
from forecast.models.shared.model import RecurrentModel, Shape
from forecast.panel.panel import Integers
from forecast.panel.schema import Schema, build_calendar
from forecast.settings import LossName
from forecast.windows.inputs import category_sizes, numeric_count

Arrays = dict[str, NDArray[Any]]
Layout = dict[str, tuple[torch.Size, torch.dtype]]

MOST_CHARACTERS = 200  # of torch's message about an error


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


def rebuild(named: Named, shape: Shape, weights: Arrays, device: torch.device) -> RecurrentModel:
    """A network with saved weights, on a device and ready to predict.

    Raises `ArtifactRefused` if the weights belong to another network.
    """
    network = build(named, shape)
    try:
        network.load_state_dict(to_tensors(weights))
    except RuntimeError as error:
        problem = str(error).splitlines()[1].strip()[:MOST_CHARACTERS]
        message = f"the weights of model {named.model} are of another network: {problem}"
        raise ArtifactRefused(message) from None
    return network.to(device).eval()


def to_tensors(arrays: Arrays) -> dict[str, Tensor]:
    return {name: torch.tensor(array) for name, array in arrays.items()}


def to_arrays(tensors: dict[str, Tensor]) -> Arrays:
    """Copies of tensors as arrays, by name."""
    return {name: tensor.numpy(force=True).copy() for name, tensor in tensors.items()}


def read_layout(tensors: Mapping[str, Tensor]) -> Layout:
    """Shape and type of each tensor, by name."""
    return {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}


def carry_weights(named: Named, shape: Shape, weights: Arrays, earlier: Integers) -> Arrays | None:
    """The weights of an earlier fit for a network of this shape; None if they do not fit it.

    Weights of single series move with the series: `earlier` [series] is the index that each series
    had in the earlier fit, or -1. Their first row is for new series.
    """
    expected = read_layout(build(named, shape).state_dict())
    wider = replace(shape, series=shape.series + 1)
    of_wider = read_layout(build(named, wider).state_dict())
    rows = np.append(0, earlier + 1)
    carried = {}
    for name, array in weights.items():
        by_series = expected.get(name) != of_wider.get(name)
        carried[name] = array[rows] if by_series else array
    if read_layout(to_tensors(carried)) != expected:
        return None
    return carried


def network_shape(
    schema: Schema,
    horizon: int,
    lookback: int,
    lags: tuple[int, ...],
    levels: tuple[float, ...],
    series: int,
    loss: LossName,
) -> Shape:
    calendar = len(build_calendar(schema).feature_names)
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
