"""Refuse a version whose parts contradict each other, or name something that does not exist."""

from typing import Any

import numpy as np

from forecast.ensemble.baseline_forecasts import find_baseline
from forecast.ensemble.ensemble import CHOSEN
from forecast.ensemble.names import AUTO, is_baseline
from forecast.errors import Unavailable
from forecast.events.closed import Closed
from forecast.events.columns import ColumnEffects
from forecast.events.effects import Effects
from forecast.inference.fitted import Config
from forecast.panel.panel import SUM, Ids, Integers, Numbers, Panel
from forecast.panel.schema import Schema, position_texts
from forecast.panel.season import most_lookback
from forecast.registry import has, plugins
from forecast.settings import TrainSettings
from forecast.tables.cells import MAX_VALUE
from forecast.windows.inputs import Statistics

MAX_TEXT = 200  # most characters of a pattern, a frequency or a package name
MAX_LABEL = 2 * MAX_TEXT  # most characters of the label of an event
MAX_EXPONENT = 4
# how far from its anchor a grid may reach: to about the year 10,000
FARTHEST_POSITIONS = {"steps": 2**62, "seconds": 2**38, "months": 120_000, "weekdays": 3_500_000}


def check_config(config: Config) -> None:
    """Raise `ValueError` for contradictions, and `Unavailable` if a package is missing."""
    levels = list(config.levels)
    if 0.5 not in levels or levels != sorted(set(levels)):
        raise ValueError("quantile levels must ascend, 0.5 among them")
    _check_columns(config.table)
    _check_texts(config)
    _check_packages(config.packages)
    _check_sums(config)
    _check_models(config)


def _check_columns(table: Schema) -> None:
    covariates = (*table.known, *table.past, *table.static)
    for names in (table.keys, table.series, covariates):
        if len(names) != len(set(names)):
            raise ValueError("two columns have one name")
    is_long = table.layout == "long"
    has_target = table.target is not None
    if is_long != has_target or not (is_long or len(table.ids) == 1):
        raise ValueError(f"a table of layout {table.layout} has other ids, or another target")
    if not {*table.categories, *table.categorical} <= {*covariates}:
        raise ValueError("categories must be those of covariates")
    if any(text[-2:] not in (":-", ":+") for text in table.monotone):
        raise ValueError("a sign must be - or +")
    if not {*table.signs} <= {*table.known} - {*table.categories}:
        raise ValueError("a column whose effect has a sign must be known in advance")
    if any(season < 2 for season in table.season):
        raise ValueError("a season has a single step")
    for event in table.dated_events:
        if event.last < event.day or len(event.ids) not in (0, len(table.ids)):
            raise ValueError("an event names other series, or ends before it starts")


def _check_texts(config: Config) -> None:
    table = config.table
    texts = [table.holidays, table.freq, table.time_format.pattern]
    texts += [*config.packages, *config.packages.values()]
    texts += table.reading.model_dump().values()
    if any(len(str(text)) > MAX_TEXT for text in texts):
        raise ValueError("a frequency, pattern, package or setting of reading is too long")


def _check_packages(packages: dict[str, str]) -> None:
    """Check that the packages of models from other packages are installed, in any version."""
    for model, package in packages.items():
        name, _, _ = package.partition(" ")
        if model not in plugins() or plugins()[model].package.partition(" ")[0] != name:
            problem = f"this forecaster has the model '{model}' of the package {package}"
            raise Unavailable(f"{problem}, which is not installed", cure="install that package")


def _check_sums(config: Config) -> None:
    if config.reconciles and not config.sums:
        raise ValueError("there are no sums that forecasts agree with")
    if not all({*columns} < {*config.table.ids} for columns in config.sums):
        raise ValueError("sums must be over some of the id columns")


def _check_models(config: Config) -> None:
    """Check that components are networks of the plan, then baselines, and that all exist."""
    if config.scores and CHOSEN not in config.scores:
        raise ValueError(f"the scores lack '{CHOSEN}'")
    models = [member.model for member in config.plan.members]
    model = TrainSettings.check(config.settings).model
    if model != AUTO and not is_baseline(model):
        models.append(model)
    for name in models:
        if not has("models", name):
            raise ValueError(f"there is no model '{name[:80]}'")

    networks = list(config.networks)
    groups = len(config.plan.groups())
    if networks != sorted(set(networks)) or max(networks, default=-1) >= groups:
        raise ValueError("networks must be groups of the plan's members, each once")
    names = [members[0].model for members in config.members()]
    if names != list(config.components[: len(names)]):
        raise ValueError("the first components must be the networks")
    for label in config.baselines:
        find_baseline(label, config.lags)


def check_statistics(statistics: Statistics, config: Config) -> None:
    """Check that each covariate has one mean and one standard deviation."""
    for kind in ("known", "past", "static"):
        pairs = getattr(statistics, kind)
        if len(pairs) != len(getattr(config.table, kind)):
            raise ValueError("statistics must be one for each covariate")
        if not all(deviation > 0 and abs(mean) <= MAX_VALUE for mean, deviation in pairs):
            raise ValueError("deviations of covariates must lie above 0, and means within bounds")


def check_effects(effects: Effects) -> None:
    is_unique = len(set(effects.labels)) == len(effects.labels)
    if not is_unique or not all(map(_is_label, effects.labels)):
        raise ValueError("the labels of events must be texts, each once")
    if type(effects.exponent) is not int or abs(effects.exponent) > MAX_EXPONENT:
        raise ValueError(f"the exponent of events must be from {-MAX_EXPONENT} to {MAX_EXPONENT}")


def check_column_effects(effects: ColumnEffects) -> None:
    if type(effects.multiplies) is not bool or type(effects.season) is not int:
        raise ValueError("the effects of columns are described by wrong types")
    if effects.season < 1 or effects.weights.shape[1] != effects.width:
        raise ValueError("the effects of columns do not have a coefficient for each term")
    if type(effects.year) is not float or not 0 <= effects.year <= MAX_VALUE:
        raise ValueError("a year must have steps")


def check_closures(closed: Closed) -> None:
    ascending = (np.diff(closed.series) >= 0).all()
    if not len(closed) or not ascending or (closed.phase >= closed.season).any():
        raise ValueError("the closed positions contradict each other")
    for position, label in closed.opened:
        inside = type(position) is int and position in range(len(closed))
        if not inside or not _is_label(label):
            raise ValueError("an event opens no closed position")


def _is_label(label: Any) -> bool:
    return type(label) is str and len(label) <= MAX_LABEL


def check_ids(ids: Ids, status: Any, regions: Any, config: Config) -> None:
    """Check that each series has ids, which are texts, and a status."""
    id_columns = len(config.table.ids)
    texts = [*status, *regions, *(part for series in ids for part in series)]
    if not ids or any(len(series) != id_columns for series in ids):
        raise ValueError("each series must have an id for each id column")
    counts = {len(set(ids)), len(status), len(regions or ids)}
    if counts != {len(ids)}:
        raise ValueError(
            "each series must have an id of its own, a status, and a region if any has one"
        )
    if not all(type(text) is str for text in texts):
        raise ValueError("ids and statuses must be texts")
    if (SUM in status) != bool(config.sums) or set(status) == {SUM}:
        raise ValueError("series must be sums where the forecaster has some")


def check_offsets(offsets: Integers, slots: int, horizon: int) -> None:
    rises = (np.diff(offsets) > horizon).all()
    if offsets[0] != 0 or offsets[-1] != slots or not rises:
        raise ValueError(
            "history offsets must rise from 0 to the number of slots by more than the horizon"
        )


def check_history(panel: Panel, config: Config) -> None:
    """Check that the order names each series, codes are those of categories, and times exist."""
    table = config.table
    if len(set(panel.order.tolist())) != len(panel):
        raise ValueError("history order must name each series once")
    for kind in ("known", "past", "static"):
        for number, name in enumerate(getattr(table, kind)):
            _check_codes(table, name, getattr(panel, kind)[:, number])
    if panel.vintages is not None:
        for number, name in enumerate(table.known):
            values = panel.vintages.value[panel.vintages.column == number]
            _check_codes(table, name, values)

    longest = panel.longest
    lookbacks = [config.lookback, *(member.lookback for member in config.network_members)]
    # the cost of a forecast grows with how far it looks back, whatever the history holds
    if config.context_length > longest or max(lookbacks) > most_lookback(longest):
        raise ValueError(f"a forecast cannot look back so far over series of {longest} steps")
    _check_times(panel, config)


def _check_codes(table: Schema, column: str, values: Numbers) -> None:
    if column in table.categories:
        codes = np.arange(len(table.categories[column]) + 1)
        present = values[~np.isnan(values)]
        if not np.isin(present, codes).all():
            raise ValueError(f"column '{column[:80]}' of the history holds codes of no category")


def _check_times(panel: Panel, config: Config) -> None:
    """Check that the first and last time can be written, and that dated series end together."""
    spec = config.table.calendar
    if spec.kind != "steps" and (panel.origins != panel.origins[0]).any():
        raise ValueError("the series must end at one time")
    if spec.kind == "weekdays":
        days = list(spec.weekdays)
        if not days or days != sorted({*days} & {*range(7)}):
            raise ValueError("the days of the week are no days")

    first = int(panel.starts.min())
    last = panel.origin + panel.ahead
    ends = [first, last]
    if spec.kind != "weekdays":
        ends += [spec.anchor + first * spec.every, spec.anchor + last * spec.every]
    if last < first or max(map(abs, ends)) > FARTHEST_POSITIONS[spec.kind]:
        raise ValueError("the history lies at no time")
    position_texts(config.table, np.array([first, last]))
