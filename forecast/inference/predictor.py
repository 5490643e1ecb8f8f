"""Forecast a panel chunk by chunk: networks, ensemble, calibration, the transform undone, agreement with sums."""

import importlib
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, Protocol, Self

import numpy as np

from forecast.errors import INSTALL, Setting, Unavailable, UsageError, Words, raise_if_interrupted
from forecast.events.closed import closed_now, fixed_values
from forecast.inference.fitted import CPU_DEVICES, Config, Fitted
from forecast.metrics.quantiles import standard_deviation
from forecast.models import model_class
from forecast.panel.hierarchy import Levels, members_of, with_sums
from forecast.panel.panel import SUM, Flags, Integers, Numbers, Panel, series_index
from forecast.registry import has
from forecast.settings import EngineName, ScalingName
from forecast.threads import OnPart
from forecast.windows.inputs import Inputs, Transform, make_inputs
from forecast.windows.scaling import Array
from forecast.windows.windows import NETWORK_BATCH, Batch, ToArray, WindowIndex, Windows

EXTRA, EXTRA_PACKAGES = (
    "onnx",
    ("onnx", "onnxruntime"),
)  # of this package; the second is enough to forecast
WINDOWS_AT_ONCE = 1024
TORCH = "torch"  # the backend that has attention


def pick_engine(fitted: Fitted, engine: EngineName = "auto", device: str = "auto") -> str:
    """The backend that runs the networks: onnx where it is installed, on the CPU, if all have exports; else torch."""
    reason, asked = (
        "" if device in CPU_DEVICES else "it runs on the CPU only",
        Setting("engine", engine),
    )
    if engine == "onnx" and reason:
        raise UsageError(reason, setting=asked, cure=Words("leave out ", Setting("device", device)))
    reason = (
        reason
        or _missing_export(fitted)
        or ("" if installed("onnxruntime") else "onnxruntime is not installed")
    )
    if engine != "torch" and not reason:
        return "onnx"
    install = INSTALL.format(EXTRA) if reason.endswith("installed") else ""
    if engine == "onnx":
        cure = install or Words("pass ", Setting("engine", "torch"), ", or fit again")
        raise Unavailable(f"onnx cannot run the networks of this forecaster: {reason}", cure=cure)
    if installed("torch"):
        return "torch"
    if engine == "torch":
        raise Unavailable(
            "torch is not installed", setting=asked, cure="install it with `pip install torch`"
        )
    problem = "the networks of this forecaster need torch, which is not installed, since onnx cannot run them"
    raise Unavailable(
        f"{problem}: {reason}", cure="`pip install torch`" + (install and f", or {install}")
    )


def require_engine(engine: EngineName, model: str) -> None:
    """Refuse to train a model for an engine that is not installed, or cannot run it."""
    if engine != "onnx":
        return
    if has("models", model) and (reason := model_class(model).no_export):
        instead = Words("leave out ", Setting("engine", engine))
        raise UsageError(
            f"{model} has no export, as {reason}", setting=Setting("model", model), cure=instead
        )
    if not all(map(installed, EXTRA_PACKAGES)):
        problem = "onnx and onnxruntime are not installed"
        raise Unavailable(problem, setting=Setting("engine", engine), cure=INSTALL.format(EXTRA))


def _missing_export(fitted: Fitted) -> str:
    """Why not all networks have an export; empty where they do."""
    models = [member.model for members in fitted.config.members() for member in members]
    if len(fitted.exports) == len(models):
        return ""
    if not fitted.unexported:
        return f"it was saved without exports; {INSTALL.format(EXTRA)} and fit again to have them"
    number, why = min(fitted.unexported.items())
    return f"{models[number]} has no export, as {why}"


def installed(package: str) -> bool:
    try:
        importlib.import_module(package)
    except ImportError:
        raise_if_interrupted()
        return False
    return True


class Backend(Protocol):
    """Runs the networks of a fitted forecaster on a device; one file of this folder, with a class `Networks`."""

    to_array: ToArray  # copies arrays of numpy to where batches are gathered
    threads: bool  # whether several threads may run networks at once

    # the block in which networks run; out of memory there raises `Unavailable`
    def running(self) -> AbstractContextManager[None]: ...
    # of one network, in scaled units, [batch, horizon, levels]
    def quantiles(self, group: int, member: int, batch: Batch) -> Array: ...
    # the weight of each step of the past, [batch, lookback]; None where the network has no attention
    def attention(self, group: int, batch: Batch) -> Array | None: ...
    def to_numpy(self, array: Array) -> Numbers: ...


class Predictor:
    """A fitted forecaster whose networks, if any, are loaded; `backend` is the file of this folder that runs them."""

    def __init__(
        self, fitted: Fitted, device: str, engine: EngineName = "auto", backend: str | None = None
    ) -> None:
        self.fitted, self.device = fitted, device
        self.backend: Backend | None = None
        self.on_windows: OnPart | None = (
            None  # called after each chunk: windows that are forecast, and all
        )
        if (
            fitted.config.networks or device not in CPU_DEVICES
        ):  # a device that is missing is refused in any case
            self.backend = load_backend(
                fitted, device, backend or pick_engine(fitted, engine, device)
            )

    def serving(self, fitted: Fitted) -> Self:
        """The same networks with another description of the forecaster."""
        other = type(self).__new__(type(self))
        vars(other).update(vars(self), fitted=fitted)
        return other

    def reporting_to(self, on_windows: OnPart | None) -> Self:
        """The same, which tells a function after each chunk how many windows are forecast, and all."""
        other = self.serving(self.fitted)
        other.on_windows = on_windows
        return other

    def remembering(self) -> Self:
        """The same, but a baseline forecasts the same values only once."""
        return self.serving(replace(self.fitted, ensemble=replace(self.fitted.ensemble, memory={})))

    def __getstate__(self) -> dict[str, Any]:
        """What another process needs; it loads the networks itself, as sessions of onnxruntime cannot be sent."""
        engine = None if self.backend is None else type(self.backend).__module__.rpartition(".")[2]
        return {"fitted": self.fitted, "device": self.device, "engine": engine}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.fitted, self.device, self.on_windows = state["fitted"], state["device"], None
        self.backend = state["engine"] and load_backend(self.fitted, self.device, state["engine"])

    def quantiles(
        self, panel: Panel, series: Integers, position: Integers | None = None
    ) -> Numbers:
        """Quantiles of the values after windows, [windows, horizon, levels]; see `marginal_and_joint`."""
        return self.marginal_and_joint(panel, series, position, joint=False)[0]

    def marginal_and_joint(
        self,
        panel: Panel,
        series: Integers,
        position: Integers | None = None,
        left_out: Flags | None = None,
        joint: bool = True,
    ) -> tuple[Numbers, Numbers]:
        """Quantiles of each value after windows, and wider ones for whole paths; [windows, horizon, levels] each.

        A window is a series and the position before which its past ends, by default the newest. Those `left_out` count
        where windows are parted into chunks, on which the last bits of a product of matrices depend.
        """
        config, ensemble = self.fitted.config, self.fitted.ensemble
        ends = np.ascontiguousarray(panel.lengths[series] if position is None else position)
        series = np.ascontiguousarray(series)
        sums = panel_with_sums(panel, config.table.ids, config.sums) if config.reconciles else None
        if sums is not None:
            used = slice(None) if left_out is None else ~left_out
            found = self._reconciled(sums, series[used], ends[used])
            return found, ensemble.joint(found) if joint else found
        before = panel.lengths.copy()
        np.minimum.at(before, series, ends)
        inputs = inputs_of(self.fitted, panel, before)
        backend, windows = self.backend, None
        if backend is not None:
            with backend.running():
                windows = inputs.arrays.to(backend.to_array)
        parts = [np.zeros((0, config.horizon, len(config.levels)))]
        wider = parts.copy()
        for start in range(0, len(series), WINDOWS_AT_ONCE):
            chosen = np.arange(start, min(start + WINDOWS_AT_ONCE, len(series)))
            if left_out is not None:
                chosen = chosen[~left_out[chosen]]
            index = series[chosen], ends[chosen]
            with np.errstate(
                over="ignore", invalid="ignore"
            ):  # the caller refuses what is not finite
                medians: list[Numbers] = []
                if backend is not None and windows is not None:
                    medians = [
                        median_of_members(group)
                        for group in _members(backend, config, windows, index)
                    ]
                mixed = ensemble.quantiles(inputs, index, inputs.series_index[index[0]], medians)
                parts.append(inputs.restored(mixed, index))
                if joint:
                    wider.append(inputs.restored(ensemble.joint(mixed), index))
            if self.on_windows is not None:
                self.on_windows(min(start + WINDOWS_AT_ONCE, len(series)), len(series))
        quantiles = np.concatenate(parts)
        return quantiles, np.concatenate(wider) if joint else quantiles

    def _reconciled(self, sums: Panel, series: Integers, position: Integers) -> Numbers:
        """Quantiles of windows of series that are no sums, [windows, horizon, levels], after reconciliation.

        As by Wickramasuriya, Athanasopoulos and Hyndman (2019) with a diagonal matrix of variances. `sums` is a panel
        with the sums after its series. All series that have begun at a window's origin are forecast with it.
        """
        config, ensemble = self.fitted.config, self.fitted.ensemble
        single = self.serving(
            replace(self.fitted, config=config.model_copy(update={"reconciles": False}))
        )
        origins, floor = sums.starts[series] + position, sums.floor()
        totals, members = members_of(sums)
        served, parts = np.flatnonzero(~sums.skipped), dict[int, Numbers]()
        for origin in np.unique(origins):
            rows = np.flatnonzero(origins == origin)
            both = np.concatenate([np.union1d(served, series[rows]), totals])
            ends = np.minimum(origin - sums.starts, sums.lengths)[both]
            both, ends = both[ends > 0], ends[ends > 0]
            base = single.quantiles(sums, both, ends)
            means = ensemble.calibration.quantile_means(base, config.levels)
            is_sum, deviation = np.isin(both, totals), standard_deviation(base, config.levels)
            of_series = members[np.isin(totals, both)][:, both[~is_sum]]
            agreeing = _agreed(base[~is_sum], means, deviation, is_sum, of_series, floor[both])
            parts |= dict(
                zip(
                    rows.tolist(),
                    agreeing[np.searchsorted(both[~is_sum], series[rows])],
                    strict=True,
                )
            )
        if not parts:
            return single.quantiles(sums, series, position)
        return np.stack([parts[row] for row in range(len(series))])

    def predict_quantiles(self, panel: Panel) -> Numbers:
        """Quantiles after the end of each series of a panel, [series, horizon, levels]."""
        if not self.fitted.config.reconciles:
            return self.quantiles(panel, np.arange(len(panel)))
        found = np.zeros((len(panel), self.fitted.config.horizon, len(self.fitted.config.levels)))
        for end in np.unique(panel.origins):  # those that end at one time have sums in common
            some = np.flatnonzero(panel.origins == end)
            found[some] = self.quantiles(panel.select(some), np.arange(len(some)))
        return found

    def seed_spread(self, panel: Panel, series: Integers) -> float | None:
        """How far networks that differ in their seed only lie apart, over their median's size, if there are any."""
        backend, config = self.backend, self.fitted.config
        if backend is None or all(len(members) == 1 for members in config.members()):
            return None
        inputs, index = inputs_of(self.fitted, panel), (series, panel.lengths[series])
        members = _members(backend, config, inputs.arrays.to(backend.to_array), index)
        several = (
            np.stack(group, -1)[:, :, config.levels.index(0.5)]
            for group in members
            if len(group) > 1
        )
        points = [inputs.restored(group, index) for group in several]  # [series, horizon, members]
        size = sum(np.abs(np.median(group, axis=-1)).sum() for group in points)
        return float(sum(group.std(-1, ddof=1).sum() for group in points) / size) if size else None

    def attention(self, panel: Panel, series: Integers) -> Numbers:
        """[series, lookback], the weight of each step of the newest past; `UsageError` if no network has attention."""
        backend = self.backend
        if self.fitted.config.networks and TORCH not in type(backend).__module__:
            backend = load_backend(self.fitted, self.device, TORCH)  # exports hold forecasts only
        if backend is not None:
            windows = inputs_of(self.fitted, panel).arrays.to(backend.to_array)
            for group, members in enumerate(self.fitted.config.members()):
                cut = windows.cut(members[0].lookback, members[0].scaling)
                index = backend.to_array(np.ascontiguousarray(series))
                weights = backend.attention(group, cut.batch(index, cut.lengths[index]))
                if weights is not None:
                    return backend.to_numpy(weights)
        cure = Words(
            "fit with ", Setting("model", "attention-lstm"), " and ", Setting("guard", False)
        )
        raise UsageError("no network with attention forecasts here", cure=cure)


def load_backend(fitted: Fitted, device: str, name: str) -> Backend:
    """The networks of a fitted forecaster, as the file `name` of this folder runs them."""
    backend: Backend = importlib.import_module(f"forecast.inference.{name}").Networks(
        fitted, device
    )
    return backend


def fixed_of(fitted: Fitted, panel: Panel, before: Integers | None = None) -> Numbers | None:
    """[slots], the one value of closed slots (0 if a shop is shut), else NaN; values from `before` on disprove none."""
    schema, index = fitted.config.table, series_index(fitted.history.ids, panel.ids)
    closed = closed_now(
        fitted.closed, panel, schema, index, panel.lengths if before is None else before
    )
    return fixed_values(closed, panel, schema)


def inputs_of(fitted: Fitted, panel: Panel, before: Integers | None = None) -> Inputs:
    """A panel made ready as that of the fit was; parameters as in `fixed_of`."""
    config = fitted.config
    return make_inputs(
        panel,
        config.table,
        fitted.statistics,
        transform=Transform(config.power, fitted.effects, fixed_of(fitted, panel, before)),
        lags=config.lags,
        levels=config.levels,
        ids=fitted.history.ids,
        horizon=config.horizon,
    )


def _members(
    backend: Backend, config: Config, windows: Windows, index: WindowIndex
) -> list[list[Numbers]]:
    """The quantiles of the members of each group of networks, in the unit of the panel's values.

    Batches are full: no forecast then depends, even in its last bit, on the other windows. A batch is gathered once for
    all members that read it.
    """
    groups, (series, position) = config.members(), map(backend.to_array, index)
    parts = [
        [[np.zeros((0, config.horizon, len(config.levels)))] for _ in members] for members in groups
    ]
    with backend.running():
        for start in range(0, len(series), NETWORK_BATCH):
            some, batches = (
                slice(start, start + NETWORK_BATCH),
                dict[tuple[int, ScalingName], Batch](),
            )
            count = len(series[some])
            for group, members in enumerate(groups):
                read = members[0].lookback, members[0].scaling
                if read not in batches:
                    batches[read] = (
                        windows.cut(*read).batch(series[some], position[some]).padded(NETWORK_BATCH)
                    )
                for member in range(len(members)):
                    quantiles = batches[read].unscaled(
                        backend.quantiles(group, member, batches[read])
                    )
                    parts[group][member].append(backend.to_numpy(quantiles[:count]))
    return [[np.concatenate(member) for member in members] for members in parts]


def median_of_members(members: list[Numbers]) -> Numbers:
    """The median over members of each quantile; it keeps them in order."""
    ordered, last = list(members), len(members) - 1
    for number in range(
        len(members)
    ):  # passes that compare neighbours put in order what is as many
        for low in range(number % 2, last, 2):
            pair = ordered[low : low + 2]
            ordered[low : low + 2] = np.minimum(*pair), np.maximum(*pair)
    return np.asarray((ordered[last // 2] + ordered[len(members) // 2]) / 2)


def _agreed(
    base: Numbers, means: Numbers, deviation: Numbers, sums: Flags, members: Flags, floor: Numbers
) -> Numbers:
    """Quantiles of series [series, horizon, levels] with reconciled means; multiplied where no value lies below 0."""
    variance, matrix = deviation**2, members.astype(np.float64)
    of_series, expected = variance[~sums], means[~sums]
    shift = np.zeros_like(expected)
    for step in range(expected.shape[1]):
        covariance = matrix * of_series[:, step]
        gap = means[sums, step] - matrix @ expected[:, step]
        system = covariance @ matrix.T + np.diag(variance[sums, step])
        system[np.diag_indices_from(system)] += 1e-12 * max(float(np.trace(system)), 1e-300)
        shift[:, step] = covariance.T @ np.linalg.solve(system, gap)
    positive = (floor[~sums] >= 0)[:, None] & (expected > 0)
    factor = np.where(positive, np.maximum(1 + shift / np.where(positive, expected, 1.0), 0.0), 1.0)
    return np.asarray(base * factor[..., None] + np.where(positive, 0.0, shift)[..., None])


def panel_with_sums(panel: Panel, ids: tuple[str, ...], levels: Levels) -> Panel | None:
    """The panel with its sums; None where its series do not end together, so that they have none."""
    alone = np.array(panel.status or ("ok",)) != SUM
    ends = panel.origins[alone] if panel.status else panel.origins
    if (ends != ends[0]).any() or len(set(panel.ids)) < len(panel):
        return None
    return with_sums(panel, ids, levels)
