"""Turn a fitted forecaster into the contents of a version, and back.

The arrays of a version are checked against the shapes and bounds that `Fitted` and its records
declare. What else could take much time or memory, or look something up that does not exist, is
refused here; whether the parts of a version make sense together is not.
"""

from typing import Any

import numpy as np

from forecast.artifacts.format import Arrays, Contents
from forecast.artifacts.specs import build_record, split_record
from forecast.baselines.pretrained import quantiles
from forecast.calendar import patterns
from forecast.ensemble.baseline_forecasts import find_baseline
from forecast.ensemble.names import PRETRAINED
from forecast.errors import ArtifactRefused, Unavailable
from forecast.inference.fitted import (
    RESTORED_SETTINGS,
    RUN_SETTINGS,
    Config,
    Fitted,
    NetworkWeights,
)
from forecast.panel.panel import Panel
from forecast.panel.schema import Schema, position_texts
from forecast.panel.season import most_lookback
from forecast.pretrained.forecasting import Network, load_network
from forecast.registry import has, plugins
from forecast.settings import TrainSettings

# values, observed, horizon, seasons: a window that any pretrained network must be able to forecast
TRIAL_WINDOW = np.arange(9.0)[None], np.ones((1, 9), bool), 2, (4,)
NUMBER_DIRECTIVES = tuple("YGyqmdHKVjMS")  # directives that write whole numbers
DATETIMES = ("%Y-%m-%d", "%Y-%m-%d %H:%M:%S")
MAX_TEXT = 200  # most characters of a pattern, a frequency or a package name
# how far from its anchor a grid may reach: to about the year 10,000
FARTHEST_POSITIONS = {"steps": 2**62, "seconds": 2**38, "months": 120_000, "weekdays": 3_500_000}


def to_contents(fitted: Fitted) -> Contents:
    arrays, values = split_record(fitted)
    network = fitted.ensemble.network
    weights: Arrays = {}
    for prefix, networks in (("", fitted.network_weights), ("base/", fitted.base_weights)):
        for number, of_network in enumerate(networks):
            weights |= {f"{prefix}{number}/{name}": array for name, array in of_network.items()}
    return Contents(
        values,
        arrays,
        weights,
        pretrained=None if network is None else network.data,
        exports=fitted.exports,
        unexported=fitted.unexported,
        run=fitted.run,
    )


def from_contents(contents: Contents) -> Fitted:
    """The forecaster of a version; raises `ArtifactRefused` if a part of it is not valid."""
    try:
        return _read(contents)
    except (ArtifactRefused, MemoryError, Unavailable):  # not the fault of the version
        raise
    except Exception as error:
        message = str(error) or type(error).__name__
        first_line = message.split("\n")[0]
        reason = " ".join(first_line.split())[:200]
    raise ArtifactRefused(f"the artifact does not hold a valid forecaster: {reason}; fit it again")


def _read(contents: Contents) -> Fitted:
    values = contents.config
    config = Config.model_validate(values["config"])
    schema = config.table
    _check_config(config)
    sizes = {kind: len(getattr(schema, kind)) for kind in ("known", "past", "static")}
    sizes["horizon"] = config.horizon
    sizes["levels"] = len(config.levels)
    sizes["series"] = len(values["history"]["ids"])
    sizes["slots"] = len(contents.arrays["history.values"])
    networks = values["ensemble"]["networks"]
    labels = values["ensemble"]["components"][len(networks) :]
    for label in labels:
        find_baseline(label, config.lags)
    groups = config.plan.groups()
    if networks != sorted({*networks} & {*range(len(groups))}):
        raise ValueError("networks must be groups of the plan's members, each once")
    weights = dict(contents.weights)
    count = sum(len(groups[group]) for group in networks)
    fitted = build_record(
        Fitted,
        contents.arrays,
        values,
        sizes,
        network=_read_network(contents.pretrained, config) if PRETRAINED in labels else None,
        network_weights=_take_weights(weights, "", count),
        base_weights=_take_weights(weights, "base/", count),
        run=TrainSettings.check(contents.run).model_dump(
            include=RESTORED_SETTINGS, exclude_defaults=True
        ),
        exports=contents.exports,
        unexported=contents.unexported,
    )
    if weights:
        raise ValueError(f"there is no network for the weights '{min(weights)[:80]}'")
    if {*contents.exports, *contents.unexported} - {*range(count)}:
        raise ValueError("there is no network for an export")
    _check_history(fitted.history, fitted)
    return fitted


def _take_weights(weights: Arrays, prefix: str, count: int) -> list[NetworkWeights]:
    """Take the weights of networks out of `weights`, by name."""
    networks = []
    for number in range(count):
        start = f"{prefix}{number}/"
        names = [name for name in weights if name.startswith(start)]
        networks.append({name.removeprefix(start): weights.pop(name) for name in names})
    return networks


def _read_network(pretrained: bytes | None, config: Config) -> Network:
    """The pretrained network, after a trial forecast."""
    if pretrained is None:
        raise ValueError("the pretrained network is missing")
    network = load_network(pretrained)
    forecast = quantiles(network, *TRIAL_WINDOW, config.levels)
    if not np.isfinite(forecast).all():
        raise ValueError("the pretrained network does not forecast")
    return network


def _check_config(config: Config) -> None:
    """Raise `ValueError` for what does not exist, and `Unavailable` if a package is missing."""
    levels = list(config.levels)
    if 0.5 not in levels or levels != sorted(set(levels)):
        raise ValueError("quantile levels must ascend, 0.5 among them")
    if config.settings.keys() & RUN_SETTINGS:
        raise ValueError("it holds settings that the plan has replaced")
    TrainSettings.check(config.settings)
    table = config.table
    texts: list[Any] = [table.holidays, table.freq, *table.reading.model_dump().values()]
    times = table.time_format
    texts += [times.pattern, *times.parts]
    if any(len(str(text)) > MAX_TEXT for text in texts):
        raise ValueError("a frequency, pattern or setting of reading is too long")
    _check_time_columns(table)
    if len({*table.keys}) < len(table.keys):
        raise ValueError("two columns have one name")
    for model, package in config.packages.items():  # installed in any version
        name, _, _ = package.partition(" ")
        if model not in plugins() or plugins()[model].package.partition(" ")[0] != name:
            problem = f"this forecaster has the model '{model}' of the package {package}"
            raise Unavailable(f"{problem}, which is not installed", cure="install that package")
    for name in {member.model for member in config.plan.members}:
        if not has("models", name):
            raise ValueError(f"there is no model '{name[:80]}'")


def _check_time_columns(table: Schema) -> None:
    """Check that times in several columns have a pattern for each column."""
    times = table.time_format
    columns = len(table.time) if len(table.time) > 1 else 0
    if not len(times.parts) == len(times.kinds) == columns:
        raise ValueError("times in several columns need a pattern and a type for each")
    for pattern, kind in zip(times.parts, times.kinds, strict=True):
        tokens = patterns.tokens(pattern)
        is_number = len(tokens) == 1 and tokens[0][1] in NUMBER_DIRECTIVES
        lacks_number = kind == "number" and not is_number
        lacks_datetime = kind == "datetime" and pattern not in DATETIMES
        if lacks_number or lacks_datetime:
            raise ValueError("the parts of times are written in no pattern")


def _check_history(panel: Panel, fitted: Fitted) -> None:
    """Raise `ValueError` unless its slots, its times and how far forecasts look back exist."""
    schema = fitted.schema
    if panel.ahead != fitted.config.horizon or (np.diff(panel.offsets) <= panel.ahead).any():
        raise ValueError("a series has too few slots")
    if panel.offsets[0] != 0 or panel.offsets[-1] != len(panel.values):
        raise ValueError("history offsets must rise from 0 to the number of slots")
    longest = panel.longest
    ensemble = fitted.ensemble
    lookbacks = [ensemble.lookback, *(member.lookback for member in fitted.network_members)]
    # the cost of a forecast grows with how far it looks back, whatever the history holds
    if ensemble.context_length > longest or max(lookbacks) > most_lookback(longest):
        raise ValueError(f"a forecast cannot look back so far over series of {longest} steps")
    if any(len(ids) != len(schema.ids) for ids in panel.ids):
        raise ValueError("each series must have an id for each id column")
    for kind in ("known", "past", "static"):
        for number, name in enumerate(getattr(schema, kind)):
            codes = np.arange(1 + len(schema.categories.get(name, ())))
            column = getattr(panel, kind)[:, number]
            if name in schema.categories and not np.isin(column[~np.isnan(column)], codes).all():
                raise ValueError(f"column '{name[:80]}' of the history holds codes of no category")
    _check_times(panel, schema)


def _check_times(panel: Panel, schema: Schema) -> None:
    """Raise `ValueError` unless the first and last time can be written."""
    spec = schema.calendar
    first = int(panel.starts.min())
    last = int(panel.origins.max()) + panel.ahead
    ends = [first, last]
    if spec.kind != "weekdays":
        ends += [spec.anchor + first * spec.every, spec.anchor + last * spec.every]
    if last < first or max(map(abs, ends)) > FARTHEST_POSITIONS[spec.kind]:
        raise ValueError("the history lies at no time")
    position_texts(schema, np.array([first, last]))
