"""Check the bytes of an exported network before a runtime reads them: plain nodes of known operators, nothing else.

An ONNX file is a protocol buffer. Each message is walked here by a table of the fields that it may have, so that
subgraphs, functions, references to other files, other domains and whatever a later standard adds are refused.
"""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

OPSET = 17  # the set of operators that exports are written in
MAX_NODES = 20_000
MAX_RANK = 8
# fmt: off
OPERATORS = frozenset((
    "Abs", "Add", "And", "Cast", "Clip", "Concat", "Constant", "ConstantOfShape", "CumSum", "Div", "Equal", "Erf",
    "Exp", "Expand", "Flatten", "GRU", "Gather", "Gemm", "Greater", "Identity", "InstanceNormalization", "LSTM",
    "LayerNormalization", "Log", "MatMul", "Max", "Min", "Mod", "Mul", "Neg", "Not", "OneHot", "Or", "Pad", "Pow",
    "RNN", "Range", "ReduceMax", "ReduceMean", "ReduceSum", "Relu", "Reshape", "Shape", "Sigmoid", "Slice",
    "Softmax", "Softplus", "Split", "Sqrt", "Squeeze", "Sub", "Tanh", "Tile", "Transpose", "Unsqueeze", "Where",
))
# fmt: on
WHOLE = 7  # type of 64-bit whole numbers
LARGEST, ENDS = 2**31, (2**63 - 1, -(2**63 - 1))  # whole numbers that a graph may hold
SIZES = {1: 4, 6: 4, 7: 8, 9: 1, 11: 8}  # bytes of a number, by type: float32, int32, int64, bool, float64

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # how a field is written
Kind = str | int | tuple[int, ...]
Message = dict[str, list[bytes | int]]

# by message and number of a field: its name, and a message or how it is written
_FIELDS: dict[str, dict[int, tuple[str, Kind]]] = {
    "model": {
        1: ("ir_version", _VARINT),
        2: ("producer", _BYTES),
        3: ("release", _BYTES),
        7: ("graph", "graph"),
        8: ("opset", "opset"),
    },
    "opset": {1: ("domain", _BYTES), 2: ("version", _VARINT)},
    "graph": {
        1: ("node", "node"),
        2: ("name", _BYTES),
        5: ("tensor", "tensor"),
        11: ("input", "value"),
        12: ("output", "value"),
    },
    "node": {
        1: ("input", _BYTES),
        2: ("output", _BYTES),
        3: ("name", _BYTES),
        4: ("operator", _BYTES),
        5: ("attribute", "attribute"),
    },
    "attribute": {
        1: ("name", _BYTES),
        2: ("float", _FIXED32),
        3: ("int", _VARINT),
        4: ("text", _BYTES),
        5: ("tensor", "tensor"),
        7: ("floats", (_FIXED32, _BYTES)),
        8: ("ints", (_VARINT, _BYTES)),
        9: ("texts", _BYTES),
        20: ("type", _VARINT),
    },
    "tensor": {1: ("size", (_VARINT, _BYTES)), 2: ("type", _VARINT), 8: ("name", _BYTES), 9: ("data", _BYTES)},
    "value": {1: ("name", _BYTES), 2: ("type", "type")},
    "type": {1: ("tensor", "array")},
    "array": {1: ("type", _VARINT), 2: ("shape", "shape")},
    "shape": {1: ("size", "extent")},
    "extent": {1: ("steps", _VARINT), 2: ("name", _BYTES)},
}


def check_graph(data: bytes) -> None:
    """Raise ValueError where `data` is anything but a plain ONNX graph of known operators and bounded size."""
    model = _message(data, "model")
    for opset in model["opset"]:
        fields = _message(opset, "opset")
        if any(fields["domain"]) or fields["version"] != [OPSET]:
            raise ValueError(f"the graph asks for other operators than those of set {OPSET} of ONNX")
    if len(model["graph"]) != 1 or not model["opset"]:
        raise ValueError("the file does not hold one graph")
    graph = _message(model["graph"][0], "graph")
    if len(graph["node"]) > MAX_NODES:
        raise ValueError(f"the graph has {len(graph['node']):,} nodes, more than {MAX_NODES:,}")
    tensors = [_message(tensor, "tensor") for tensor in graph["tensor"]]
    nodes = [_message(node, "node") for node in graph["node"]]
    constant = {bytes(_raw(name)) for tensor in tensors for name in tensor["name"]}
    for tensor in tensors:
        _check_tensor(tensor)
    for node in nodes:
        _check_node(node)
    for value in (*graph["input"], *graph["output"]):
        _walk(value, "value")
    if any(bytes(_raw(name)) in constant for value in graph["input"] for name in _message(value, "value")["name"]):
        raise ValueError("an input of the graph has the name of a constant")


def _check_node(node: Message) -> None:
    """A node has a known operator, and bounded attributes."""
    operators = [bytes(_raw(name)) for name in node["operator"]]
    if len(operators) != 1 or operators[0].decode("ascii", "replace") not in OPERATORS:
        raise ValueError(f"the graph has an unknown operator {b' '.join(operators)[:40]!r}")
    for attribute in node["attribute"]:
        fields = _message(attribute, "attribute")
        for tensor in (_message(tensor, "tensor") for tensor in fields["tensor"]):
            _check_tensor(tensor)
            if operators == [b"ConstantOfShape"] and tensor["type"] == [WHOLE] and not _filled(tensor):
                raise ValueError("an array of the graph is filled with other numbers than exports have")
        parts = [[part] if isinstance(part, int) else list(_varints(part)) for part in fields["int"] + fields["ints"]]
        _check_whole(np.array([number for part in parts for number in part], np.uint64).astype(np.int64))


def _filled(tensor: Message) -> bool:
    """Whether whole numbers are 0 or 1, of which exports make shapes; runtimes have ended the process by others."""
    return all(np.isin(np.frombuffer(_raw(part), "<i8"), (0, 1)).all() for part in tensor["data"])


def _check_tensor(tensor: Message) -> None:
    """A tensor has as many bytes as its sizes say, in the file itself."""
    written = [10 if isinstance(part, int) else len(part) for part in tensor["size"]]
    if sum(written) > 10 * MAX_RANK:
        raise ValueError(f"a tensor of the graph has more than {MAX_RANK} axes")
    sizes = [size for part in tensor["size"] for size in ([part] if isinstance(part, int) else _varints(part))]
    kinds = [_whole(kind) for kind in tensor["type"]]
    if len(kinds) != 1 or kinds[0] not in SIZES:
        raise ValueError(f"a tensor of the graph has an unknown type {kinds[:1]}")
    data = sum(len(_raw(part)) for part in tensor["data"])
    if len(tensor["data"]) > 1 or math.prod(sizes) * SIZES[kinds[0]] != data:
        raise ValueError("a tensor of the graph is not as large as it says")
    if kinds[0] == WHOLE:
        for part in tensor["data"]:
            _check_whole(np.frombuffer(_raw(part), "<i8"))


def _check_whole(numbers: NDArray[np.int64]) -> None:
    """Whole numbers are sizes, places or steps: small, or the ends of what 64 bits hold.

    Runtimes have ended the process by an assertion over others.
    """
    large = numbers[(numbers < -LARGEST) | (numbers > LARGEST)]
    if not set(large.tolist()) <= {*ENDS}:
        raise ValueError("a whole number of the graph is too large")


def _walk(data: bytes | int, kind: str) -> None:
    """Read a message and those in it."""
    for name, values in _message(data, kind).items():
        inner = next(inner for field, inner in _FIELDS[kind].values() if field == name)
        if isinstance(inner, str):
            for value in values:
                _walk(value, inner)


def _message(data: bytes | int, kind: str) -> Message:
    """The fields of a message by name, each with all its values; ValueError for a field that it may not have."""
    table = _FIELDS[kind]
    found: Message = {name: [] for name, _ in table.values()}
    for number, wire, value in _fields(_raw(data)):
        name, expected = table.get(number, ("", ()))
        allowed = (_BYTES,) if isinstance(expected, str) else (expected,) if isinstance(expected, int) else expected
        if wire not in allowed:
            raise ValueError(f"the graph holds what no export holds: field {number} of a {kind}")
        found[name].append(value)
    return found


def _fields(data: bytes) -> Iterator[tuple[int, int, bytes | int]]:
    """Number, way of writing and value of each field of a message."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, at = _varint(data, at)
            yield number, wire, value
            continue
        if wire == _BYTES:
            length, at = _varint(data, at)
        elif wire in (_FIXED32, _FIXED64):
            length = 4 if wire == _FIXED32 else 8
        else:
            raise ValueError(f"the graph is written in an unknown way ({wire})")
        if length > len(data) - at:
            raise ValueError("the graph is cut off")
        yield number, wire, data[at : at + length]
        at += length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A whole number of up to 64 bits, and where the next field starts."""
    value = 0
    for place in range(10):
        if at + place >= len(data):
            raise ValueError("the graph is cut off")
        byte = data[at + place]
        value |= (byte & 127) << 7 * place
        if byte < 128:
            return value, at + place + 1
    raise ValueError("a number of the graph has more than 64 bits")


def _varints(data: bytes) -> Iterator[int]:
    at = 0
    while at < len(data):
        value, at = _varint(data, at)
        yield value


def _raw(value: bytes | int) -> bytes:
    if isinstance(value, int):
        raise ValueError("the graph holds a number where text is expected")
    return value


def _whole(value: bytes | int) -> int:
    if not isinstance(value, int):
        raise ValueError("the graph holds text where a number is expected")
    return value
