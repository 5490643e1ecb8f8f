"""Export the networks of a fitted forecaster, and compare each export with torch before it is believed."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from forecast.artifacts.format import LARGEST_EXPORT
from forecast.artifacts.graph import OPSET
from forecast.errors import ForecastError
from forecast.inference.engines import EXTRA_PACKAGES, installed
from forecast.inference.fitted import Exports, Fitted
from forecast.inference.onnx import Graph
from forecast.inference.predictor import inputs_of
from forecast.windows.windows import NETWORK_BATCH, Batch

if TYPE_CHECKING:
    from forecast.models.shared.model import RecurrentModel

log = logging.getLogger("forecast")

TOLERANCE = 1e-4  # of a window's scale, by which an export may differ from torch
RANDOM = (1, 3, NETWORK_BATCH)  # windows of the batches of random numbers
FIRST_EXPORT, NEXT_EXPORT = 0.5, 0.2  # seconds that they take as a rule


def with_exports(fitted: Fitted) -> Fitted:
    """A fitted forecaster with an ONNX file for each of its networks, or the reason why one has none."""
    if not fitted.config.networks or not all(map(installed, EXTRA_PACKAGES)):
        return fitted
    from forecast.inference.torch import Networks

    backend = Networks(fitted, "cpu")
    history = fitted.history
    windows = inputs_of(fitted, history).arrays.to(backend.to_array)
    series = np.flatnonzero(~history.skipped)[:NETWORK_BATCH]
    newest = backend.to_array(series), backend.to_array(history.lengths[series])
    exports, loaded, number = Exports(), list[Graph](), 0
    for members, networks in zip(fitted.config.members(), backend.groups, strict=True):
        cut = windows.cut(members[0].lookback, members[0].scaling)
        for network in networks:
            result = _export(network, fitted, cut.batch(*newest), loaded)
            if isinstance(result, str):
                exports.missing[number] = result
            else:
                exports.files[number] = result
            number += 1
    return replace(fitted, exports=exports)


def seconds_of_exports(networks: int) -> float:
    """About how long the exports of some networks take; none where the packages are not installed."""
    if not networks or not all(map(installed, EXTRA_PACKAGES)):
        return 0.0
    return FIRST_EXPORT + (networks - 1) * NEXT_EXPORT


def _export(network: "RecurrentModel", fitted: Fitted, newest: Batch, loaded: list[Graph]) -> bytes | str:
    """The ONNX file of a network, or why it has none; its graph joins those that share the memory, `loaded`."""
    from forecast.models.shared.exporting import computed, export

    if network.no_export:
        return network.no_export
    batches = [*_random_batches(network, fitted), newest]
    try:
        data = export(network, batches[0], OPSET)
        if len(data) > LARGEST_EXPORT:
            return f"its file would have {len(data):,} bytes"
        loaded.append(graph := Graph(data, "the export"))
        for batch in batches:
            inputs, expected = computed(network, batch)
            difference = np.abs(graph.run(inputs, expected.shape[1:]) - expected).max()
            if not difference <= TOLERANCE:
                return f"it differs from torch by {difference:.2g} of a window's scale"
    except Exception as error:
        problem = "onnxruntime does not run it" if isinstance(error, ForecastError) else "torch cannot write it"
        return f"{problem} ({' '.join(str(error).split())[:150] or type(error).__name__})"
    return data


def _random_batches(network: "RecurrentModel", fitted: Fitted) -> Iterator[Batch]:
    from forecast.models.shared.building import network_shape
    from forecast.models.shared.exporting import random_batch

    config, lookback, loss = fitted.config, network.shape.lookback, fitted.settings().loss
    series = len(fitted.history)
    shape = network_shape(config.table, config.horizon, lookback, config.lags, config.levels, series, loss)
    for seed, rows in enumerate((2, *RANDOM)):
        yield random_batch(shape, rows, seed)
