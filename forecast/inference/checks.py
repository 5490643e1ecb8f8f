"""Refuse a version whose parts contradict each other, or name what does not exist, before anything is built from it."""

import json
from dataclasses import fields
from typing import Any, NamedTuple

import numpy as np

from forecast.artifacts.format import Arrays, check_json
from forecast.baselines.shared.method import baseline_method
from forecast.calendar import patterns
from forecast.ensemble.baseline_forecasts import baseline_labelled
from forecast.ensemble.ensemble import CHOSEN, Ensemble
from forecast.ensemble.names import AUTO, PRETRAINED, is_baseline
from forecast.errors import Unavailable, UsageError
from forecast.events.closed import Closed
from forecast.events.effects import WEEKDAYS, Effects
from forecast.inference.fitted import Config, Filled
from forecast.intervals.calibration import Calibration
from forecast.intervals.joint_errors import JointErrors
from forecast.panel.panel import ALWAYS, SUM, Numbers, Panel, Vintages
from forecast.panel.schema import Schema, calendar_of, position_texts
from forecast.panel.season import most_lookback
from forecast.pretrained.forecasting import Network, load_network
from forecast.registry import has, plugins
from forecast.settings import TrainSettings
from forecast.tables.cells import MAX_VALUE
from forecast.training.plan import MAX_ORIGINS
from forecast.windows.inputs import Statistics

MAX_LEVELS, MAX_LAGS, MAX_SEASON, MAX_EXPONENT = 99, 50, 1_000_000, 4
FARTHEST = {"steps": 2**62, "seconds": 2**38, "months": 120_000, "weekdays": 3_500_000}
"""How far from its anchor a grid may reach: to about the year 10,000."""
MAX_TEXT = 200
TO_DATE, FILLED, VINTAGE = (
    "to_date_",
    "filled_",
    "vintage_",
)  # what arrays of sums to date and the like are called
MAX_LABEL = 2 * MAX_TEXT
TRIAL = np.arange(9.0)[None], np.ones((1, 9), bool), 2, (4,)
"""A window that a pretrained network must be able to forecast: values, observed, horizon, seasons."""
LATER = {
    "mean_share": ("mean", 1.0, 1.0),
    "mean_weight": ("trust", 1.0, 1.0),
    "tied": ("tied", 0.0, 1.0),
    "largest": ("largest", np.inf, np.inf),
}
"""Numbers of a calibration that earlier versions lack: the name in the store, what stands for it there, the most."""
NUMBERS = tuple("YGyqmdHKVjMS")  # directives that write whole numbers
FINITE, POSITIVE = np.finfo(np.float64).max, np.finfo(np.float64).tiny


class Spec(NamedTuple):
    shape: tuple[int, ...]
    kind: type
    least: float = -FINITE
    most: float = FINITE
    gaps: bool = False  # NaN may be among its numbers


def check_arrays(what: str, arrays: Arrays, specs: dict[str, Spec]) -> None:
    """Raise ValueError unless there are just these arrays, as they must be."""
    if arrays.keys() != specs.keys():
        raise ValueError(f"{what} does not hold the arrays that it must")
    for name, (shape, kind, least, most, gaps) in specs.items():
        array = arrays[name]
        if array.shape != shape or array.dtype != kind:
            raise ValueError(
                f"{what} '{name}' is {array.dtype} of shape {array.shape}, not of {shape}"
            )
        inside = (array >= least) & (array <= most)  # NaN never is
        if not (inside | np.isnan(array) if gaps else inside).all():
            raise ValueError(f"{what} '{name}' must hold numbers from {least:.3g} to {most:.3g}")


def check_config(config: Config) -> None:
    """Raise ValueError where the configuration contradicts itself, Unavailable where another package is missing."""
    table, levels = config.table, config.levels
    if len(levels) > MAX_LEVELS or 0.5 not in levels or list(levels) != sorted(set(levels)):
        raise ValueError("quantile levels must ascend, 0.5 among them")
    if len(config.lags) > MAX_LAGS or any(season < 2 for season in table.season):
        raise ValueError(f"there are more than {MAX_LAGS} seasons, or one has a single step")
    covariates = (*table.known, *table.past, *table.static)
    if any(
        len(names) != len({*names})
        for names in ((*table.ids, *table.time), table.series, covariates)
    ):
        raise ValueError("two columns have one name")
    if (table.target is None) == (table.layout == "long") or (
        table.layout != "long" and len(table.ids) != 1
    ):
        raise ValueError(f"a table of layout {table.layout} has other ids, or another target")
    if not {*table.categories, *table.categorical} <= {*covariates}:
        raise ValueError("categories must be those of covariates")
    if any(
        (event.ids and len(event.ids) != len(table.ids)) or event.last < event.day
        for event in table.dated_events
    ):
        raise ValueError("an event names other series, or ends before it starts")
    texts = (
        table.holidays,
        table.time_format.pattern,
        table.freq,
        *table.reading.model_dump().values(),
    )
    if any(
        len(str(text or "")) > MAX_TEXT
        for text in (*texts, *config.packages, *config.packages.values())
    ):
        raise ValueError(
            "holidays, frequency, pattern of times, packages or settings of reading are too long"
        )
    for name, package in config.packages.items():
        if name not in plugins() or plugins()[name].package.split(" ")[0] != package.split(" ")[0]:
            problem = f"this forecaster has the model '{name}' of the package {package}, which is not installed"
            raise Unavailable(problem, cure="install that package")
    if (config.reconciles and not config.sums) or any(
        not {*level} < {*table.ids} for level in config.sums
    ):
        raise ValueError("sums must be over some of the id columns")
    _check_time_columns(table)
    if config.scores and CHOSEN not in config.scores:
        raise ValueError(f"the scores lack '{CHOSEN}'")
    model = TrainSettings.check(config.settings).model
    named = {member.model for member in config.plan.members}
    if model != AUTO and not is_baseline(model):
        named.add(model)
    unknown = [name for name in sorted(named) if not has("models", name)]
    if unknown:
        raise ValueError(f"there is no model '{unknown[0][:80]}'")
    groups, count = config.plan.groups(), len(config.networks)
    if list(config.networks) != sorted(set(config.networks)) or any(
        group >= len(groups) for group in config.networks
    ):
        raise ValueError("networks must be groups of the plan's members, each once")
    if list(config.components[:count]) != [
        config.plan.members[groups[group][0]].model for group in config.networks
    ]:
        raise ValueError("the first components must be the networks")
    for label in config.components[count:]:
        baseline_labelled(label, config.lags)


def _check_time_columns(table: Schema) -> None:
    """Raise ValueError where times in several columns are not written by patterns, one for each."""
    form, count = table.time_format, len(table.time)
    if (form.kind == "years") != (form.years is not None):
        raise ValueError("decimal years are not written in a way that is known")
    if (len(form.parts), len(form.kinds)) != ((0, 0) if count == 1 else (count, count)):
        raise ValueError("times in several columns need a pattern and a type for each")
    for part, kind in zip(form.parts, form.kinds, strict=True):
        try:
            tokens = patterns.tokens(part[: MAX_TEXT + 1])
        except UsageError as error:
            raise ValueError(str(error)) from None
        bare = len(tokens) == 1 and tokens[0][1] in NUMBERS
        dated = part in ("%Y-%m-%d", "%Y-%m-%d %H:%M:%S")
        if (
            len(part) > MAX_TEXT
            or (kind == "number" and not bare)
            or (kind == "datetime" and not dated)
        ):
            raise ValueError("the parts of times are written in no pattern")


def read_statistics(value: Any, config: Config) -> Statistics:
    """Statistics of the covariates, one for each."""
    statistics = Statistics.model_validate(value)
    for kind in ("known", "past", "static"):
        pairs = getattr(statistics, kind)
        sound = all(deviation > 0 and abs(mean) <= MAX_VALUE for mean, deviation in pairs)
        if len(pairs) != len(getattr(config.table, kind)) or not sound:
            raise ValueError("statistics must be one for each covariate, their deviations above 0")
    return statistics


def read_by_series(values: Any, count: int) -> Numbers:
    """One number, not below 0, for each series; NaN for None."""
    if (
        type(values) is not list
        or len(values) != count
        or any(type(v) not in (float, int, type(None)) for v in values)
    ):
        raise ValueError("levels and seasonal errors must be one number for each series")
    numbers = np.array(values, np.float64)
    if (numbers < 0).any():
        raise ValueError("levels and seasonal errors cannot lie below 0")
    return numbers


def read_effects(lists: Any, count: int) -> Effects:
    labels, exponent = lists["labels"], lists["exponent"]
    if (
        type(labels) is not list
        or len(set(labels)) != len(labels)
        or not all(map(_is_label, labels))
    ):
        raise ValueError("the labels of events must be texts, each once")
    if type(exponent) is not int or abs(exponent) > MAX_EXPONENT:
        raise ValueError(f"the exponent of events must be from {-MAX_EXPONENT} to {MAX_EXPONENT}")
    events, number, size = len(labels), np.float64, (-MAX_VALUE, MAX_VALUE)
    specs = {
        "days": Spec((events,), np.int64, 0, MAX_VALUE),
        "effect": Spec((2, events, 1 + WEEKDAYS), number, *size),
        "typical": Spec((2, events), number, *size),
        "profile": Spec((count + 1, WEEKDAYS), number, POSITIVE, MAX_VALUE),
        "unit": Spec((count + 1,), number, 0, MAX_VALUE),
        "reaction": Spec((count + 1,), number, *size),
    }
    arrays = _as_arrays("the effects of events", lists, specs, "labels", "exponent")
    return Effects(labels=tuple(labels), exponent=exponent, **arrays)


def read_closed(lists: Any, count: int) -> Closed:
    """Positions of a season at which some of `count` series have one value."""
    whole, shape = np.int64, (len(lists["value"]),)
    specs = {
        "series": Spec(shape, whole, 0, count - 1),
        "season": Spec(shape, whole, 1, MAX_SEASON),
        "phase": Spec(shape, whole, 0, MAX_SEASON),
        "value": Spec(shape, np.float64, -MAX_VALUE, MAX_VALUE),
    }
    arrays = _as_arrays("the closed positions", lists, specs, "opened")
    if (
        (np.diff(arrays["series"]) < 0).any()
        or (arrays["phase"] >= arrays["season"]).any()
        or shape == (0,)
    ):
        raise ValueError("the closed positions contradict each other")
    opened = tuple((number, label) for number, label in lists["opened"])
    if any(
        type(number) is not int or not 0 <= number < shape[0] or not _is_label(label)
        for number, label in opened
    ):
        raise ValueError("an event opens no closed position")
    return Closed(**arrays, opened=opened)


def _as_arrays(
    what: str, lists: dict[str, Any], specs: dict[str, Spec], *others: str
) -> dict[str, Any]:
    """The lists of JSON as the arrays that they must be; `others` are no arrays."""
    if lists.keys() != {*specs, *others}:
        raise ValueError(f"{what} do not hold what they must")
    arrays: dict[str, Any] = {}
    for name, spec in specs.items():
        arrays[name] = np.array(lists[name], spec.kind).reshape(spec.shape)
        if (
            spec.kind is np.int64
            and (arrays[name] != np.array(lists[name], np.float64).reshape(spec.shape)).any()
        ):
            raise ValueError(f"{what} have a '{name}' that is not whole")
    check_arrays(what, arrays, specs)
    return arrays


def _is_label(label: Any) -> bool:
    return type(label) is str and len(label) <= MAX_LABEL


def read_ensemble(arrays: Arrays, config: Config, count: int, pretrained: bytes | None) -> Ensemble:
    """What forecasts `count` series, and what calibration adds; `pretrained` is the file of that network."""
    earlier = {name: np.full(1, number, np.float32) for name, number, _ in LATER.values()}
    components, horizon, levels = len(config.components), config.horizon, len(config.levels)
    earlier |= {"roughness": np.zeros(2, np.float32), "growth": np.zeros(count + 1, np.float32)}
    earlier["step_shares"] = np.zeros(components, np.float32)
    arrays = {**earlier, "relative": np.zeros((horizon, levels), np.float32), **arrays}
    arrays.pop("joint", None)  # factors of whole paths, which older versions hold
    specs = {
        "shares": Spec((count + 1, components), np.float32, 0),
        "errors": Spec((components, horizon, levels), np.float32),
        "step_shares": Spec((components,), np.float32, 0, 1),
        "margins": Spec((horizon, levels), np.float32),
        "coverage": Spec((levels,), np.float32),
        "relative": Spec((horizon, levels), np.float32),
        "windows": Spec((1,), np.int64, 0),
        "roughness": Spec((2,), np.float32),
        "growth": Spec((count + 1,), np.float32),
        **{name: Spec((1,), np.float32, 0, most) for name, _, most in LATER.values()},
    }
    check_arrays("calibration", arrays, specs)
    slope, roughness = arrays["roughness"].tolist()
    if not 0 <= slope <= 1 or not np.allclose(
        arrays["shares"].sum(1, dtype=np.float64), 1, atol=1e-5
    ):
        raise ValueError(
            "the weights of each series must add up to 1, and the slope of roughness lie from 0 to 1"
        )
    parts: dict[str, Any] = {
        attribute: float(arrays[name][0]) for attribute, (name, *_) in LATER.items()
    }
    parts |= {name: arrays[name] for name in ("margins", "coverage", "relative", "growth")}
    calibration = Calibration(
        **parts, windows=int(arrays["windows"][0]), slope=slope, mean_roughness=roughness
    )
    return Ensemble(
        components=config.components,
        networks=config.networks,
        weights=arrays["shares"],
        errors=arrays["errors"],
        step_shares=arrays["step_shares"],
        calibration=calibration,
        lookback=config.lookback,
        context_length=config.context_length,
        scores=config.scores,
        network=_read_network(pretrained, config),
    )


def read_sums(
    arrays: Arrays, config: Config, count: int
) -> tuple[JointErrors | None, dict[int, Numbers], Filled | None]:
    """What sums of the forecasts of `count` series need, which is taken out of `arrays`; older versions lack it."""
    found = {
        name: arrays.pop(name)
        for name in list(arrays)
        if name.startswith((TO_DATE, FILLED, "joint_"))
    }
    if not found:
        return None, {}, None
    steps = {name: int(name.removeprefix(TO_DATE)) for name in found if name.startswith(TO_DATE)}
    windows, missing = found["joint_errors"].shape[0], len(found.get("filled_series", ()))
    specs = {
        "joint_errors": Spec((windows, count, config.horizon), np.uint8),
        "joint_stride": Spec((1,), np.int64, 1),
        **{name: Spec((count,), np.float64) for name in steps},
    }
    if steps:
        specs["filled_series"] = Spec((missing,), np.int64, 0, count - 1)
        specs["filled_age"] = Spec((missing,), np.int64, 0, max(steps.values()))
        specs["filled_step"] = Spec((missing,), np.int64, 0, config.horizon - 1)
        specs["filled_quantiles"] = Spec((missing, len(config.levels)), np.float64)
    check_arrays("sums", found, specs)
    if windows > MAX_ORIGINS:
        raise ValueError(f"sums rest on at most {MAX_ORIGINS} origins")
    joint = JointErrors(found["joint_errors"], int(found["joint_stride"][0]))
    filled = (
        Filled(**{each.name: found[FILLED + each.name] for each in fields(Filled)})
        if steps
        else None
    )
    return joint, {number: found[name] for name, number in steps.items()}, filled


def _read_network(pretrained: bytes | None, config: Config) -> Network | None:
    if (PRETRAINED in config.components[len(config.networks) :]) != (pretrained is not None):
        raise ValueError("a pretrained network must be there where it forecasts, and nowhere else")
    if pretrained is None:
        return None
    network, quantiles = load_network(pretrained), baseline_method(PRETRAINED).quantiles
    if quantiles is None or not np.isfinite(quantiles(network, *TRIAL, config.levels)).all():
        raise ValueError("the pretrained network does not forecast")
    return network


def read_history(arrays: Arrays, config: Config) -> Panel:
    ids, status = json.loads(arrays["ids"].tobytes().decode())
    check_json([ids, status])
    names, parts = tuple(map(tuple, ids)), len(config.table.ids)
    if not names or any(
        len(name) != parts or any(type(part) is not str for part in name) for name in names
    ):
        raise ValueError("each series must have an id, a text for each id column")
    if (
        len({*names}) != len(names)
        or len(status) != len(names)
        or any(type(word) is not str for word in status)
    ):
        raise ValueError("each series must have an id of its own, and a status")
    if (SUM in status) != bool(config.sums) or set(status) == {SUM}:
        raise ValueError("series must be sums where the forecaster has some")
    by_name: dict[str, Any] = {name: array for name, array in arrays.items() if name != "ids"}
    vintages = {name: by_name.pop(name) for name in list(by_name) if name.startswith(VINTAGE)}
    _check_history(by_name, config, len(names))
    by_name["vintages"] = (
        _read_vintages(vintages, config, len(by_name["values"])) if vintages else None
    )
    panel = Panel(ids=names, ahead=config.horizon, status=tuple(status), **by_name)
    longest = int(panel.lengths.max())
    lookbacks = [
        config.lookback,
        *(member.lookback for group in config.members() for member in group),
    ]
    # a forecast costs by how far it looks back, whatever the history holds
    if config.context_length > longest or max(lookbacks) > most_lookback(longest):
        raise ValueError(f"a forecast cannot look back so far over series of {longest} steps")
    _check_times(panel, config)
    return panel


def _read_vintages(arrays: Arrays, config: Config, slots: int) -> Vintages:
    """Vintages of the known columns of the history, in order."""
    count, columns, whole = arrays[f"{VINTAGE}slot"].shape, len(config.table.known), np.int64
    specs = {
        "slot": Spec(count, whole, 0, slots - 1),
        "column": Spec(count, whole, 0, columns - 1),
        "available": Spec(count, whole, ALWAYS, -ALWAYS),
        "value": Spec(count, np.float64, -MAX_VALUE, MAX_VALUE),
    }
    check_arrays("vintages", arrays, {VINTAGE + name: spec for name, spec in specs.items()})
    found = Vintages(**{name: arrays[VINTAGE + name] for name in specs})
    for at, name in enumerate(config.table.known):
        codes = np.arange(len(config.table.categories.get(name, ())) + 1)
        if (
            name in config.table.categories
            and not np.isin(found.value[found.column == at], codes).all()
        ):
            raise ValueError(f"vintages of column '{name[:80]}' hold codes of no category")
    return found


def _check_history(arrays: Arrays, config: Config, count: int) -> None:
    """Raise ValueError where the arrays of the panel are not those of `count` series."""
    table, offsets, slots = config.table, arrays["offsets"], len(arrays["values"])
    floats, whole, size = np.float64, np.int64, (-MAX_VALUE, MAX_VALUE)
    specs = {
        "order": Spec((count,), whole),
        "starts": Spec((count,), whole),
        "offsets": Spec(
            (count + 1,), whole, 0, slots
        ),  # the difference of two that lie far apart would wrap around
        "values": Spec((slots,), floats, *size),
        "observed": Spec((slots,), np.bool_),
        "spread": Spec((slots,), np.float32, 0, MAX_VALUE),
        "lowest": Spec((count,), floats, -np.inf, np.inf),
        **(
            {"counted": Spec((count,), np.bool_)} if "counted" in arrays else {}
        ),  # versions of before lack it
        "known": Spec((slots, len(table.known)), floats, *size, gaps=True),
        "past": Spec((slots, len(table.past)), floats, *size, gaps=True),
        "static": Spec((count, len(table.static)), floats, *size, gaps=True),
    }
    check_arrays("history", arrays, specs)
    if (offsets[0], offsets[-1]) != (0, slots) or (np.diff(offsets) <= config.horizon).any():
        raise ValueError(
            "history offsets must rise from 0 to the number of slots by more than the horizon"
        )
    if sorted(arrays["order"].tolist()) != list(range(count)):
        raise ValueError("history order must name each series once")
    for part, names in (("known", table.known), ("past", table.past), ("static", table.static)):
        for at, name in enumerate(names):
            codes = arrays[part][:, at][~np.isnan(arrays[part][:, at])]
            categories = table.categories.get(name)
            if categories is not None and not np.isin(codes, np.arange(len(categories) + 1)).all():
                raise ValueError(f"history of column '{name[:80]}' holds codes of no category")


def _check_times(panel: Panel, config: Config) -> None:
    """The first and the last time must exist and be written; all series end at one, unless times are steps."""
    spec = config.table.calendar
    first, last = int(panel.starts.min()), int(panel.origins.max()) + panel.ahead
    if spec.kind != "steps" and (panel.origins != panel.origins[0]).any():
        raise ValueError("the series must end at one time")
    ends = [
        position if spec.kind == "weekdays" else spec.anchor + position * spec.every
        for position in (first, last)
    ]
    if (
        any(abs(position) > FARTHEST[spec.kind] for position in (*ends, first, last))
        or last < first
    ):
        raise ValueError("the history lies at no time")
    days = sorted({*spec.weekdays} & {*range(7)})
    if spec.kind == "weekdays" and not (days and list(spec.weekdays) == days):
        raise ValueError("the days of the week are no days")
    position_texts(config.table, calendar_of(config.table), np.array([first, last]))
