"""What to order of each item: order-up-to levels, safety stocks, quantities, and how long stock lasts.

An item is reviewed every `review` steps, and an order arrives after `lead_time` steps, so that what
is ordered now has to last for the protection period, lead_time + review. The order-up-to level is a
quantile of the demand of that period, or the least stock with which the fill rate is reached (Silver,
Pyke, Thomas 2017, Inventory and Production Management in Supply Chains, chapter 7).
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from forecast.errors import BadData, Setting
from forecast.inference.forecasting import Columns, Forecasts
from forecast.inference.predictor import Predictor
from forecast.metrics.quantiles import normal_deviates, standard_deviation
from forecast.panel.events import cell_texts, refuse_others, side_table
from forecast.panel.panel import Ids, Integers, Numbers, Panel, ids_at, repeated_ids
from forecast.panel.schema import Schema, position_texts, time_columns_at
from forecast.settings import OutputSettings, SumSettings
from forecast.tables.table import Table, require_columns
from forecast.tables.writing import refuse_clash
from forecast.totals.sums import Totals, significant

NEEDED = ("lead_time", "review")
TARGETS = ("service_level", "fill_rate")
STOCK = ("pack", "minimum", "on_hand", "on_order", "lead_time_sd")
ITEM_COLUMNS = (*NEEDED, *TARGETS, *STOCK)
ORDER_COLUMNS = ("protection", "mean", "order_up_to", "safety_stock", "order")
LASTING = {"runs_out_50": 0.5, "runs_out_95": 0.95}
"""Columns of the time at which stock runs out, and the share of cases in which it lasts until then."""
SHAPE = (0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 97.5, 99.0, 99.5)
"""Quantiles in percent that show the distribution of demand, beside those that are asked for."""
FARTHEST = 4.0  # normal deviates to which the outermost quantiles are continued
DRAWS = 2_000  # even shares of a distribution
HALVINGS = 60  # of the range that holds the stock for a fill rate
MOST_STEPS = 1e6


class Items(NamedTuple):
    """Which row of a table of items says how a series is ordered."""

    table: Table
    row: Integers  # [series of the panel], -1 for a series without one
    numbers: dict[str, Numbers]  # [rows] by column of ITEM_COLUMNS, NaN where blank


def read_items(
    source: Any, schema: Schema, panel: Panel, ids: Ids, horizon: int, may_be_gone: bool
) -> Items:
    """Read a table of items.

    Blank or absent ids mean all series that have the others; `ids` are those of the fit. An item
    without a series has no effect if it `may_be_gone`. Raises `BadData` with the place of what
    cannot be used.
    """
    table = side_table(source, "orders")
    if table is None:
        raise BadData("a table of items without rows orders nothing")
    refuse_others(table, schema, ITEM_COLUMNS, "orders")
    require_columns(table, NEEDED)
    numbers = {name: _numbers(table, name) for name in ITEM_COLUMNS}
    _check(table, numbers, horizon)
    blank = [""] * len(table)
    columns = [cell_texts(table, name) if name in table.names else blank for name in schema.ids]
    series_ids = np.array([*panel.ids, *ids])
    row_of = np.full(len(series_ids), -1)
    for row, names in enumerate(zip(*columns, strict=True)):
        matches = (series_ids == names) | (np.array(names) == "")
        is_meant = matches.all(1)
        earlier = row_of[is_meant].max(initial=-1)
        problem = ""
        if not (is_meant.any() or may_be_gone):
            problem = f"there is no series {'/'.join(filter(None, names))}"
        elif earlier >= 0:
            problem = f"{table.line(earlier)} has the same item"
        if problem:
            raise BadData(problem, place=table.place(row), cure="correct or remove the row")
        row_of[is_meant] = row
    return Items(table, row_of[: len(panel)], numbers)


def _numbers(table: Table, name: str) -> Numbers:
    """A column of numbers, [rows]; NaN where blank."""
    if name not in table.names:
        return np.full(len(table), np.nan)
    numbers = []
    for row, text in enumerate(cell_texts(table, name)):
        try:
            number = float(text or "nan")
        except ValueError:
            number = -1.0
        if text and not 0 <= number <= MOST_STEPS**2:
            problem = f"{name} is '{text}', and no number from 0 on"
            raise BadData(problem, place=table.place(row), cure="correct the cell")
        numbers.append(number)
    return np.array(numbers)


def _check(table: Table, numbers: dict[str, Numbers], horizon: int) -> None:
    """Refuse rows that say nothing, or what no forecast answers."""
    lead_time, review = (numbers[name] for name in NEEDED)
    service, fill = (numbers[name] for name in TARGETS)
    asked = np.fmax(service, fill)
    protection = lead_time + review
    problems = {
        "lead_time and review are whole numbers of steps, review from 1 on": ~(
            (review >= 1) & (lead_time % 1 == 0) & (review % 1 == 0)
        ),
        "give a service_level or a fill_rate, one of them": np.isfinite(service)
        == np.isfinite(fill),
        "service_level and fill_rate are percent, 50 to 99.5": ~((asked >= 50) & (asked <= 99.5)),
        "a pack is larger than 0": numbers["pack"] == 0,
    }
    for problem, rows in problems.items():
        if rows.any():
            place = table.place(int(rows.argmax()))
            raise BadData(problem, place=place, cure="correct the row")
    longest = int(protection.argmax())
    if protection[longest] > horizon:
        steps = int(protection[longest])
        problem = f"lead_time and review are {steps} steps, and the horizon has {horizon}"
        cure = f"pass {Setting('horizon', steps)}"
        raise BadData(problem, place=table.place(longest), cure=cure)


@dataclass(frozen=True)
class Demand:
    """The distribution of the demand of items over some time."""

    mean: Numbers  # [items]
    quantiles: Numbers  # [items, levels]
    levels: tuple[float, ...]

    def select(self, items: Integers) -> "Demand":
        return Demand(self.mean[items], self.quantiles[items], self.levels)

    def widen(self, deviation: Numbers) -> "Demand":
        """The same with a further deviation [items], that of a lead time which is not certain.

        The variances add up: that of the demand, and the mean demand of a step squared times the
        variance of the lead time (Silver, Pyke, Thomas 2017, section 7.10).
        """
        own = standard_deviation(self.quantiles, self.levels)[:, None]
        further = deviation[:, None]
        distance = self.quantiles - self.mean[:, None]
        factor = np.sqrt(own**2 + further**2) / np.where(own > 0, own, 1.0)
        normal = further * normal_deviates(self.levels)
        wider = self.mean[:, None] + np.where(own > 0, distance * factor, normal)
        wider = np.where(further > 0, wider, self.quantiles)
        return Demand(self.mean, np.maximum(wider, np.minimum(self.quantiles, 0.0)), self.levels)

    def at(self, level: float) -> Numbers:
        """The quantile at one of the levels, [items]."""
        return np.asarray(self.quantiles[:, self.levels.index(level)])

    def draws(self) -> Numbers:
        """Values that are equally likely, [items, DRAWS]."""
        deviates = normal_deviates(self.levels)
        even = normal_deviates((np.arange(DRAWS) + 0.5) / DRAWS)
        low, high = self.quantiles[:, :2], self.quantiles[:, -2:]
        rise = (low[:, 1] - low[:, 0]) / (deviates[1] - deviates[0])
        first = low[:, 0] - rise * (FARTHEST + deviates[0])
        rise = (high[:, 1] - high[:, 0]) / (deviates[-1] - deviates[-2])
        last = high[:, 1] + rise * (FARTHEST - deviates[-1])
        first = np.maximum(first, np.minimum(low[:, 0], 0.0))
        knots = np.concatenate([first[:, None], self.quantiles, last[:, None]], 1)
        places = np.array([-FARTHEST, *deviates, FARTHEST])
        values = np.stack([np.interp(even, places, own) for own in knots])
        return np.asarray(values, np.float64)


def stock_for_fill_rate(whole: Demand, lead: Demand, fill_rate: Numbers) -> Numbers:
    """The least stock with which a share [items] of the demand of a review period is met, [items].

    What is short at the end of the protection period, less what was short before the last order
    arrived, is lost to that share.
    """
    draws, before = whole.draws(), lead.draws()
    allowed = (1 - fill_rate) * np.maximum(whole.mean - lead.mean, 0.0)
    low = np.zeros(len(draws))
    high = np.maximum(draws.max(1), 0.0)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        stock = middle[:, None]
        short_at_end = np.maximum(draws - stock, 0).mean(1)
        short_before = np.maximum(before - stock, 0).mean(1)
        enough = short_at_end - short_before <= allowed
        low = np.where(enough, low, middle)
        high = np.where(enough, middle, high)
    return np.asarray(high)


def order_columns(
    predictor: Predictor,
    forecasts: Forecasts,
    output: OutputSettings,
    source: Any,
    may_be_gone: bool = False,
) -> Columns:
    """What to order of each item, as columns of ids, time, ORDER_COLUMNS and LASTING.

    The time is the last one of the protection period. All numbers are in units of the target.
    """
    panel = forecasts.panel
    schema = predictor.fitted.schema
    horizon = forecasts.shown.shape[1]
    items = read_items(source, schema, panel, predictor.fitted.ids, horizon, may_be_gone)
    chosen = np.flatnonzero(items.row[forecasts.series] >= 0)
    series = forecasts.series[chosen]
    of_item = {name: numbers[items.row[series]] for name, numbers in items.numbers.items()}
    lead_time, review = (of_item[name].astype(np.int64) for name in NEEDED)
    protection = lead_time + review
    asked = np.fmax(*(of_item[name] for name in TARGETS))
    on_hand = of_item["on_hand"]
    steps = {*lead_time.tolist(), *protection.tolist()} - {0}
    if np.isfinite(on_hand).any():
        steps = set(range(1, horizon + 1))
    demands = _demands(predictor, forecasts, chosen, output, sorted(steps), set(asked.tolist()))

    level = np.zeros(len(series))
    mean = np.zeros(len(series))
    for steps_ahead, wait, target in {
        *zip(protection.tolist(), lead_time.tolist(), asked.tolist(), strict=True)
    }:
        own = np.flatnonzero((protection == steps_ahead) & (lead_time == wait) & (asked == target))
        whole = demands[steps_ahead].select(own)
        spread = np.nan_to_num(of_item["lead_time_sd"][own]) * whole.mean / steps_ahead
        mean[own] = whole.mean
        whole = whole.widen(spread)
        fill = np.isfinite(of_item["fill_rate"][own])
        level[own] = whole.at(target / 100)
        if fill.any():
            none = Demand(np.zeros(len(own)), np.zeros_like(whole.quantiles), whole.levels)
            lead = demands[wait].select(own).widen(spread) if wait else none
            stock = stock_for_fill_rate(whole, lead, of_item["fill_rate"][own] / 100)
            level[own] = np.where(fill, stock, level[own])
    is_whole = panel.is_count()[series] | output.integer
    level = np.where(is_whole, np.round(level), level)
    numbers: dict[str, NDArray[Any]] = {
        "protection": protection,
        "mean": significant(mean),
        "order_up_to": significant(level),
        "safety_stock": significant(level - mean),
        "order": significant(_quantities(level, of_item)),
    }
    for name, share in LASTING.items():
        until = np.full(len(series), horizon + 1)
        for ahead in sorted(demands, reverse=True):
            until = np.where(demands[ahead].at(share) > on_hand, ahead, until)
        texts = position_texts(schema, panel.origins[series] + until)
        known = np.isfinite(on_hand) & (until <= horizon)
        numbers[name] = np.where(known, np.array(texts, object), "")
    refuse_clash(schema.keys, list(numbers), "orders")
    columns: Columns = {**repeated_ids([panel.ids[i] for i in series], schema.ids, 1)}
    columns |= time_columns_at(schema, panel.origins[series] + protection)
    return columns | numbers


def _quantities(level: Numbers, of_item: dict[str, Numbers]) -> Numbers:
    """What to order, [items]: up to the level, at least the minimum, in whole packs."""
    position = np.nan_to_num(of_item["on_hand"]) + np.nan_to_num(of_item["on_order"])
    gap = level - position
    pack = of_item["pack"]
    wanted = np.maximum(gap, np.nan_to_num(of_item["minimum"]))
    packed = np.ceil(wanted / np.where(pack > 0, pack, 1.0) - 1e-9) * pack
    return np.where(gap > 0, np.where(pack > 0, packed, wanted), 0.0)


def _demands(
    predictor: Predictor,
    forecasts: Forecasts,
    chosen: Integers,
    output: OutputSettings,
    steps: list[int],
    asked: set[float],
) -> dict[int, Demand]:
    """The demand of the chosen series over each number of steps ahead."""
    quantiles = tuple(sorted({*SHAPE, *asked}))
    shown = output.model_copy(update={"levels": (), "quantiles": quantiles, "point": "median"})
    settings = SumSettings(sum_every=tuple(f"next {count}" for count in steps))
    totals = Totals(predictor, settings, shown, forecasts.shown.shape[1])
    totals.add(forecasts)
    levels = tuple(shown.columns.values())
    demands = {}
    for count, groups in zip(steps, totals.groups, strict=True):
        numbers = totals.numbers(groups, shown)
        row = {key: number for number, key in enumerate(groups.number_groups())}
        ids = ids_at(forecasts.panel, forecasts.series[chosen])
        rows = np.array([row[key] for key in ids], np.int64)
        own = numbers[rows, 1 : 2 + len(levels)]
        demands[count] = Demand(own[:, 0], own[:, 1:], levels)
    return demands
