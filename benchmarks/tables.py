"""Tables of the rows: a mean over seeds and its spread, for the terminal and as Markdown."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from rich.table import Table

from benchmarks.rows import COSTS, KEY, Row, score_names

COST_TITLES = {"fit_seconds": "fit s", "predict_seconds": "predict s", "peak_mb": "peak MB"}
COUNTS = ("left_out",)  # scores without decimals
SORT_BY = ("owa", "mse", "mase")  # the first of these that a table has


def row_text(row: Row) -> str:
    """One row on one line."""
    key = " ".join(f"{name}={row[name]}" for name in KEY if row[name] is not None)
    names = [name for name in (*score_names(row), *COSTS) if name in row]
    scores = " ".join(f"{name}={_number(row[name], 0 if name in COUNTS else 4)}" for name in names)
    return f"{key}: {scores}"


def grouped(rows: Sequence[Row]) -> Iterator[tuple[str, list[str], list[list[str]]]]:
    """For each data set and horizon a title, the heads of the columns, and a line a method and budget, best first."""
    ordered = sorted(rows, key=lambda row: (row["data"], row["horizon"] or 0))
    for (data, horizon), some in groupby(ordered, key=lambda row: (row["data"], row["horizon"])):
        part = list(some)
        names = score_names(max(part, key=len))  # a peer may have fewer
        runs = [
            list(group)
            for _, group in groupby(sorted(part, key=_method_and_budget), key=_method_and_budget)
        ]
        first = next((name for name in SORT_BY if name in names), names[0])
        runs.sort(key=lambda group: _mean(group, first))
        heads = ["method", "budget s", "seeds", *names, *(COST_TITLES[name] for name in COSTS)]
        title = data if horizon is None else f"{data}, horizon {horizon}"
        yield title, heads, [_line(group, names) for group in runs]


def rich_tables(rows: Sequence[Row]) -> Iterator[Table]:
    """The tables for a terminal."""
    for title, heads, lines in grouped(rows):
        table = Table(title=title, title_justify="left")
        for head in heads:
            table.add_column(head, justify="left" if head == "method" else "right", no_wrap=True)
        for line in lines:
            table.add_row(*line)
        yield table


def markdown(rows: Sequence[Row], machine: Sequence[str]) -> str:
    """The tables as Markdown, under the lines that say where and when they were measured."""
    parts = ["\n".join(f"- {line}" for line in machine)]
    for title, heads, lines in grouped(rows):
        rule = ["---", *["---:"] * (len(heads) - 1)]
        body = "\n".join("| " + " | ".join(cells) + " |" for cells in [heads, rule, *lines])
        parts.append(f"**{title}**\n\n{body}")
    return "\n\n".join(parts) + "\n"


def _line(group: Sequence[Row], names: Sequence[str]) -> list[str]:
    budget = group[0]["budget"]
    cells = [group[0]["method"], "" if budget is None else f"{budget:g}", str(len(group))]
    cells += [_mean_and_spread(group, name) for name in names]
    return [*cells, *(_number(_mean(group, name), 1) for name in COSTS)]


def _mean_and_spread(group: Sequence[Row], name: str) -> str:
    values = [row[name] for row in group if row.get(name) is not None]
    if not values:
        return ""
    mean = _number(sum(values) / len(values), 0 if name in COUNTS else 3)
    return (
        mean
        if len(values) == 1 or name in COUNTS
        else f"{mean} ({_number(max(values) - min(values), 3)})"
    )


def _mean(group: Sequence[Row], name: str) -> float:
    values = [row[name] for row in group if row.get(name) is not None]
    return sum(values) / len(values) if values else float("inf")


def _number(value: Any, digits: int) -> str:
    return "" if value is None or value == float("inf") else f"{value:.{digits}f}"


def _method_and_budget(row: Row) -> tuple[str, float]:
    return row["method"], row["budget"] or 0
