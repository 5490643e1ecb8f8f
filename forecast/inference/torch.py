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
    """The networks of a forecaster on a device, by group; see `Backend` for the methods."""

    # torch sets its number of threads and its treatment of denormal numbers for the whole process
    threads = False

    def __init__(self, fitted: Fitted, device: str) -> None:
        settings = fitted.settings()
        config = fitted.config
        self.device = pick_device(device)
        self.seed = settings.seed
        self.to_array = on_device(self.device)
        self.groups: list[list[RecurrentModel]] = []
        self.shapes: list[Shape] = []
        if has("models", settings.model):
            model_class(settings.model).Params.check(settings.params or {})
        weights = iter(fitted.network_weights)
        for members in fitted.members():
            shape = network_shape(
                config.table,
                config.horizon,
                members[0].lookback,
                config.lags,
                config.levels,
                len(fitted.history),
                settings.loss,
            )
            networks = [rebuild(member, shape, next(weights), self.device) for member in members]
            self.shapes.append(shape)
            self.groups.append(networks)

    @contextmanager
    def guard_run(self) -> Iterator[None]:
        with one_thread(), report_out_of_memory():
            yield

    def quantiles(self, group: int, member: int, batch: Batch) -> Tensor:
        network = self.groups[group][member]
        generator = Generator(device=self.device)  # for models that sample paths
        generator.manual_seed(self.seed)
        with torch.no_grad():
            return network.quantiles(batch, network.shape.levels, generator)

    def attention(self, group: int, batch: Batch) -> Tensor | None:
        with torch.no_grad():
            return self.groups[group][0].attention(batch)

    def to_numpy(self, array: Tensor) -> NDArray[np.float64]:
        return array.cpu().double().numpy()
