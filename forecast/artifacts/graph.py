"""Check an exported network before a runtime reads it: plain nodes of known operators only.

An ONNX file is a protocol buffer. It is read here by a table of the fields that exports have, so
that subgraphs, functions, references to other files, other domains and whatever a later standard
adds are refused.
"""

import math
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

OPSET = 17  # the set of operators that exports are written in
MAX_NODES = 20_000
MAX_RANK = 8
# fmt: off
OPERATORS = frozenset((
    "Abs", "Add", "And", "Cast", "Clip", "Concat", "Constant", "ConstantOfShape", "CumSum",
    "Div", "Equal", "Erf", "Exp", "Expand", "Flatten", "GRU", "Gather", "GatherElements",
    "Gemm", "Greater", "Identity", "InstanceNormalization", "LSTM", "LayerNormalization", "Log",
    "MatMul", "Max", "Min", "Mod", "Mul", "Neg", "Not", "OneHot", "Or", "Pad", "Pow", "RNN",
    "Range", "ReduceMax", "ReduceMean", "ReduceSum", "Relu", "Reshape", "Round", "Shape",
    "Sigmoid", "Slice", "Softmax", "Softplus", "Split", "Sqrt", "Squeeze", "Sub", "Tanh",
    "Tile", "Transpose", "Unsqueeze", "Where",
))
# fmt: on
INT64 = 7  # its number among the types of ONNX
# whole numbers that a graph may hold: small ones, and the ends of 64 bits
MAX_NUMBER = 2**31
ENDS = (2**63 - 1, -(2**63 - 1))
# bytes of a number, by type: float32, int32, int64, bool, float64
TYPE_SIZES = {1: 4, 6: 4, INT64: 8, 9: 1, 11: 8}

# the messages of ONNX with the fields that exports have: number, name, * where it is repeated, and
# type or message
_SCHEMA = {
    "model": "1 ir_version int64, 2 producer bytes, 3 release bytes, 7 graph graph, 8 opset* opset",
    "opset": "1 domain bytes, 2 version int64",
    "graph": "1 node* node, 2 name bytes, 5 tensor* tensor, 11 input* value, 12 output* value",
    "node": "1 input* bytes, 2 output* bytes, 3 name bytes, 4 operator bytes, "
    "5 attribute* attribute",
    "attribute": "1 name bytes, 2 float float, 3 int int64, 4 text bytes, 5 tensor tensor, "
    "7 floats* float, 8 ints* int64, 9 texts* bytes, 20 type int64",
    "tensor": "1 size* int64, 2 type int64, 8 name bytes, 9 data bytes",
    "value": "1 name bytes, 2 type type",
    "type": "1 tensor array",
    "array": "1 type int64, 2 shape shape",
    "shape": "1 size* extent",
    "extent": "1 steps int64, 2 name bytes",
}


@cache
def _model() -> Any:
    """The class of a model that has the fields of the table and no others."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="graph.proto")
    field_type = descriptor_pb2.FieldDescriptorProto
    for name, fields in _SCHEMA.items():
        message = file.message_type.add(name=name)
        for text in fields.split(", "):
            number, field, kind = text.split()
            is_list = field.endswith("*")
            added = message.field.add(name=field.rstrip("*"), number=int(number))
            added.label = field_type.LABEL_REPEATED if is_list else field_type.LABEL_OPTIONAL
            if kind in _SCHEMA:
                added.type_name = kind
            else:
                added.type = field_type.Type.Value(f"TYPE_{kind.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("model"))


def check_graph(data: bytes) -> None:
    """Raise ValueError unless `data` is a plain ONNX graph of known operators and bounded size."""
    model = _model().FromString(data)
    _check_known(model)
    graph = model.graph
    if not model.opset or any(opset.domain or opset.version != OPSET for opset in model.opset):
        raise ValueError(f"the graph asks for other operators than those of set {OPSET} of ONNX")
    if len(graph.node) > MAX_NODES:
        raise ValueError(f"the graph has {len(graph.node):,} nodes, more than {MAX_NODES:,}")
    for node in graph.node:
        _check_node(node)
    for tensor in graph.tensor:
        _check_tensor(tensor)
    if {tensor.name for tensor in graph.tensor} & {value.name for value in graph.input}:
        raise ValueError("an input of the graph has the name of a constant")


def _check_known(message: Any) -> None:
    """Refuse fields that exports do not have, in a message and those in it."""
    from google.protobuf.message import Message
    from google.protobuf.unknown_fields import UnknownFieldSet

    for field in UnknownFieldSet(message):
        place = f"field {field.field_number} of a {message.DESCRIPTOR.name}"
        raise ValueError(f"the graph holds what no export holds: {place}")
    for field, value in message.ListFields():
        if field.message_type is not None:
            for inner in [value] if isinstance(value, Message) else value:
                _check_known(inner)


def _check_node(node: Any) -> None:
    operator = node.operator.decode("ascii", "replace")
    if operator not in OPERATORS:
        raise ValueError(f"the graph has an unknown operator {operator[:40]!r}")
    for attribute in node.attribute:
        _check_numbers(np.array([attribute.int, *attribute.ints], np.int64))
        tensor = attribute.tensor
        if attribute.HasField("tensor"):
            _check_tensor(tensor)
        # runtimes have ended the process by shapes that are filled with other numbers than 0 and 1
        fills_shape = operator == "ConstantOfShape" and tensor.type == INT64
        if fills_shape and not np.isin(np.frombuffer(tensor.data, "<i8"), (0, 1)).all():
            raise ValueError("an array is filled with other numbers than exports have")


def _check_tensor(tensor: Any) -> None:
    """A tensor has as many bytes as its sizes say, in the file itself."""
    if len(tensor.size) > MAX_RANK:
        raise ValueError(f"a tensor of the graph has more than {MAX_RANK} axes")
    if tensor.type not in TYPE_SIZES:
        raise ValueError(f"a tensor of the graph has an unknown type ({tensor.type})")
    size = math.prod(tensor.size) * TYPE_SIZES[tensor.type]
    if min(tensor.size, default=0) < 0 or size != len(tensor.data):
        raise ValueError("a tensor of the graph is not as large as it says")
    if tensor.type == INT64:
        _check_numbers(np.frombuffer(tensor.data, "<i8"))


def _check_numbers(numbers: NDArray[np.int64]) -> None:
    """Refuse numbers by which runtimes have crashed.

    Small numbers and the smallest and largest numbers of 64 bits are allowed.
    """
    is_small = (numbers >= -MAX_NUMBER) & (numbers <= MAX_NUMBER)
    if not (is_small | np.isin(numbers, ENDS)).all():
        raise ValueError("a whole number of the graph is too large")
