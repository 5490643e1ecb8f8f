"""The results as rows in one JSON file, which grows by a row at a time and can be continued."""

import json
import math
from pathlib import Path
from typing import Any

from forecast.durable import replace_file

KEY = ("data", "method", "horizon", "budget", "seed")
COSTS = ("fit_seconds", "predict_seconds", "peak_mb")

Row = dict[str, Any]


def key_of(row: Row) -> tuple[Any, ...]:
    """What a row is known by: two rows with the same key are the same run."""
    return tuple(row[name] for name in KEY)


def score_names(row: Row) -> list[str]:
    """The names of a row's scores, in the row's order."""
    return [name for name in row if name not in KEY and name not in COSTS]


def read_rows(path: Path | None) -> list[Row]:
    """The rows of a file; none if there is no file yet.

    Raises
    ------
    ValueError
        If the file is something else than a list of rows.
    """
    if path is None or not path.exists():
        return []
    rows = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(rows, list) or not all(
        isinstance(row, dict) and set(KEY) <= set(row) for row in rows
    ):
        raise ValueError(
            f"{path}: not a list of rows with the keys {', '.join(KEY)}; name another file with --json"
        )
    return rows


def add_row(path: Path | None, rows: list[Row], row: Row) -> None:
    """Append a row and replace the file as a whole, so that a run that is cut loses nothing but its last method."""
    rows.append({name: _plain(value) for name, value in row.items()})
    if path is not None:
        lines = ",\n".join(json.dumps(one, ensure_ascii=False, allow_nan=False) for one in rows)
        replace_file(path, f"[\n{lines}\n]\n".encode())


def _plain(value: Any) -> Any:
    """JSON has no NaN: a score that a method does not have, such as the coverage of no interval, is null."""
    if isinstance(value, float):
        return float(f"{value:.7g}") if math.isfinite(value) else None
    return value
