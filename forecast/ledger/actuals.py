"""Actual values that came since the last run beside its intervals: how many lie outside, and which series stand out."""

import json
from collections.abc import Mapping, Sequence
from math import floor, log2
from typing import Any

import numpy as np
import pandas as pd

from forecast.ledger.accuracy import actual_values
from forecast.ledger.cells import series_number
from forecast.ledger.ledger import series_text
from forecast.panel.naming import series_name
from forecast.panel.panel import Numbers, Panel
from forecast.panel.schema import Schema, calendar_of, position_texts
from forecast.settings import INTERVALS

MIN_RUNS = 20  # past runs that make a share usual
NAMED, SHOWN = 5, 3  # series that a record names, and a status
BY_CHANCE = 0.05  # expected number of series that are on one side so many runs in a row

Streaks = Mapping[str, float]  # by the ids of series as JSON: runs in a row above the median, or below it if negative


def since(
    last: pd.DataFrame, panel: Panel, schema: Schema, past: Sequence[Mapping[str, Any]]
) -> tuple[dict[str, Any], Streaks]:
    """Compare the forecasts of the last run with actuals; `past` are the `actuals` of the records of runs before."""
    names, code = last["series"].cat.categories, last["series"].cat.codes.to_numpy().astype(np.int64)
    last = last.assign(panel=series_number(last, [series_text(ids) for ids in panel.ids]), code=code)
    actual = actual_values(last, panel, schema)
    before, known = np.zeros(len(names)), np.isfinite(actual)
    before[code] = last["streak"]
    rows = last[known].assign(actual=actual[known])
    streaks = _streaks(rows, before)
    found: dict[str, Any] = {"values": len(rows)}
    for level in INTERVALS:
        key, inside = f"outside_{level:g}", rows["actual"].between(rows[f"lo_{level:g}"], rows[f"hi_{level:g}"])
        shares = [run[key] for run in past if key in run]
        found[key] = round(float(1 - inside.mean()), 6)
        found[f"usual_{level:g}"] = [min(shares), max(shares)] if len(shares) >= MIN_RUNS else None
    found["streak_from"] = (
        floor(log2(max(len(names), 1) / BY_CHANCE)) + 2
    )  # the least number that chance hardly reaches
    order = [i for i in np.argsort(-np.abs(streaks), kind="stable") if abs(streaks[i]) >= found["streak_from"]]
    aside = [{"series": series_name(tuple(json.loads(names[i]))), "runs": int(streaks[i])} for i in order]
    found |= {"farthest": _farthest(rows, panel, schema), "aside": len(aside), "one_side": aside[:NAMED]}
    return found if len(rows) else {}, dict(zip(names, streaks.tolist(), strict=True))


def _streaks(rows: pd.DataFrame, before: Numbers) -> Numbers:
    """[series], for how many runs in a row the values of each lay above (below: negative) the median."""
    open_rows = rows[(rows["hi_80"] > rows["lo_80"]) | (rows["actual"] != rows["forecast"])]  # not of closed days
    above, code = np.sign(open_rows["actual"] - open_rows["forecast"]), open_rows["code"]
    side, count = np.sign(np.bincount(code, above, len(before))), np.bincount(code, minlength=len(before))
    on = np.where(np.sign(before) == side, before + side, side)
    return np.asarray(np.where(count > 0, on, before))


def _farthest(rows: pd.DataFrame, panel: Panel, schema: Schema) -> list[dict[str, Any]]:
    """The series whose values lie farthest outside their 80 % intervals, from the median and in widths of these."""
    width, calendar = rows["hi_80"] - rows["lo_80"], calendar_of(schema)
    rows = rows.assign(widths=(rows["actual"] - rows["forecast"]) / width.where(width > 0)).dropna(subset="widths")
    rows = rows[~rows["actual"].between(rows["lo_80"], rows["hi_80"])]
    rows = rows.sort_values("widths", key=np.abs, ascending=False, kind="stable").drop_duplicates("code")[:NAMED]
    times = position_texts(schema, calendar, calendar.positions(rows["instant"].to_numpy())) if len(rows) else []
    numbers: Any = rows[["actual", "forecast", "lo_80", "hi_80", "widths"]].round(6).to_dict("records")
    names = [{"series": series_name(panel.ids[i]), "time": time} for i, time in zip(rows["panel"], times, strict=True)]
    return [name | number for name, number in zip(names, numbers, strict=True)]


def lines(found: Mapping[str, Any]) -> list[str]:
    """What people read of it: the shares outside, the farthest values, the series on one side."""
    if not found:
        return []
    said = [f"{found['values']:,} new values: {', '.join(_share(found, f'{level:g}') for level in INTERVALS)}"]
    value = "{series} {time}: {actual:.6g}, forecast {forecast:.6g} ({lo_80:.6g} to {hi_80:.6g})"
    if far := "; ".join(value.format_map(each).strip() for each in found["farthest"][:SHOWN]):
        said.append(f"farthest {far}")
    sides = [f"{each['series']} {'above' if each['runs'] > 0 else 'below'}" for each in found["one_side"][:SHOWN]]
    runs = [f"{side} for {abs(each['runs'])} runs" for side, each in zip(sides, found["one_side"], strict=False)]
    more = f", and {found['aside'] - len(runs)} more" if found["aside"] > len(runs) else ""
    return said + ([f"on one side of the median: {', '.join(runs)}{more}"] if runs else [])


def _share(found: Mapping[str, Any], level: str) -> str:
    share, usual = found[f"outside_{level}"], found[f"usual_{level}"]
    text = f"{100 * share:.3g} % outside {level} % intervals"
    if usual is None:
        return text
    more = "more than ever, " if share > usual[1] else ""
    return f"{text} ({more}{100 * usual[0]:.3g} to {100 * usual[1]:.3g} % in past runs)"
