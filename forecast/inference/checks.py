"""Refuse a version whose parts contradict each other, or name what does not exist, before anything is built from it."""

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.artifacts.format import Arrays
from forecast.artifacts.plain import check_plain
from forecast.baselines import baseline_method
from forecast.calendar import patterns
from forecast.ensemble.baseline_forecasts import baseline_labelled
from forecast.ensemble.calibration import Calibration
from forecast.ensemble.ensemble import CHOSEN, Ensemble
from forecast.ensemble.names import AUTO, PRETRAINED, is_baseline
from forecast.errors import UsageError
from forecast.events.closed import Closed
from forecast.events.effects import WEEKDAYS, Effects
from forecast.inference.fitted import Config
from forecast.models import model_names
from forecast.panel.lookback import most_lookback
from forecast.panel.panel import Numbers, Panel
from forecast.panel.schema import Schema, calendar_of, position_texts
from forecast.pretrained.forecasting import Network, load_network
from forecast.settings import TrainSettings
from forecast.tables.cells import LARGEST
from forecast.windows.covariates import Statistics

MAX_LEVELS, MAX_LAGS, MAX_SEASON = 99, 50, 1_000_000
FARTHEST = {"steps": 2**62, "seconds": 2**38, "months": 120_000, "weekdays": 3_500_000}
"""How far from its anchor a grid may reach: to about the year 10,000."""
MAX_TEXT = 200
TRIAL = np.arange(9.0)[None], np.ones((1, 9), bool), 2, (4,)
"""A window that a pretrained network must be able to forecast: values, observed, horizon, seasons."""
MAX_LABEL = 2 * MAX_TEXT
LATER = {"mean": (1.0, 1.0), "trust": (1.0, 1.0), "tied": (0.0, 1.0), "largest": (np.inf, np.inf)}
"""Numbers that the calibration of earlier versions lacks: what stands for each, and the most it can be."""
MAX_EXPONENT = 4
Shapes = dict[str, tuple[tuple[int, ...], type]]
"""The shape and the type of each array, by name."""
NUMBERS = tuple("YGyqmdHKVjMS")  # directives that write whole numbers


def check_arrays(what: str, arrays: Arrays, shapes: Shapes) -> None:
    """Raise ValueError unless there are just these arrays, of these shapes and types, finite where they are float32."""
    if arrays.keys() != shapes.keys():
        raise ValueError(f"{what} does not hold the arrays that it must")
    for name, (shape, kind) in shapes.items():
        array = arrays[name]
        if array.shape != shape or array.dtype != kind:
            raise ValueError(f"{what} '{name}' is {array.dtype} of shape {array.shape}, not of {shape}")
        if kind is np.float32 and not np.isfinite(array).all():
            raise ValueError(f"{what} '{name}' must be finite numbers")


def check_config(config: Config) -> None:
    """Raise ValueError where the configuration contradicts itself."""
    table, levels = config.table, config.levels
    if len(levels) > MAX_LEVELS or 0.5 not in levels or list(levels) != sorted(set(levels)):
        raise ValueError("quantile levels must ascend, 0.5 among them")
    if len(config.lags) > MAX_LAGS:
        raise ValueError(f"{len(config.lags)} seasons are more than {MAX_LAGS}")
    for names in ((*table.ids, *table.time), table.series, (*table.known, *table.past, *table.static)):
        if len(names) != len(set(names)):
            raise ValueError("two columns have one name")
    if (table.target is None) == (table.layout == "long") or (table.layout != "long" and len(table.ids) != 1):
        raise ValueError(f"a table of layout {table.layout} has other ids, or another target")
    if not {*table.categories, *table.categorical} <= {*table.known, *table.past, *table.static}:
        raise ValueError("categories must be those of covariates")
    if any(event.ids and len(event.ids) != len(table.ids) for event in table.dated_events):
        raise ValueError("an event names other series")
    if any(season < 2 for season in table.season):
        raise ValueError("a season has 2 steps at least")
    texts = (table.holidays, table.time_format.pattern, table.freq)
    if max(len(text or "") for text in texts) > MAX_TEXT:
        raise ValueError("the holidays are those of no country, or the frequency or pattern of times is none")
    if any(len(text or "") > MAX_TEXT for text in table.reading.model_dump().values()):
        raise ValueError("the settings of reading are longer than any can be")
    _check_time_columns(table)
    if config.scores and CHOSEN not in config.scores:
        raise ValueError(f"the scores lack '{CHOSEN}'")
    _check_components(config)


def _check_time_columns(table: Schema) -> None:
    """Raise ValueError where times in several columns are not written by patterns, one for each."""
    parts, count = table.time_format.parts, len(table.time)
    if (table.time_format.kind == "years") != (table.time_format.years is not None):
        raise ValueError("decimal years are not written in a way that is known")
    if (len(parts), len(table.time_format.kinds)) != ((0, 0) if count == 1 else (count, count)):
        raise ValueError("times in several columns need a pattern and a type for each")
    try:
        parts_tokens = [patterns.tokens(part[: MAX_TEXT + 1]) for part in parts]
    except UsageError as error:
        raise ValueError(str(error)) from None
    for part, kind, tokens in zip(parts, table.time_format.kinds, parts_tokens, strict=True):
        bare = len(tokens) == 1 and tokens[0][1] in NUMBERS
        dated = part in ("%Y-%m-%d", "%Y-%m-%d %H:%M:%S")
        if len(part) > MAX_TEXT or (kind == "number" and not bare) or (kind == "datetime" and not dated):
            raise ValueError("the parts of times are written in no pattern")


def check_settings(settings: TrainSettings) -> None:
    """Raise ValueError where the settings of training name a model that does not exist."""
    if settings.model not in (AUTO, *model_names()) and not is_baseline(settings.model):
        raise ValueError(f"there is no model '{settings.model[:80]}'")


def _check_components(config: Config) -> None:
    unknown = {member.model for member in config.plan.members} - set(model_names())
    if unknown:
        raise ValueError(f"there is no model '{min(unknown)[:80]}'")
    groups, count = config.plan.groups(), len(config.networks)
    if list(config.networks) != sorted(set(config.networks)) or any(group >= len(groups) for group in config.networks):
        raise ValueError("networks must be groups of the plan's members, each once")
    models = [config.plan.members[groups[group][0]].model for group in config.networks]
    if list(config.components[:count]) != models:
        raise ValueError("the first components must be the networks")
    for label in config.components[count:]:
        baseline_labelled(label, config.lags)


def read_statistics(value: Any, config: Config) -> Statistics:
    """Statistics of the covariates, one for each, as float32 can hold them."""
    statistics = Statistics.model_validate(value)
    table = config.table
    for kind in ("known", "past", "static"):
        given, names = getattr(statistics, kind), getattr(table, kind)
        with np.errstate(over="ignore", under="ignore"):
            numbers = np.array(given, np.float64).reshape(-1, 2).astype(np.float32)
        if len(given) != len(names) or not np.isfinite(numbers).all() or not (numbers[:, 1] > 0).all():
            raise ValueError("statistics must be one for each covariate, their deviations above 0")
    return statistics


def read_by_series(values: Any, count: int) -> Numbers:
    """One number, not below 0, for each series; NaN for None."""
    if type(values) is not list or len(values) != count or any(type(v) not in (float, int, type(None)) for v in values):
        raise ValueError("levels and seasonal errors must be one number for each series")
    numbers = np.array([np.nan if v is None else v for v in values], np.float64)
    if (numbers < 0).any():
        raise ValueError("levels and seasonal errors cannot lie below 0")
    return numbers


def read_effects(plain: Any, count: int) -> Effects:
    """What events do to `count` series."""
    labels, exponent = plain["labels"], plain["exponent"]
    if type(labels) is not list or any(type(label) is not str or len(label) > MAX_LABEL for label in labels):
        raise ValueError("the labels of events must be texts")
    shapes = {
        "days": (len(labels),),
        "effect": (2, len(labels), 1 + WEEKDAYS),
        "typical": (2, len(labels)),
        "profile": (count + 1, WEEKDAYS),
        "unit": (count + 1,),
        "reaction": (count + 1,),
    }
    if plain.keys() != {*shapes, "labels", "exponent"} or type(exponent) is not int or abs(exponent) > MAX_EXPONENT:
        raise ValueError("the effects of events do not hold what they must")
    arrays = {name: np.array(plain[name], np.float64).reshape(shape) for name, shape in shapes.items()}
    if any(not (np.abs(array) <= LARGEST).all() for array in arrays.values()) or (arrays["profile"] <= 0).any():
        raise ValueError("the effects of events must be finite, and their profiles above 0")
    if len(labels) != len(set(labels)) or (arrays["unit"] < 0).any() or (arrays["days"] < 0).any():
        raise ValueError("the effects of events contradict each other")
    return Effects(
        labels=tuple(labels),
        days=arrays["days"].astype(np.int64),
        effect=arrays["effect"],
        typical=arrays["typical"],
        exponent=exponent,
        profile=arrays["profile"],
        unit=arrays["unit"],
        reaction=arrays["reaction"],
    )


def read_closed(plain: Any, count: int) -> Closed:
    """Positions of a season at which some of `count` series have one value."""
    if plain.keys() != {"series", "season", "phase", "value", "opened"}:
        raise ValueError("the closed positions do not hold what they must")
    numbers = [np.array(plain[name]) for name in ("series", "season", "phase")]
    series, season, phase = numbers
    value = np.array(plain["value"], np.float64)
    if any(one.ndim != 1 or one.dtype != np.int64 or len(one) != len(value) for one in numbers) or not len(value):
        raise ValueError("the closed positions must be whole numbers, each with a value")
    if (np.diff(series, prepend=0, append=count - 1) < 0).any() or ((phase < 0) | (phase >= season)).any():
        raise ValueError("the closed positions contradict each other")
    if not (np.abs(value) <= LARGEST).all() or (season > MAX_SEASON).any():
        raise ValueError("the closed positions must have finite values")
    opened = tuple((number, label) for number, label in plain["opened"])
    if any(type(number) is not int or not 0 <= number < len(value) for number, _ in opened):
        raise ValueError("an event opens no closed position")
    if any(type(label) is not str or len(label) > MAX_LABEL for _, label in opened):
        raise ValueError("the labels of events must be texts")
    return Closed(series, season, phase, value, opened)


def read_ensemble(arrays: Arrays, config: Config, count: int, pretrained: bytes | None) -> Ensemble:
    """What forecasts `count` series, and what calibration adds; `pretrained` is the file of that network."""
    earlier = {name: np.full(1, number, np.float32) for name, (number, _) in LATER.items()}
    arrays = {**earlier, "roughness": np.zeros(2, np.float32), **arrays}
    components, levels = len(config.components), len(config.levels)
    shapes: Shapes = {
        "shares": ((count + 1, components), np.float32),
        "errors": ((components, config.horizon, levels), np.float32),
        "margins": ((config.horizon, levels), np.float32),
        "joint": ((levels,), np.float32),
        "coverage": ((levels,), np.float32),
        "windows": ((1,), np.int64),
        "roughness": ((2,), np.float32),
    }
    numbers = {name: arrays.pop(name) for name in LATER}
    check_arrays("calibration", arrays, shapes)
    for name, (_, most) in LATER.items():  # infinity may be among them
        number = numbers[name]
        if number.shape != (1,) or number.dtype != np.float32 or not 0 <= number[0] <= most:
            raise ValueError(f"calibration '{name}' must be one number from 0 to {most:g}")
    if (arrays["shares"] < 0).any() or not np.allclose(arrays["shares"].sum(1, dtype=np.float64), 1, atol=1e-5):
        raise ValueError("the weights of each series must add up to 1")
    windows, (slope, usual) = int(arrays["windows"][0]), arrays["roughness"].tolist()
    if windows < 0 or not 0 <= slope <= 1:
        raise ValueError("there are fewer than no held-out windows, or the slope of roughness is not from 0 to 1")
    calibration = Calibration(
        arrays["margins"],
        arrays["joint"],
        arrays["coverage"],
        windows,
        **{name: float(number[0]) for name, number in numbers.items()},
        slope=slope,
        usual=usual,
    )
    return Ensemble(
        components=config.components,
        networks=config.networks,
        weights=arrays["shares"],
        errors=arrays["errors"],
        calibration=calibration,
        lookback=config.lookback,
        context_length=config.context_length,
        scores=config.scores,
        network=_read_network(pretrained, config),
    )


def _read_network(pretrained: bytes | None, config: Config) -> Network | None:
    """The pretrained network of a version, which has one where it forecasts."""
    if (PRETRAINED in config.components[len(config.networks) :]) != (pretrained is not None):
        raise ValueError("a pretrained network must be there where it forecasts, and nowhere else")
    if pretrained is None:
        return None
    network, quantiles = load_network(pretrained), baseline_method(PRETRAINED).quantiles
    if quantiles is None or not np.isfinite(quantiles(network, *TRIAL, config.levels)).all():
        raise ValueError("the pretrained network does not forecast")
    return network


def read_history(arrays: Arrays, config: Config) -> Panel:
    """The tail of each series."""
    ids, status = _read_ids(arrays["ids"], len(config.table.ids))
    _check_shapes(arrays, config, len(ids))
    if sorted(arrays["order"].tolist()) != list(range(len(ids))):
        raise ValueError("history order must name each series once")
    for name in ("values", "spread"):
        if not (np.abs(arrays[name]) <= LARGEST).all():
            raise ValueError(f"history '{name}' must be finite, and no larger than {LARGEST:.0e}")
    if np.isnan(arrays["lowest"]).any():
        raise ValueError("history 'lowest' cannot be NaN")
    if (arrays["spread"] < 0).any():
        raise ValueError("history 'spread' cannot lie below 0")
    for part, names in (("known", config.table.known), ("past", config.table.past), ("static", config.table.static)):
        for at, name in enumerate(names):
            _check_covariate(arrays[part][:, at], config.table.categories.get(name), name)
    by_name: dict[str, Any] = {name: array for name, array in arrays.items() if name != "ids"}
    panel = Panel(ids=ids, ahead=config.horizon, status=status, **by_name)
    _check_spans(panel, config)
    _check_times(panel, config)
    return panel


def _read_ids(array: NDArray[Any], parts: int) -> tuple[tuple[tuple[str, ...], ...], tuple[str, ...]]:
    ids, status = json.loads(array.tobytes().decode())
    check_plain([ids, status])
    names = tuple(tuple(parts_of_id) for parts_of_id in ids)
    if not names or any(len(name) != parts or any(type(part) is not str for part in name) for name in names):
        raise ValueError("each series must have an id, a text for each id column")
    if len(names) != len(set(names)):
        raise ValueError("two series have one id")
    if len(status) != len(names) or any(type(word) is not str for word in status):
        raise ValueError("each series must have a status")
    return names, tuple(status)


def _check_shapes(arrays: Arrays, config: Config, count: int) -> None:
    offsets = arrays["offsets"]
    if offsets.shape != (count + 1,) or offsets.dtype != np.int64 or arrays["values"].ndim != 1:
        raise ValueError("history offsets must be one for each series, and one more")
    slots = len(arrays["values"])
    # bounds first: the difference of two numbers far apart would wrap around
    inside = offsets[0] == 0 and offsets[-1] == slots and ((offsets >= 0) & (offsets <= slots)).all()
    if not inside or (np.diff(offsets) <= config.horizon).any():
        raise ValueError("history offsets must rise from 0 to the number of slots by more than the horizon")
    floats, whole, flags = np.float64, np.int64, np.bool_
    shapes: Shapes = {
        **dict.fromkeys(("order", "starts"), ((count,), whole)),
        "offsets": ((count + 1,), whole),
        "values": ((slots,), floats),
        "observed": ((slots,), flags),
        "spread": ((slots,), np.float32),
        "lowest": ((count,), floats),
        **({"counted": ((count,), flags)} if "counted" in arrays else {}),  # versions of before lack it
        "known": ((slots, len(config.table.known)), floats),
        "past": ((slots, len(config.table.past)), floats),
        "static": ((count, len(config.table.static)), floats),
    }
    check_arrays("history", {name: array for name, array in arrays.items() if name != "ids"}, shapes)


def _check_covariate(values: Numbers, categories: tuple[str, ...] | None, name: str) -> None:
    if (np.abs(values) > LARGEST).any():
        raise ValueError(f"history of column '{name[:80]}' holds infinity, or numbers above {LARGEST:.0e}")
    if categories is not None:
        codes = values[~np.isnan(values)]
        if ((codes < 0) | (codes > len(categories)) | (codes != np.floor(codes))).any():
            raise ValueError(f"history of column '{name[:80]}' holds codes of no category")


def _check_spans(panel: Panel, config: Config) -> None:
    """A forecast costs by how far it looks back, whatever the history holds."""
    longest = int(panel.lengths.max())
    lookbacks = [config.lookback, *(member.lookback for group in config.members() for member in group)]
    if config.context_length > longest or max(lookbacks) > most_lookback(longest):
        raise ValueError(f"a forecast cannot look back so far over series of {longest} steps")


def _check_times(panel: Panel, config: Config) -> None:
    """The first and the last time must exist and be written; all series end at one, unless times are steps."""
    spec = config.table.calendar
    first, last = int(panel.starts.min()), int(panel.origins.max()) + panel.ahead
    if spec.kind != "steps" and (panel.origins != panel.origins[0]).any():
        raise ValueError("the series must end at one time")
    ends = [place if spec.kind == "weekdays" else spec.anchor + place * spec.every for place in (first, last)]
    if any(abs(place) > FARTHEST[spec.kind] for place in (*ends, first, last)) or last < first:
        raise ValueError("the history lies at no time")
    if spec.kind == "weekdays" and not (
        spec.weekdays and list(spec.weekdays) == sorted({*spec.weekdays} & {*range(7)})
    ):
        raise ValueError("the days of the week are no days")
    position_texts(config.table, calendar_of(config.table), np.array([first, last]))
