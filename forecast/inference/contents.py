"""Turn a fitted forecaster into the contents of a version, and back with all checks."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.artifacts.format import Arrays, Contents, parse_json
from forecast.artifacts.specs import Spec, as_lists, build_record, from_lists
from forecast.baselines.pretrained import quantiles
from forecast.ensemble.ensemble import Ensemble
from forecast.ensemble.names import PRETRAINED
from forecast.errors import ArtifactRefused, Unavailable
from forecast.events.closed import NONE_CLOSED, Closed
from forecast.events.columns import DAYS_OF_MONTH, YEAR_WAVES, ColumnEffects
from forecast.events.effects import DayShapes, Effects
from forecast.inference import checks
from forecast.inference.fitted import (
    RESTORED_SETTINGS,
    RUN_SETTINGS,
    Base,
    Config,
    Filled,
    Fitted,
    NetworkWeights,
)
from forecast.inference.stored_arrays import (
    CalibrationArrays,
    HistoryArrays,
    JointArrays,
    Scaler,
    VintageArrays,
)
from forecast.intervals.calibration import Calibration
from forecast.intervals.joint_errors import JointErrors
from forecast.panel.panel import PANEL_ARRAYS, Numbers, Panel, Vintages
from forecast.panel.schema import Schema, indicators
from forecast.pretrained.forecasting import Network, load_network
from forecast.settings import TrainSettings
from forecast.training.plan import MAX_ORIGINS

# values, observed, horizon, seasons: a window that any pretrained network must be able to forecast
TRIAL_WINDOW = np.arange(9.0)[None], np.ones((1, 9), bool), 2, (4,)
# prefixes of the names of arrays
VINTAGE = "vintage_"
JOINT = "joint_"
TO_DATE = "to_date_"
# the arrays of a calibration, and its numbers
CALIBRATED = ("margins", "coverage", "relative", "growth")
NUMBER_FIELDS = (
    "mean_share",
    "mean_weight",
    "tied",
    "rests",
    "largest",
    "slope",
    "mean_roughness",
    "step_share",
)
FILLED = "filled_"


def to_contents(fitted: Fitted) -> Contents:
    base = fitted.base
    network = fitted.ensemble.network
    return Contents(
        config=fitted.config.model_dump(mode="json", by_alias=True),
        weights=_join_weights(fitted.network_weights),
        scaler=_scaler(fitted),
        history=_history(fitted.history),
        calibration=_calibration(fitted.ensemble) | _sums(fitted),
        base=None if base is None else {"until": base.trained_until, **_join_weights(base.weights)},
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
    config = Config.model_validate(contents.config)
    checks.check_config(config)
    scaler = Scaler.model_validate(contents.scaler)
    checks.check_statistics(scaler.statistics, config)
    if config.settings.keys() & RUN_SETTINGS:
        raise ValueError("it holds settings that the plan has replaced")
    networks = set(range(len(config.network_members)))
    exported = contents.exports.keys()
    unexported = contents.unexported.keys()
    if not networks >= exported | unexported or exported & unexported:
        raise ValueError("there is no network for an export, or one has an export and has none")

    sizes = _sizes(config, contents.history)
    history = _read_history(contents.history, config, sizes)
    calibration = dict(contents.calibration or {})
    joint, to_date, filled = _read_sums(calibration, sizes)
    effects = column_effects = closed = None
    if scaler.effects is not None:
        effects = read_effects(scaler.effects, sizes)
    if scaler.column_effects is not None:
        column_effects = read_column_effects(scaler.column_effects, sizes, config.table)
    if scaler.closed is not None:
        closed = read_closures(scaler.closed, sizes)
    run = TrainSettings.check(contents.run)
    return Fitted(
        config=config,
        statistics=scaler.statistics,
        level=_by_series(scaler.level, sizes),
        naive_error=_by_series(scaler.seasonal_error, sizes),
        ensemble=_read_ensemble(calibration, contents.pretrained, config, sizes),
        history=history,
        network_weights=_split_weights(contents.weights, config),
        base=_read_base(contents, config, sizes),
        effects=effects,
        column_effects=column_effects,
        closed=closed or NONE_CLOSED,
        exports=contents.exports,
        unexported=contents.unexported,
        joint=joint,
        to_date=to_date,
        filled=filled,
        run=run.model_dump(include=RESTORED_SETTINGS, exclude_defaults=True),
    )


def _sizes(config: Config, history: Arrays) -> dict[str, int]:
    """The sizes by the names that the shapes of arrays use."""
    table = config.table
    series = len(history["order"])
    return {
        "series": series,
        "series+1": series + 1,
        "slots": len(history["values"]),
        **{kind: len(getattr(table, kind)) for kind in ("known", "past", "static")},
        "horizon": config.horizon,
        "levels": len(config.levels),
        "components": len(config.components),
    }


def _scaler(fitted: Fitted) -> dict[str, Any]:
    naive_errors = fitted.naive_error.tolist()
    columns = fitted.column_effects
    scaler = Scaler(
        statistics=fitted.statistics,
        level=fitted.level.tolist(),
        seasonal_error=[error if np.isfinite(error) else None for error in naive_errors],
        effects=None if fitted.effects is None else as_lists(fitted.effects),
        column_effects=None if columns is None else as_lists(columns),
        closed=as_lists(fitted.closed) if len(fitted.closed) else None,
    )
    return scaler.model_dump(mode="json")


def _by_series(values: Sequence[float | None], sizes: dict[str, int]) -> Numbers:
    numbers = np.array(values, np.float64)  # NaN for None
    Spec("series", nan=True).check("a level or error", numbers, np.float64, sizes)
    return numbers


def read_effects(lists: dict[str, Any], sizes: dict[str, int]) -> Effects:
    labels = tuple(lists["labels"])
    sizes = {**sizes, "labels": len(labels)}
    shapes = lists.get("shapes")
    if shapes is not None:
        shapes = from_lists(DayShapes, shapes, sizes)
    effects = from_lists(Effects, lists, sizes, labels=labels, shapes=shapes)
    checks.check_effects(effects)
    return effects


def read_column_effects(
    lists: dict[str, Any], sizes: dict[str, int], schema: Schema
) -> ColumnEffects:
    lists = {"month": [0.0] * DAYS_OF_MONTH, **lists}
    lengths = {name: len(lists[name]) for name in ("lags", "means", "draws")}
    knots = len(lists["knots"][0])
    known = np.zeros((0, len(schema.known)))
    of_calendar = 2 * YEAR_WAVES * (lists["year"] != 0) + any(lists["month"])
    columns = indicators(known, schema).shape[1] + of_calendar
    terms = len(lists["weights"][0])
    sizes = {**sizes, **lengths, "columns": columns, "knots": knots, "terms": terms}
    effects = from_lists(ColumnEffects, lists, sizes)
    checks.check_column_effects(effects)
    return effects


def read_closures(lists: dict[str, Any], sizes: dict[str, int]) -> Closed:
    opened = tuple((position, label) for position, label in lists["opened"])
    closed = from_lists(Closed, lists, sizes, opened=opened)
    checks.check_closures(closed)
    return closed


def _history(panel: Panel) -> Arrays:
    ids = json.dumps((panel.ids, panel.status, panel.regions), ensure_ascii=False)
    vintages = {} if panel.vintages is None else vars(panel.vintages)
    shut = {"shut": panel.shut} if np.any(panel.shut) else {}
    return {
        **{name: getattr(panel, name) for name in PANEL_ARRAYS},
        **_add_prefix(VINTAGE, vintages),
        **shut,
        "spread": panel.expanding_std(),
        "lowest": panel.find_minimum(),
        "counted": panel.is_count(),
        "ids": np.frombuffer(ids.encode(), np.uint8).copy(),
    }


def _read_history(stored: Arrays, config: Config, sizes: dict[str, int]) -> Panel:
    arrays = dict(stored)
    ids, status, regions = parse_json(arrays.pop("ids").tobytes())
    ids = tuple(map(tuple, ids))
    checks.check_ids(ids, status, regions, config)
    if len(ids) != sizes["series"]:
        raise ValueError("the history has other series than ids")

    vintage_arrays = _take(VINTAGE, arrays)
    arrays.setdefault("shut", np.zeros(sizes["slots"], bool))
    history = build_record(HistoryArrays, arrays, sizes)
    checks.check_offsets(history.offsets, sizes["slots"], config.horizon)
    vintages = None
    if vintage_arrays:
        vintages = Vintages(**vars(build_record(VintageArrays, vintage_arrays, sizes)))
    panel = Panel(
        ids=ids,
        ahead=config.horizon,
        status=tuple(status),
        regions=tuple(regions),
        vintages=vintages,
        **vars(history),
    )
    checks.check_history(panel, config)
    return panel


def _calibration(ensemble: Ensemble) -> Arrays:
    calibration = ensemble.calibration
    return {
        "shares": ensemble.weights,
        "errors": ensemble.errors,
        "step_shares": ensemble.step_shares,
        "windows": np.array([calibration.windows], np.int64),
        **{name: getattr(calibration, name) for name in CALIBRATED},
        **{name: np.array([getattr(calibration, name)], np.float32) for name in NUMBER_FIELDS},
    }


def _read_ensemble(
    stored: Arrays, pretrained: bytes | None, config: Config, sizes: dict[str, int]
) -> Ensemble:
    arrays = build_record(CalibrationArrays, stored, sizes)
    totals = arrays.shares.sum(1, dtype=np.float64)
    if not np.allclose(totals, 1, atol=1e-5):
        raise ValueError("the weights of each series must add up to 1")

    calibration = Calibration(
        windows=int(arrays.windows[0]),
        **{name: getattr(arrays, name) for name in CALIBRATED},
        **{name: getattr(arrays, name).item() for name in NUMBER_FIELDS},
    )
    return Ensemble(
        components=config.components,
        networks=config.networks,
        weights=arrays.shares,
        errors=arrays.errors,
        step_shares=arrays.step_shares,
        calibration=calibration,
        lookback=config.lookback,
        context_length=config.context_length,
        scores=config.scores,
        network=_read_network(pretrained, config),
    )


def _read_network(pretrained: bytes | None, config: Config) -> Network | None:
    """The pretrained network, after a trial forecast; None if the version has none."""
    if (PRETRAINED in config.baselines) != (pretrained is not None):
        raise ValueError("a pretrained network must be there where it forecasts, and nowhere else")
    if pretrained is None:
        return None
    network = load_network(pretrained)
    forecast = quantiles(network, *TRIAL_WINDOW, config.levels)
    if not np.isfinite(forecast).all():
        raise ValueError("the pretrained network does not forecast")
    return network


def _sums(fitted: Fitted) -> Arrays:
    if fitted.joint is None:
        return {}
    joint = JointArrays(fitted.joint.values, np.array([fitted.joint.stride]))
    arrays = _add_prefix(JOINT, vars(joint))
    if fitted.filled is not None:
        by_steps = {str(steps): sums for steps, sums in fitted.to_date.items()}
        arrays |= _add_prefix(TO_DATE, by_steps)
        arrays |= _add_prefix(FILLED, vars(fitted.filled))
    return arrays


def _read_sums(
    arrays: Arrays, sizes: dict[str, int]
) -> tuple[JointErrors | None, dict[int, Numbers], Filled | None]:
    """Take what sums of forecasts need out of `arrays`."""
    joint_arrays = _take(JOINT, arrays)
    by_steps = _take(TO_DATE, arrays)
    filled_arrays = _take(FILLED, arrays)
    if not joint_arrays:
        return None, {}, None
    joint = build_record(JointArrays, joint_arrays, sizes)
    if len(joint.errors) > MAX_ORIGINS:
        raise ValueError(f"sums rest on at most {MAX_ORIGINS} origins")
    errors = JointErrors(joint.errors, int(joint.stride[0]))
    if not by_steps and not filled_arrays:
        return errors, {}, None

    to_date = {int(steps): sums for steps, sums in by_steps.items()}
    for sums in to_date.values():
        Spec("series").check(TO_DATE, sums, np.float64, sizes)
    sizes = {**sizes, "ages": 1 + max(to_date)}
    filled = build_record(Filled, filled_arrays, sizes)
    return errors, to_date, filled


def _read_base(contents: Contents, config: Config, sizes: dict[str, int]) -> Base | None:
    if contents.base is None:
        return None
    weights = dict(contents.base)
    until = weights.pop("until")
    Spec("series").check("until", until, np.int64, sizes)
    if weights.keys() != contents.weights.keys():
        raise ValueError("the base does not hold the weights of the networks")
    for name, array in weights.items():
        shape = " ".join(map(str, contents.weights[name].shape))
        Spec(shape).check(name, array, np.float32, {})
    return Base(_split_weights(weights, config), until)


def _join_weights(members: list[NetworkWeights]) -> Arrays:
    """The weights of all members by name, each prefixed with the number of its member."""
    arrays: Arrays = {}
    for number, weights in enumerate(members):
        arrays |= _add_prefix(f"{number}/", weights)
    return arrays


def _split_weights(arrays: Arrays, config: Config) -> list[NetworkWeights]:
    """The weights of each member, from the dictionary that `_join_weights` makes."""
    rest = dict(arrays)
    members = [_take(f"{number}/", rest) for number in range(len(config.network_members))]
    if rest:
        raise ValueError(f"there is no network for the weights '{next(iter(rest))[:80]}'")
    return members


def _add_prefix(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> Arrays:
    return {prefix + name: array for name, array in arrays.items()}


def _take(prefix: str, arrays: Arrays) -> Arrays:
    """Take the arrays with a prefix out of `arrays`, and name them without the prefix."""
    names = [name for name in arrays if name.startswith(prefix)]
    return {name.removeprefix(prefix): arrays.pop(name) for name in names}
