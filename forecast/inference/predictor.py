"""Forecast a panel chunk by chunk: networks, ensemble, calibration, reconciliation."""

import importlib
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, Protocol, Self

import numpy as np

from forecast.effects.closed import closed_now, fill_closed_slots, fixed_values
from forecast.errors import INSTALL, Setting, Unavailable, UsageError, raise_if_interrupted
from forecast.inference.fitted import CPU_DEVICES, Fitted
from forecast.metrics.quantiles import standard_deviation
from forecast.models import model_class
from forecast.panel.hierarchy import append_sums, find_members
from forecast.panel.panel import SUM, Flags, Integers, Numbers, Panel, series_index
from forecast.registry import has
from forecast.settings import EngineName
from forecast.threads import OnPart
from forecast.windows.inputs import Inputs, Transform, make_inputs
from forecast.windows.scaling import Array
from forecast.windows.windows import NETWORK_BATCH, Batch, ToArray, WindowIndex, Windows

EXTRA = "onnx"  # the optional dependency group of this package
EXTRA_PACKAGES = ("onnx", "onnxruntime")  # onnxruntime alone is enough to forecast
NETWORK_WINDOWS_AT_ONCE = 1024
TORCH = "torch"  # the only backend that returns attention weights
# share of the trace of a covariance matrix that is added to its diagonal to make it invertible
JITTER = 1e-12


def pick_engine(fitted: Fitted, engine: EngineName = "auto", device: str = "auto") -> EngineName:
    """The backend that runs the networks: onnx on the CPU if all have exports, else torch."""
    setting = Setting("engine", engine)
    on_cpu = device in CPU_DEVICES
    if engine == "onnx" and not on_cpu:
        without = f"leave out {Setting('device', device)}"
        raise UsageError("it runs on the CPU only", setting=setting, cure=without)
    reason = _missing_export(fitted) if on_cpu else "it runs on the CPU only"
    if not reason and not has_package("onnxruntime"):
        reason = "onnxruntime is not installed"
    if engine != "torch" and not reason:
        return "onnx"

    install = INSTALL.format(EXTRA) if reason.endswith("installed") else ""
    if engine == "onnx":
        instead = install or f"pass {Setting('engine', 'torch')}, or fit again"
        problem = f"onnx cannot run the networks of this forecaster: {reason}"
        raise Unavailable(problem, cure=instead)
    if has_package("torch"):
        return "torch"
    if engine == "torch":
        cure = "install it with `pip install torch`"
        raise Unavailable("torch is not installed", setting=setting, cure=cure)
    problem = "the networks of this forecaster need torch, which is not installed"
    cure = "`pip install torch`" + (install and f", or {install}")
    raise Unavailable(f"{problem}, since onnx cannot run them: {reason}", cure=cure)


def require_engine(engine: EngineName, model: str) -> None:
    """Refuse to train a model for an engine that is not installed, or cannot run it."""
    if engine != "onnx":
        return
    setting = Setting("engine", engine)
    reason = model_class(model).no_export if has("models", model) else ""
    if reason:
        problem = f"{model} has no export, as {reason}"
        cure = f"leave out {setting}"
        raise UsageError(problem, setting=Setting("model", model), cure=cure)
    if not all(map(has_package, EXTRA_PACKAGES)):
        problem = "onnx and onnxruntime are not installed"
        raise Unavailable(problem, setting=setting, cure=INSTALL.format(EXTRA))


def _missing_export(fitted: Fitted) -> str:
    """The reason why some network has no export; empty if every network has one."""
    models = [member.model for member in fitted.network_members]
    if len(fitted.exports) == len(models):
        return ""
    if not fitted.unexported:
        return f"it was saved without exports; {INSTALL.format(EXTRA)} and fit again to have them"
    number, reason = min(fitted.unexported.items())
    return f"{models[number]} has no export, as {reason}"


def has_package(package: str) -> bool:
    try:
        importlib.import_module(package)
    except ImportError:
        raise_if_interrupted()
        return False
    return True


class Backend(Protocol):
    """Runs the networks of a fitted forecaster on a device.

    Each backend is one file of this folder, with a class `Networks`.
    """

    to_array: ToArray  # copies a numpy array to the device on which batches are gathered
    threads: bool  # whether several threads may run networks at once

    # the block in which networks run; running out of memory in it raises `Unavailable`
    def guard_run(self) -> AbstractContextManager[None]: ...
    # the quantiles of one network, in the scaled unit of its windows: [batch, horizon, levels]
    def quantiles(self, group: int, member: int, batch: Batch) -> Array: ...
    # the attention weight of each step of the lookback, [batch, lookback]; None without attention.
    # Only the backend `TORCH` has it
    def attention(self, group: int, batch: Batch) -> Array | None: ...
    def to_numpy(self, array: Array) -> Numbers: ...


class Predictor:
    """A fitted forecaster whose networks, if any, are loaded."""

    def __init__(self, fitted: Fitted, device: str, engine: EngineName = "auto") -> None:
        self.fitted = fitted
        self.device = device
        self.backend: Backend | None = None
        # called after each chunk with the number of windows done and the number of all windows
        self.on_windows: OnPart | None = None
        if fitted.ensemble.networks or device not in CPU_DEVICES:  # raises if the device is missing
            self.backend = load_backend(fitted, device, pick_engine(fitted, engine, device))

    def replace_fitted(self, fitted: Fitted) -> Self:
        """The same networks with another description of the forecaster."""
        other = type(self).__new__(type(self))
        vars(other).update(vars(self), fitted=fitted)
        return other

    def __reduce__(self) -> tuple[type[Self], tuple[Any, ...]]:
        """What is sent to another process.

        The other process loads the networks itself, as onnxruntime sessions cannot be pickled.
        """
        engine = type(self.backend).__module__.rpartition(".")[2] if self.backend else "auto"
        return type(self), (self.fitted, self.device, engine)

    def quantiles(
        self,
        panel: Panel,
        series: Integers,
        position: Integers | None = None,
        left_out: Flags | None = None,
    ) -> Numbers:
        """Quantiles of the values after each window, [windows, horizon, quantile levels].

        A window is a series and the position just after its last past value; by default the past
        ends with the newest value. Windows in `left_out` are not forecast, but they keep their
        place when windows are split into chunks: the last bits of a matrix product depend on the
        chunk, so the other forecasts stay the same bit for bit.
        """
        config = self.fitted.config
        ends = np.ascontiguousarray(panel.lengths[series] if position is None else position)
        series = np.ascontiguousarray(series)
        used = np.ones(len(series), bool) if left_out is None else ~left_out
        if config.reconciles and _ends_together(panel):
            # summed series come after the single ones
            sums = append_sums(panel, config.table.ids, config.sums)
            return self._reconcile(sums, series[used], ends[used])

        before = panel.lengths.copy()
        np.minimum.at(before, series, ends)
        inputs = prepare_inputs(self.fitted, panel, before)
        windows = None  # the arrays from which networks cut their windows
        if self.backend is not None:
            with self.backend.guard_run():
                windows = inputs.arrays.to(self.backend.to_array)
        quantiles = [np.zeros((0, config.horizon, len(config.levels)))]
        for start in range(0, len(series), NETWORK_WINDOWS_AT_ONCE):
            end = min(start + NETWORK_WINDOWS_AT_ONCE, len(series))
            chunk = start + np.flatnonzero(used[start:end])
            index = series[chunk], ends[chunk]
            with np.errstate(over="ignore", invalid="ignore"):  # the caller refuses infinite values
                medians = list[Numbers]()  # of each group of networks, [windows, horizon, levels]
                if self.backend is not None and windows is not None:
                    groups = _members(self.backend, self.fitted, windows, index)
                    # quantiles stay in ascending order
                    medians = [np.median(group, 0) for group in groups]
                of_fit = inputs.series_index[index[0]]
                mixed = self.fitted.ensemble.quantiles(inputs, index, of_fit, medians)
                quantiles.append(inputs.restore(mixed, index))
            if self.on_windows is not None:
                self.on_windows(end, len(series))
        return np.concatenate(quantiles)

    def _reconcile(self, sums: Panel, series: Integers, position: Integers) -> Numbers:
        """Quantiles of windows of single series, [windows, horizon, levels], after reconciliation.

        The method is that of Wickramasuriya, Athanasopoulos and Hyndman (2019), with a diagonal
        covariance matrix. `sums` is a panel that has the summed series after the single ones. To
        reconcile a window, all series that have begun by its origin are forecast, too.
        """
        config = self.fitted.config
        calibration = self.fitted.ensemble.calibration
        unreconciled = config.model_copy(update={"reconciles": False})
        single = self.replace_fitted(replace(self.fitted, config=unreconciled))
        origins = sums.starts[series] + position
        floor = sums.floor()
        totals, members = find_members(sums)
        served = np.flatnonzero(~sums.skipped)
        quantiles = np.zeros((len(series), config.horizon, len(config.levels)))
        for origin in np.unique(origins):
            rows = np.flatnonzero(origins == origin)
            singles = np.union1d(served, series[rows])
            both = np.concatenate([singles, totals])
            ends = np.minimum(origin - sums.starts, sums.lengths)[both]
            has_begun = ends > 0
            both = both[has_begun]
            base = single.quantiles(sums, both, ends[has_begun])
            means = calibration.quantile_means(base, config.levels)
            deviation = standard_deviation(base, config.levels)
            is_sum = np.isin(both, totals)
            alone = both[~is_sum]
            of_series = members[np.isin(totals, both)][:, alone]
            agreed = _reconcile_series(
                base[~is_sum], means, deviation, is_sum, of_series, floor[both]
            )
            quantiles[rows] = agreed[np.searchsorted(alone, series[rows])]
        return quantiles

    def predict_quantiles(self, panel: Panel) -> Numbers:
        """Quantiles after the end of each series of a panel, [series, horizon, levels]."""
        config = self.fitted.config
        if not config.reconciles:
            return self.quantiles(panel, np.arange(len(panel)))
        quantiles = np.zeros((len(panel), config.horizon, len(config.levels)))
        for end in np.unique(panel.origins):  # only series that end together have a common sum
            rows = np.flatnonzero(panel.origins == end)
            quantiles[rows] = self.quantiles(panel.select(rows), np.arange(len(rows)))
        return quantiles

    def seed_spread(self, panel: Panel, series: Integers) -> float | None:
        """The standard deviation over networks of different seeds, as a share of their median.

        None if no group of networks has several members.
        """
        config = self.fitted.config
        if self.backend is None or all(len(members) == 1 for members in self.fitted.members()):
            return None
        inputs = prepare_inputs(self.fitted, panel)
        index = series, panel.lengths[series]
        windows = inputs.arrays.to(self.backend.to_array)
        size = deviation = 0.0
        for group in _members(self.backend, self.fitted, windows, index):
            if len(group) == 1:
                continue
            medians = np.stack(group, -1)[:, :, config.levels.index(0.5)]
            points = inputs.restore(medians, index)  # [series, horizon, members]
            size += np.abs(np.median(points, axis=-1)).sum()
            deviation += points.std(-1, ddof=1).sum()
        return deviation / size if size else None

    def attention(self, panel: Panel, series: Integers) -> Numbers:
        """The attention weight of each step of the newest lookback, [series, lookback].

        Raises `UsageError` if no network has attention.
        """
        backend = self.backend
        if self.fitted.ensemble.networks and TORCH not in type(backend).__module__:
            backend = load_backend(self.fitted, self.device, TORCH)  # exports forecast only
        if backend is not None:
            windows = prepare_inputs(self.fitted, panel).arrays.to(backend.to_array)
            index = backend.to_array(np.ascontiguousarray(series))
            for group, members in enumerate(self.fitted.members()):
                cut = windows.cut(members[0].lookback, members[0].scaling)
                batch = cut.batch(index, cut.lengths[index])
                weights = backend.attention(group, batch)
                if weights is not None:
                    return backend.to_numpy(weights)
        attentive = Setting("model", "attention-lstm")
        cure = f"fit with {attentive} and {Setting('guard', False)}"
        raise UsageError("no network with attention forecasts here", cure=cure)


def load_backend(fitted: Fitted, device: str, name: str) -> Backend:
    """The networks of a fitted forecaster, as the file `name` of this folder runs them."""
    module = importlib.import_module(f"forecast.inference.{name}")
    backend: Backend = module.Networks(fitted, device)
    return backend


def find_closed_values(
    fitted: Fitted, panel: Panel, before: Integers | None = None
) -> Numbers | None:
    """[slots], the constant value of each closed slot (0 if a shop is shut), else NaN.

    Only values at positions before `before` [series] can show that a slot is not closed.
    """
    schema = fitted.schema
    index = series_index(fitted.history.ids, panel.ids)
    before = panel.lengths if before is None else before
    closed = closed_now(fitted.effects.closed, panel, schema, index, before, len(fitted.history))
    return fixed_values(closed, panel, schema)


def fill_closed_values(fitted: Fitted, panel: Panel) -> Panel:
    """The panel with the constant values of closed slots as observed ones."""
    return fill_closed_slots(panel, find_closed_values(fitted, panel))


def prepare_inputs(fitted: Fitted, panel: Panel, before: Integers | None = None) -> Inputs:
    """The panel, prepared as that of the fit was; parameters are those of `find_closed_values`."""
    config = fitted.config
    fixed = find_closed_values(fitted, panel, before)
    ends = panel.lengths if before is None else before
    return make_inputs(
        panel,
        config.table,
        fitted.statistics,
        transform=Transform(config.power, fitted.effects, fixed, ends),
        lags=config.lags,
        levels=config.levels,
        ids=fitted.history.ids,
        horizon=config.horizon,
    )


def _members(
    backend: Backend, fitted: Fitted, windows: Windows, index: WindowIndex
) -> list[list[Numbers]]:
    """The quantiles of each member of each group of networks, in the unit of the panel's values.

    Each batch is padded to the full size, so that no forecast depends, even in its last bit, on
    the number of other windows. A batch is gathered once for all members that read it.
    """
    series, position = map(backend.to_array, index)
    config = fitted.config
    nothing = np.zeros((0, config.horizon, len(config.levels)))
    parts = [[[nothing] for _ in members] for members in fitted.members()]
    with backend.guard_run():
        for start in range(0, len(series), NETWORK_BATCH):
            rows = slice(start, start + NETWORK_BATCH)
            batches = {}
            for group, members in enumerate(fitted.members()):
                read = members[0].lookback, members[0].scaling
                if read not in batches:
                    gathered = windows.cut(*read).batch(series[rows], position[rows])
                    batches[read] = gathered.pad(NETWORK_BATCH)
                batch = batches[read]
                for member in range(len(members)):
                    scaled = backend.quantiles(group, member, batch)
                    quantiles = batch.unscale(scaled)[: len(series[rows])]
                    parts[group][member].append(backend.to_numpy(quantiles))
    return [[np.concatenate(member) for member in members] for members in parts]


def _reconcile_series(
    base: Numbers, means: Numbers, deviation: Numbers, sums: Flags, members: Flags, floor: Numbers
) -> Numbers:
    """Quantiles of series [series, horizon, levels] with reconciled means.

    The quantiles of a step are multiplied by a factor if the series has no values below 0 and the
    step has a positive mean; otherwise the change of the mean is added to them.
    """
    variance = deviation**2
    matrix = members.astype(np.float64)  # [sums, series]
    expected = means[~sums]  # [series, horizon]
    shift = np.zeros_like(expected)
    for step in range(expected.shape[1]):
        covariance = matrix * variance[~sums, step]
        gap = means[sums, step] - matrix @ expected[:, step]
        system = covariance @ matrix.T + np.diag(variance[sums, step])
        system[np.diag_indices_from(system)] += JITTER * max(np.trace(system), 1e-300)
        shift[:, step] = covariance.T @ np.linalg.solve(system, gap)
    is_positive = (floor[~sums] >= 0)[:, None] & (expected > 0)
    growth = 1 + shift / np.where(is_positive, expected, 1.0)
    factor = np.where(is_positive, np.maximum(growth, 0.0), 1.0)
    added = np.where(is_positive, 0.0, shift)
    return base * factor[..., None] + added[..., None]


def _ends_together(panel: Panel) -> bool:
    """Whether the series all end at the same time, each once; else they have no common sum."""
    ends = panel.origins
    if panel.status:
        ends = ends[np.array(panel.status) != SUM]
    return len(np.unique(ends)) == 1 and len(set(panel.ids)) == len(panel)
