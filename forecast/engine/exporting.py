"""Export networks to ONNX; an export is kept only if its forecasts match those of torch."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from forecast.artifacts.format import LARGEST_EXPORT
from forecast.artifacts.graph import OPSET
from forecast.errors import ForecastError, one_line
from forecast.inference.fitted import Fitted
from forecast.inference.onnx import Graph
from forecast.inference.predictor import EXTRA_PACKAGES, has_package, prepare_inputs
from forecast.windows.windows import NETWORK_BATCH, Batch

if TYPE_CHECKING:
    from forecast.models.shared.model import RecurrentModel, Shape

TOLERANCE = 1e-4  # largest difference between export and torch, as a share of a window's scale
# sizes of the batches of random windows; the first batch is traced
RANDOM = (2, 1, 3, NETWORK_BATCH)


def add_exports(fitted: Fitted) -> Fitted:
    """A fitted forecaster with an ONNX file for each network, or the reason why it has none."""
    if not fitted.ensemble.networks or not all(map(has_package, EXTRA_PACKAGES)):
        return fitted
    from forecast.inference.torch import Networks

    backend = Networks(fitted, "cpu")
    history = fitted.history
    windows = prepare_inputs(fitted, history).arrays.to(backend.to_array)
    series = np.flatnonzero(~history.skipped)[:NETWORK_BATCH]
    newest = backend.to_array(series), backend.to_array(history.lengths[series])
    results = list[bytes | str]()
    loaded = list[Graph]()
    groups = zip(fitted.members(), backend.groups, backend.shapes, strict=True)
    for members, networks, shape in groups:
        cut = windows.cut(members[0].lookback, members[0].scaling)
        batch = cut.batch(*newest)
        results += [_export(network, shape, batch, loaded) for network in networks]
    numbered = list(enumerate(results))
    exports = {number: result for number, result in numbered if isinstance(result, bytes)}
    reasons = {number: result for number, result in numbered if isinstance(result, str)}
    return replace(fitted, exports=exports, unexported=reasons)


def _export(
    network: "RecurrentModel", shape: "Shape", newest: Batch, loaded: list[Graph]
) -> bytes | str:
    """The ONNX file of a network, or why it has none; graphs in `loaded` share the memory."""
    from forecast.models.shared.exporting import compute, export, random_batch

    if network.no_export:
        return network.no_export
    batches = [random_batch(shape, rows, seed) for seed, rows in enumerate(RANDOM)]
    batches.append(newest)
    try:
        data = export(network, batches[0], OPSET)
        if len(data) > LARGEST_EXPORT:
            return f"its file would have {len(data):,} bytes"
        graph = Graph(data, "the export")
        loaded.append(graph)
        for batch in batches:
            inputs, expected = compute(network, batch)
            output = graph.run(inputs, expected.shape[1:])
            difference = np.abs(output - expected).max()
            if not difference <= TOLERANCE:
                return f"it differs from torch by {difference:.2g} of a window's scale"
    except Exception as error:
        is_of_runtime = isinstance(error, ForecastError)
        problem = "onnxruntime does not run it" if is_of_runtime else "torch cannot write it"
        return f"{problem} ({one_line(error)})"
    return data
