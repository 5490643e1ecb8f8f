"""The modules of the package: none imports itself through others, and no function is too long to read at once."""

import ast
import re
import tokenize
from graphlib import TopologicalSorter
from pathlib import Path

import grimp


def test_no_module_imports_itself_through_others() -> None:
    graph = grimp.build_graph("forecast", cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    order = list(TopologicalSorter(imports).static_order())  # raises where there is a circle
    assert order.index("forecast.errors") < order.index("forecast.engine.fit")


def test_no_function_but_a_constructor_has_more_than_eight_parameters_or_45_statements() -> None:
    longer = []
    for path in (Path(__file__).parents[1] / "forecast").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.FunctionDef) or node.name == "__init__":
                continue
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            names = [argument.arg for argument in arguments if argument.arg not in ("self", "cls")]
            statements = sum(isinstance(part, ast.stmt) for part in ast.walk(node)) - 1
            if len(names) > 8 or statements > 45:
                longer.append(f"{path.name}:{node.lineno} {node.name}")
    assert longer == []


def test_names_in_backticks_exist() -> None:
    known = {"delayed", "width_80", "NAME_at"}  # of joblib, and names that are made up
    quoted = set()
    for path in (Path(__file__).parents[1] / "forecast").rglob("*.py"):
        known |= {path.stem, path.parent.name}
        with tokenize.open(path) as file:
            for token in tokenize.generate_tokens(file.readline):
                if token.type == tokenize.NAME:
                    known.add(token.string)
                elif token.type == tokenize.COMMENT or token.string.startswith(('"""', 'r"""')):
                    quoted.update(re.findall(r"(?<!`)`([A-Za-z_][\w.]*)`(?!`)", token.string))
                elif token.type == tokenize.STRING:
                    known.update(re.findall(r"\w+", token.string))
    assert len(quoted) > 100
    assert {name for name in quoted if not known.issuperset(name.split("."))} == set()
