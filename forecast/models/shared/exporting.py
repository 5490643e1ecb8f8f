"""Write a network as an ONNX file, and make batches to compare the file with the network."""

import inspect
import io
import warnings
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from forecast.models.shared.model import RecurrentModel, Shape
from forecast.windows.windows import Batch

UNREAD = {"target", "target_mask", "weight", "location", "scale"}  # columns no network reads


class _Core(nn.Module):
    """The core of a network as a function of the arrays `inputs`; `batch` is an example."""

    def __init__(self, network: RecurrentModel, batch: Batch) -> None:
        super().__init__()
        self.network = network
        self.batch = batch
        self.inputs: dict[str, Tensor] = {}
        for name, column in vars(batch).items():
            if name not in UNREAD and column.numel() > 0:
                self.inputs[name] = column
        self.inputs |= network.example(batch)

    def forward(self, *arrays: Tensor) -> Tensor:
        inputs = dict(zip(self.inputs, arrays, strict=True))
        rows = inputs["past"].shape[0]
        columns = {}
        for name, like in vars(self.batch).items():
            # zeros where there are no columns, or nothing that a forecast reads
            shape = (rows, *like.shape[1:])
            blank = torch.zeros(shape, dtype=like.dtype)
            columns[name] = inputs.pop(name, blank)
        return self.network.core(Batch(**columns), inputs)


def export(network: RecurrentModel, batch: Batch, opset: int) -> bytes:
    """The ONNX file of a network's core, for any number of windows; `batch` is an example.

    The network is traced. The newer exporter of torch, which reads the program instead, takes
    twenty times as long. Some of its releases have written GRUs whose reset gate acts before the
    recurrent weights, not after them as in torch.
    """
    core = _Core(network, batch).eval()
    axes = {name: {0: "windows"} for name in (*core.inputs, "quantiles")}
    file = io.BytesIO()
    write: Any = torch.onnx.export
    parameters = inspect.signature(write).parameters
    tracing = {"dynamo": False} if "dynamo" in parameters else {}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # about sizes that tracing takes as constants: they are
        write(
            core,
            tuple(core.inputs.values()),
            file,
            **tracing,
            input_names=list(core.inputs),
            output_names=["quantiles"],
            opset_version=opset,
            dynamic_axes=axes,
        )
    return file.getvalue()


def compute(network: RecurrentModel, batch: Batch) -> tuple[dict[str, NDArray[Any]], NDArray[Any]]:
    """The inputs of an export for a batch, and what the network computes from them, in numpy."""
    core = _Core(network, batch).eval()
    with torch.no_grad():
        expected = core(*core.inputs.values())
    inputs = {name: array.numpy() for name, array in core.inputs.items()}
    return inputs, expected.numpy()


def random_batch(shape: Shape, rows: int, seed: int) -> Batch:
    """Random windows, some of whose past is missing, for a shape without embedded categories."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*size: int) -> Tensor:
        return torch.randn(rows, *size, generator=generator)

    def codes(steps: int, sizes: tuple[int, ...]) -> Tensor:
        columns = [torch.zeros((rows, steps, 0), dtype=torch.int64)]
        for size in sizes:
            columns.append(torch.randint(0, size, (rows, steps, 1), generator=generator))
        return torch.cat(columns, -1)

    mask = torch.rand(rows, shape.lookback, generator=generator) < 0.9
    past = normal(shape.lookback) * mask
    return Batch(
        past=past,
        mask=mask.float(),
        past_covariates=normal(shape.lookback, shape.past),
        future_covariates=normal(shape.horizon, shape.future),
        static=normal(shape.static),
        series=torch.randint(-1, shape.series, (rows,), generator=generator),
        past_codes=codes(shape.lookback, shape.past_categories),
        future_codes=codes(shape.horizon, shape.future_categories),
        static_codes=codes(1, shape.static_categories)[:, 0],
        seasonal=normal(shape.horizon, len(shape.seasons)),
        target=normal(shape.horizon),
        target_mask=torch.ones(rows, shape.horizon),
        weight=torch.ones(rows),
        location=10 * normal(1).double(),
        scale=0.1 + normal(1).double().abs(),
    )
