"""The backend that runs exported networks in onnxruntime, without torch."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.artifacts.format import parse_strictly
from forecast.artifacts.graph import check_graph
from forecast.errors import ArtifactRefused, Setting, Unavailable, one_line
from forecast.inference.fitted import Fitted
from forecast.models.shared.pretrained_windows import PretrainedWindows, both_ways
from forecast.panel.panel import Numbers
from forecast.pretrained.network import LEVELS
from forecast.windows.windows import Batch

MAX_GRAPH_MEMORY = 3 * 2**28  # most bytes that all exported networks may use, including weights
TYPES = {"tensor(float)": np.float32, "tensor(int64)": np.int64}
ON_OWN_SCALE = ("finetuned",)  # models that scale windows themselves, through `PretrainedWindows`


class Graph:
    """An exported network, which messages call `shown`; only known operators are accepted."""

    def __init__(self, data: bytes, shown: str) -> None:
        self.shown = shown
        parse_strictly(shown, data, check_graph)
        self.session = parse_strictly(shown, data, _session)
        self.inputs = {value.name: TYPES.get(value.type) for value in self.session.get_inputs()}

    def run(self, arrays: dict[str, Any], size: tuple[int, int]) -> NDArray[np.float32]:
        """The output [batch, *size] for arrays by name; arrays it does not take are ignored."""
        if None in self.inputs.values() or not self.inputs.keys() <= arrays.keys():
            raise self._build_refusal("asks for other inputs than a batch has")
        inputs = {
            name: np.ascontiguousarray(arrays[name], kind) for name, kind in self.inputs.items()
        }
        rows = len(next(iter(inputs.values()), ()))
        try:
            outputs = self.session.run(None, inputs)
        except Exception as error:  # onnxruntime has no error class of its own
            # raises MemoryError if the machine lacks memory, and the export is not at fault
            np.empty(MAX_GRAPH_MEMORY, np.uint8)
            raise self._build_refusal(f"cannot be run: {one_line(error)}") from None
        shapes = [(output.shape, output.dtype) for output in outputs]
        if shapes != [((rows, *size), np.float32)]:
            raise self._build_refusal("does not put out what a network does")
        output: NDArray[np.float32] = outputs[0]
        return output

    def _build_refusal(self, reason: str) -> ArtifactRefused:
        cure = f"restore it, or pass {Setting('engine', 'torch')}"
        return ArtifactRefused(f"{self.shown}: {reason}", cure=cure)


class Networks:
    """The exported networks of a forecaster, by group; see `Backend` for the methods."""

    threads = True

    def __init__(self, fitted: Fitted, device: str) -> None:
        self.config = fitted.config
        self.members = fitted.members()
        self.to_array = np.ascontiguousarray
        graphs = (
            Graph(data, f"network-{number}.onnx") for number, data in sorted(fitted.exports.items())
        )
        self.groups = [[next(graphs) for _ in members] for members in self.members]

    @contextmanager
    def guard_run(self) -> Iterator[None]:
        try:
            yield
        except MemoryError:
            raise Unavailable("out of memory", cure="forecast fewer series at once") from None

    def quantiles(self, group: int, member: int, batch: Batch) -> NDArray[Any]:
        config = self.config
        graph = self.groups[group][member]
        columns = vars(batch)
        if self.members[group][member].model not in ON_OWN_SCALE:
            return graph.run(columns, (config.horizon, len(config.levels)))

        def run(arrays: dict[str, Any]) -> NDArray[np.float32]:
            return graph.run(columns | arrays, (config.horizon, len(LEVELS)))

        windows = PretrainedWindows.from_batch(batch, config.lags, config.horizon)
        quantiles: NDArray[Any] = both_ways(windows, run, config.levels)
        return quantiles

    def to_numpy(self, array: NDArray[Any]) -> Numbers:
        return array.astype(np.float64)


def _session(data: bytes) -> Any:
    """A session with one thread, which reads nothing but the bytes."""
    import onnxruntime

    _limit_memory()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # log nothing, as errors are raised
    options.add_session_config_entry("session.load_model_format", "ONNX")
    # denormal numbers slow a CPU a hundredfold
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    options.add_session_config_entry("session.use_env_allocators", "1")
    create = onnxruntime.InferenceSession
    # the first session leaves its thread without denormal numbers for good
    with ThreadPoolExecutor(1) as thread:
        session = thread.submit(
            create, data, options, providers=["CPUExecutionProvider"], enable_fallback=0
        )
    return session.result()


@cache
def _limit_memory() -> None:
    """Let all sessions share one pool of limited memory."""
    import onnxruntime

    kind = onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR
    info = onnxruntime.OrtMemoryInfo("Cpu", kind, 0, onnxruntime.OrtMemType.DEFAULT)
    onnxruntime.create_and_register_allocator(
        info, onnxruntime.OrtArenaCfg({"max_mem": MAX_GRAPH_MEMORY})
    )
