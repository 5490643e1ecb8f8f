"""Exported networks are plain graphs of known operators, and anything else is refused before a runtime reads it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from forecast.artifacts.graph import MAX_NUMBER, OPSET, check_graph

onnx = pytest.importorskip("onnx")
Change = Callable[[Any], object]


def model(operator: str = "Add", opset: int = OPSET, domain: str = "") -> Any:
    """A graph that adds a constant to its input."""
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    node = helper.make_node(operator, ["past", "one"], ["quantiles"])
    ends = [
        helper.make_tensor_value_info(name, kind, ["windows", 2]) for name in ("past", "quantiles")
    ]
    one = onnx.numpy_helper.from_array(np.ones(2, np.float32), "one")
    graph = helper.make_graph([node], "graph", ends[:1], ends[1:], [one])
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid(domain, opset)], ir_version=8
    )


def whole_number(found: Any) -> None:
    found.graph.initializer.append(onnx.numpy_helper.from_array(np.array([MAX_NUMBER + 1]), "size"))


def elsewhere(found: Any) -> None:
    found.graph.initializer[0].external_data.add(key="location", value="/etc/passwd")


def subgraph(found: Any) -> None:
    found.graph.node[0].attribute.append(onnx.helper.make_attribute("body", found.graph))


def test_a_plain_graph_is_accepted() -> None:
    check_graph(model().SerializeToString())


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (model("Loop"), "unknown operator 'Loop'"),
        (model(opset=OPSET + 1), "other operators than those of set 17"),
        (model(domain="com.example"), "other operators than those of set 17"),
    ],
)
def test_other_operators_are_refused(found: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        check_graph(found.SerializeToString())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (elsewhere, "what no export holds: field 13 of a tensor"),
        (subgraph, "what no export holds: field 6 of a attribute"),
        (whole_number, "a whole number of the graph is too large"),
        (
            lambda found: setattr(found.graph.input[0], "name", "one"),
            "an input of the graph has the name of a constant",
        ),
        (
            lambda found: setattr(found.graph.initializer[0], "raw_data", b"\0"),
            "not as large as it says",
        ),
    ],
)
def test_what_an_export_does_not_hold_is_refused(change: Change, reason: str) -> None:
    found = model()
    change(found)
    with pytest.raises(ValueError, match=reason):
        check_graph(found.SerializeToString())
