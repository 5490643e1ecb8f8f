"""Check the bytes of an exported network before a runtime reads them: plain nodes of known operators, nothing else.

An ONNX file is a protocol buffer. Each message is walked here by a table of the fields that it may have, so that
subgraphs, functions, references to other files, other domains and whatever a later standard adds are refused.
"""

import math
from collections.abc import Iterator
from typing import Any

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
MAX_NUMBER, ENDS = 2**31, (2**63 - 1, -(2**63 - 1))  # whole numbers that a graph may hold
SIZES = {1: 4, 6: 4, 7: 8, 9: 1, 11: 8}  # bytes of a number, by type: float32, int32, int64, bool, float64

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # how a field is written
_WRITTEN = {"whole": (_VARINT,), "float": (_FIXED32,), "wholes": (_VARINT, _BYTES), "floats": (_FIXED32, _BYTES)}
Message = dict[str, list[Any]]

# the fields that each message may have: number, name, and how it is written, or the message that it is
_SCHEMA = {
    "model": "1 ir_version whole, 2 producer bytes, 3 release bytes, 7 graph graph, 8 opset opset",
    "opset": "1 domain bytes, 2 version whole",
    "graph": "1 node node, 2 name bytes, 5 tensor tensor, 11 input value, 12 output value",
    "node": "1 input bytes, 2 output bytes, 3 name bytes, 4 operator bytes, 5 attribute attribute",
    "attribute": "1 name bytes, 2 float float, 3 int whole, 4 text bytes, 5 tensor tensor, 7 floats floats, "
    "8 ints wholes, 9 texts bytes, 20 type whole",
    "tensor": "1 size wholes, 2 type whole, 8 name bytes, 9 data bytes",
    "value": "1 name bytes, 2 type type",
    "type": "1 tensor array",
    "array": "1 type whole, 2 shape shape",
    "shape": "1 size extent",
    "extent": "1 steps whole, 2 name bytes",
}
_FIELDS = {
    message: {int(number): (name, kind) for number, name, kind in map(str.split, fields.split(", "))}
    for message, fields in _SCHEMA.items()
}


def check_graph(data: bytes) -> None:
    """Raise ValueError where `data` is anything but a plain ONNX graph of known operators and bounded size."""
    model = _message(data, "model")
    for opset in (_message(data, "opset") for data in model["opset"]):
        if any(opset["domain"]) or opset["version"] != [OPSET]:
            raise ValueError(f"the graph asks for other operators than those of set {OPSET} of ONNX")
    if len(model["graph"]) != 1 or not model["opset"]:
        raise ValueError("the file does not hold one graph")
    graph = _message(model["graph"][0], "graph")
    if len(graph["node"]) > MAX_NODES:
        raise ValueError(f"the graph has {len(graph['node']):,} nodes, more than {MAX_NODES:,}")
    for node in graph["node"]:
        _check_node(_message(node, "node"))
    constant = set()
    for tensor in (_message(tensor, "tensor") for tensor in graph["tensor"]):
        _check_tensor(tensor)
        constant.update(tensor["name"])
    for value in (*graph["input"], *graph["output"]):
        _walk(value, "value")
    if any(name in constant for value in graph["input"] for name in _message(value, "value")["name"]):
        raise ValueError("an input of the graph has the name of a constant")


def _check_node(node: Message) -> None:
    operators = [name.decode("ascii", "replace") for name in node["operator"]]
    if len(operators) != 1 or operators[0] not in OPERATORS:
        raise ValueError(f"the graph has an unknown operator {' '.join(operators)[:40]!r}")
    for attribute in (_message(attribute, "attribute") for attribute in node["attribute"]):
        for tensor in (_message(tensor, "tensor") for tensor in attribute["tensor"]):
            _check_tensor(tensor)
            # runtimes have ended the process by shapes that are filled with other numbers than 0 and 1
            fill = b"".join(tensor["data"]) if operators == ["ConstantOfShape"] and tensor["type"] == [WHOLE] else b""
            if not np.isin(np.frombuffer(fill, "<i8"), (0, 1)).all():
                raise ValueError("an array of the graph is filled with other numbers than exports have")
        _check_whole(np.array(attribute["int"] + _unpacked(attribute["ints"]), np.uint64).astype(np.int64))


def _check_tensor(tensor: Message) -> None:
    """A tensor has as many bytes as its sizes say, in the file itself."""
    if sum(10 if isinstance(part, int) else len(part) for part in tensor["size"]) > 10 * MAX_RANK:
        raise ValueError(f"a tensor of the graph has more than {MAX_RANK} axes")
    kinds = tensor["type"]
    if len(kinds) != 1 or kinds[0] not in SIZES:
        raise ValueError(f"a tensor of the graph has an unknown type {kinds[:1]}")
    total = math.prod(_unpacked(tensor["size"])) * SIZES[kinds[0]]
    if len(tensor["data"]) > 1 or total != sum(map(len, tensor["data"])):
        raise ValueError("a tensor of the graph is not as large as it says")
    if kinds[0] == WHOLE:
        _check_whole(np.frombuffer(b"".join(tensor["data"]), "<i8"))


def _check_whole(numbers: NDArray[np.int64]) -> None:
    """Refuse other sizes, places and steps than small ones and the ends of 64 bits, by which runtimes have crashed."""
    if not set(numbers[(numbers < -MAX_NUMBER) | (numbers > MAX_NUMBER)].tolist()) <= {*ENDS}:
        raise ValueError("a whole number of the graph is too large")


def _walk(data: bytes, kind: str) -> None:
    """Read a message and those in it."""
    inner = dict(_FIELDS[kind].values())
    for name, values in _message(data, kind).items():
        for value in values if inner[name] in _FIELDS else ():
            _walk(value, inner[name])


def _message(data: bytes, kind: str) -> Message:
    """The fields of a message by name, each with all its values; ValueError for a field that it may not have."""
    found: Message = {name: [] for name, _ in _FIELDS[kind].values()}
    for number, wire, value in _fields(data):
        name, written = _FIELDS[kind].get(number, ("", ""))
        if not name or wire not in _WRITTEN.get(written, (_BYTES,)):  # a message in a message is bytes too
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


def _unpacked(parts: list[bytes | int]) -> list[int]:
    """Whole numbers that are written one by one, or several in a part."""
    numbers = []
    for part in parts:
        if isinstance(part, int):
            numbers.append(part)
            continue
        at = 0
        while at < len(part):
            number, at = _varint(part, at)
            numbers.append(number)
    return numbers
