"""The backend that runs networks in torch."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from forecast.inference.fitted import Fitted
from forecast.models import model_class
from forecast.models.shared.building import network_shape, rebuild
from forecast.models.shared.model import RecurrentModel, Shape
from forecast.registry import has
from forecast.training.devices import on_device, one_thread, pick_device, report_out_of_memory
from forecast.windows.windows import Batch


class Networks:
    """The networks of a fitted forecaster on a device, group by group; the methods are those of `Backend`."""

    threads = (
        False  # how many threads torch takes, and how small its numbers get, is the same for all
    )

    def __init__(self, fitted: Fitted, device: str) -> None:
        self.device, self.seed = pick_device(device), fitted.settings().seed
        self.to_array = on_device(self.device)
        self.groups, self.shapes = list[list[RecurrentModel]](), list[Shape]()
        if has("models", model := fitted.settings().model):
            model_class(model).Params.check(fitted.settings().params or {})
        config, weights, loss = fitted.config, iter(fitted.network_weights), fitted.settings().loss
        for members in config.members():
            lookback, series = members[0].lookback, len(fitted.history)
            shape = network_shape(
                config.table, config.horizon, lookback, config.lags, config.levels, series, loss
            )
            self.shapes.append(shape)
            self.groups.append(
                [rebuild(member, shape, next(weights), self.device) for member in members]
            )

    @contextmanager
    def running(self) -> Iterator[None]:
        with one_thread(), report_out_of_memory():
            yield

    def quantiles(self, group: int, member: int, batch: Batch) -> Tensor:
        network = self.groups[group][member]
        generator = Generator(device=self.device).manual_seed(
            self.seed
        )  # for models that sample paths
        with torch.no_grad():
            return network.quantiles(batch, network.shape.levels, generator)

    def attention(self, group: int, batch: Batch) -> Tensor | None:
        weigh = getattr(self.groups[group][0], "attention", None)
        if weigh is None:
            return None
        with torch.no_grad():
            weights: Tensor = weigh(batch)
        return weights

    def to_numpy(self, array: Tensor) -> NDArray[np.float64]:
        return array.cpu().double().numpy()
