"""Hostile exports: files that are no graph, graphs that lead elsewhere, ask for more, or compute something else."""

import json
import pickle
from collections.abc import Callable, Iterator
from functools import cache
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from workshop.campaigns._stores import Case, Runs, exported_files, signed, write_store

NAME = "network-0.onnx"


def cases() -> Iterator[Case]:
    """Every case, by kind; none where exports cannot be made."""
    if find_spec("onnx") is None or find_spec("onnxruntime") is None:
        return
    for kind in (_no_graphs, _elsewhere, _unknown, _sizes, _others, _names):
        yield from kind()


def _with(data: bytes | Callable[[], bytes]) -> Callable[[Path], object]:
    """A store whose first export is `data`."""
    return lambda place: write_store(
        place, {**exported_files(), NAME: data if isinstance(data, bytes) else data()}
    )


def _changed(change: Callable[[Any], object]) -> Callable[[Path], object]:
    """A store whose first export is changed as a message."""

    def make() -> bytes:
        import onnx

        model = onnx.load_model_from_string(exported_files()[NAME])
        change(model)
        data: bytes = model.SerializeToString()
        return data

    return _with(make)


@cache
def _graph(
    *nodes: tuple[str, tuple[str, ...], tuple[str, ...]], domain: str = "", **attributes: Any
) -> bytes:
    """A graph from `past` to `quantiles` made of nodes: operator, inputs, outputs; the attributes are those of all."""
    from onnx import TensorProto, helper

    made = [
        helper.make_node(name, i, o, domain=domain or None, **attributes) for name, i, o in nodes
    ]
    past = helper.make_tensor_value_info("past", TensorProto.FLOAT, ["windows", None])
    out = helper.make_tensor_value_info("quantiles", TensorProto.FLOAT, None)
    numbers = [_tensor("large", [400_000_000, 400_000_000]), _tensor("many", [1_000_000, 1, 1])]
    graph = helper.make_graph(made, "graph", [past], [out], numbers)
    opsets = [helper.make_opsetid("", 17), *([helper.make_opsetid(domain, 1)] if domain else [])]
    data: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    return data


def _tensor(name: str, values: list[int]) -> Any:
    from onnx import numpy_helper

    return numpy_helper.from_array(np.array(values, np.int64), name)


def _no_graphs() -> Iterator[Case]:
    pickled = pickle.dumps(Runs(__import__("os").system, "true"))
    flat = b"\x10\0\0\0ORTM" + b"\0" * 200  # the runtime's own format
    for name, data in (
        ("nothing", b""),
        ("a pickle", pickled),
        ("JSON", b"{}"),
        ("a runtime's own format", flat),
    ):
        yield Case(f"export: {name}", _with(data))
    yield Case("export: cut off", _with(lambda: exported_files()[NAME][:-100]))
    yield Case("export: groups, which no file has", _with(b"\x0b" * 100_000 + b"\x0c" * 100_000))
    yield Case("export: a number without end", _with(b"\x08" + b"\xff" * 1_000))
    yield Case("export: two graphs", _with(lambda: exported_files()[NAME] * 2))


def _elsewhere() -> Iterator[Case]:
    def external(location: str) -> Callable[[Any], None]:
        def change(model: Any) -> None:
            tensor = model.graph.initializer[0]
            tensor.ClearField("raw_data")
            tensor.data_location = 1
            entry = tensor.external_data.add()
            entry.key, entry.value = "location", location

        return change

    for location in (
        "/etc/passwd",
        "../../../../etc/passwd",
        "MANIFEST.json",
        "weights.safetensors",
    ):
        yield Case(f"export: numbers in {location}", _changed(external(location)))

    def described(model: Any) -> None:
        entry = model.metadata_props.add()
        entry.key, entry.value = "onnx_model_package", "/tmp"

    yield Case("export: metadata", _changed(described))


def _unknown() -> Iterator[Case]:
    one = (("past",), ("quantiles",))
    for name in (
        "PyOp",
        "Loop",
        "Scan",
        "StringNormalizer",
        "RegexFullMatch",
        "EPContext",
        "If",
        "Relu\0",
    ):
        yield Case(f"export: operator {name!r}", _with(lambda name=name: _graph((name, *one))))
    for domain in ("com.microsoft", "ai.onnx.ml", "ai.onnx.contrib", "x" * 1_000):
        yield Case(
            f"export: domain {domain[:20]}",
            _with(lambda domain=domain: _graph(("Relu", *one), domain=domain)),
        )

    def function(model: Any) -> None:
        model.functions.add().name = "Relu"

    def subgraph(model: Any) -> None:
        inner = type(model.graph)()
        inner.CopyFrom(model.graph)
        attribute = model.graph.node[0].attribute.add()
        attribute.name, attribute.type = "body", 5
        attribute.g.CopyFrom(inner)

    def sparse(model: Any) -> None:
        model.graph.sparse_initializer.add().values.name = "x"

    def training(model: Any) -> None:
        model.training_info.add()

    def newest(model: Any) -> None:
        model.opset_import[0].version = 99

    def none(model: Any) -> None:
        model.ClearField("opset_import")

    for change in (function, subgraph, sparse, training, newest, none):
        yield Case(f"export: {change.__name__}", _changed(change))


def _sizes() -> Iterator[Case]:
    def sized(*sizes: int) -> Callable[[Any], None]:
        def change(model: Any) -> None:
            model.graph.initializer[0].ClearField("dims")
            model.graph.initializer[0].dims.extend(sizes)

        return change

    for sizes in ((2**40,), (-1,), (2**62, 4), (0, 2**62), (1,) * 1_000, ()):
        yield Case(f"export: a tensor of size {str(sizes)[:30]}", _changed(sized(*sizes)))

    def kind(model: Any) -> None:
        model.graph.initializer[0].data_type = 8

    yield Case("export: a tensor of texts", _changed(kind))

    def twice(number: int) -> bytes:
        names = ["past", *(f"x{at}" for at in range(number - 1)), "quantiles"]
        return _graph(
            *(("Concat", (before, before), (after,)) for before, after in pairwise(names)), axis=0
        )

    yield Case("export: 40 doublings", _with(lambda: twice(40)))
    yield Case("export: 25,000 nodes", _with(lambda: twice(25_000)))
    large, many = ("large",), ("past", "many")
    yield Case(
        "export: one large array", _with(lambda: _graph(("ConstantOfShape", large, ("quantiles",))))
    )
    yield Case(
        "export: one large repetition",
        _with(lambda: _graph(("Expand", ("past", "large"), ("quantiles",)))),
    )
    yield Case("export: many repetitions", _with(lambda: _graph(("Expand", many, ("quantiles",)))))


def _others() -> Iterator[Case]:
    yield Case(
        "export: what comes in", _with(lambda: _graph(("Identity", ("past",), ("quantiles",))))
    )
    yield Case(
        "export: an input that nobody has",
        _with(lambda: _graph(("Relu", ("secret",), ("quantiles",)))),
    )

    def renamed(model: Any) -> None:
        model.graph.input[0].name = "location of the secret"

    def of_texts(model: Any) -> None:
        model.graph.input[0].type.tensor_type.elem_type = 8

    def two(model: Any) -> None:
        model.graph.output.append(model.graph.output[0])

    def no_outputs(model: Any) -> None:
        model.graph.ClearField("output")

    def not_finite(model: Any) -> None:
        for tensor in model.graph.initializer:
            if tensor.data_type == 1:
                tensor.raw_data = b"\0\0\xc0\x7f" * (len(tensor.raw_data) // 4)

    def shadowed(model: Any) -> None:
        model.graph.initializer.add().CopyFrom(model.graph.initializer[0])
        model.graph.initializer[-1].name = "past"

    def negative(model: Any) -> None:
        for node in model.graph.node:
            if node.op_type == "ConstantOfShape":
                node.attribute[0].t.raw_data = (-1).to_bytes(8, "little", signed=True)

    for change in (shadowed, negative, renamed, of_texts, two, no_outputs, not_finite):
        yield Case(f"export: {change.__name__}", _changed(change))


def _names() -> Iterator[Case]:
    def named(name: str) -> Callable[[Path], object]:
        return lambda place: write_store(place, {**exported_files(), name: exported_files()[NAME]})

    for name in (
        "network-7.onnx",
        "network-00.onnx",
        "network-1000.onnx",
        "network--1.onnx",
        "model.onnx",
        "x.ort",
    ):
        yield Case(f"export: a file {name}", named(name))

    def reasons(value: Any) -> Callable[[Path], object]:
        def write(place: Path) -> None:
            manifest = json.loads(signed(exported_files()))
            write_store(
                place, exported_files(), json.dumps({**manifest, "unexported": value}).encode()
            )

        return write

    for value in (
        {"x": "no"},
        {"-1": "no"},
        {"0": 1},
        {"1": "x" * 10_000},
        ["0"],
    ):
        yield Case(f"export: reasons {str(value)[:20]}", reasons(value))
