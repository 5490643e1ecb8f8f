"""The order of the stages: from a panel to a fitted forecaster, and from that to quantiles."""

import logging
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from forecast.artifacts.fitted import RUN_ONLY, Config, Fitted, read_plan
from forecast.errors import BadData, UsageError
from forecast.evaluation.calibration import say_few_scores
from forecast.evaluation.metrics import seasonal_errors
from forecast.evaluation.quantiles import LEVELS
from forecast.models.shared.model import RecurrentModel
from forecast.selection.auto import compared_with, train_networks
from forecast.selection.components import memory_of
from forecast.selection.judge import Judge
from forecast.selection.mixture import Rivals, choose_mixture
from forecast.series.building import calendar_of, format_positions
from forecast.series.comparing import mean_level
from forecast.series.covariates import fit_statistics
from forecast.series.panel import SKIPPED, Panel
from forecast.series.schema import Schema
from forecast.series.spans import choose_lags, choose_lookback
from forecast.series.transforms import fit_power, undo_power
from forecast.settings import TrainSettings
from forecast.training.devices import pick_device, threads
from forecast.training.fitting import Fitter
from forecast.training.holding import choose_spans, held_out_places
from forecast.training.inputs import Inputs, network_shape
from forecast.training.loop import Progress
from forecast.training.members import median_of_members, network_quantiles, rebuild

log = logging.getLogger("forecast")

COMMON = 95.0  # the interval, in percent, whose calibration fit speaks of
LEAST_STEPS = 100  # a budget that ends training earlier leaves a network that has hardly learned
CHUNK = 8192  # windows that are forecast at once


def fit_panel(
    panel: Panel,
    schema: Schema,
    settings: TrainSettings,
    name: str,
    deadline: float | None = None,
    on_step: Callable[[Progress], None] | None = None,
) -> Fitted:
    """Hold out, train, compare, blend and calibrate.

    Parameters
    ----------
    panel : with a horizon of future slots
    schema : how the table was read
    settings : of training
    name : of the table, for messages
    deadline : `time.monotonic()` at which training must be over
    on_step : is given the progress after each training step

    Raises
    ------
    BadData
        If the series are too short for the horizon.
    """
    horizon, longest = panel.ahead, int(panel.lengths.max())
    lags = choose_lags(panel, schema.season)
    lookback = settings.lookback or choose_lookback(horizon, lags, longest)
    kept = np.flatnonzero(~np.isin(panel.status, SKIPPED))
    used = panel.select(kept)
    if int(used.lengths.max()) < horizon + 2:
        raise BadData(
            f"{name}: the longest series has {int(used.lengths.max())} values, too few to learn a horizon of "
            f"{horizon} from; pass a smaller --horizon"
        )
    season = schema.season[0] if schema.season else 1
    spans = choose_spans(used.lengths, lookback, horizon, lags[0] if lags else 1)
    power = fit_power(settings.transform, used, season)
    statistics = fit_statistics(used, schema, spans.train_end)
    inputs = Inputs.of(
        used,
        schema,
        statistics,
        power=power,
        lags=lags,
        levels=LEVELS,
        ids=panel.ids,
        loss=settings.loss,
        horizon=horizon,
        device=pick_device(settings.device),
    )
    fitter = Fitter(inputs, spans, held_out_places(spans), settings)
    plan = read_plan(settings.plan) if settings.plan else None
    judge = Judge.of(inputs, fitter.places, power, settings.metric)
    memory = memory_of(lookback, lags, longest)
    # before training, so that the deadline holds for it too
    rivals = Rivals.of(inputs, judge, compared_with(settings), lookback=lookback, memory=memory)
    plan, trained = train_networks(fitter, judge, lookback, plan, deadline, on_step)
    if any(one.cut is not None and one.cut < LEAST_STEPS for one in trained):
        fewest = min(one.steps for one in trained)
        log.warning("the budget ended training after %d steps; that is hardly any, pass a larger --budget", fewest)
    mixture = choose_mixture(
        inputs,
        judge,
        [
            (plan.members[group[0]].model, median_of_members([trained[i].held_out.numpy() for i in group]))
            for group in plan.groups()
        ],
        rivals,
        lookback=lookback,
        memory=memory,
    )
    say_few_scores(mixture.calibration.windows, COMMON)
    groups = plan.groups()
    used_members = [number for group in mixture.networks for number in groups[group]]
    seen = [plan.members[number].lookback + max(lags, default=0) for number in used_members]
    history = panel.tail(max(mixture.memory, lookback, *seen))
    return Fitted(
        config=Config(
            table=schema,
            settings=settings.model_dump(exclude=RUN_ONLY, exclude_defaults=True),
            plan=plan,
            horizon=horizon,
            lookback=lookback,
            memory=mixture.memory,
            lags=lags,
            levels=LEVELS,
            power=power,
            train_end=str(format_positions(schema, calendar_of(schema), panel.origins.max(keepdims=True))[0]),
            components=mixture.components,
            networks=mixture.networks,
            scores=mixture.scores,
            validation=tuple(one.validation for one in trained),
            trained_steps=tuple(one.steps for one in trained),
        ),
        statistics=statistics,
        level=mean_level(panel.tail(lookback + max(lags, default=0))),
        seasonal_error=seasonal_errors(panel.values, panel.observed, panel.offsets, season),
        mixture=mixture,
        history=history,
        weights=[{name: value.numpy() for name, value in trained[i].weights.items()} for i in used_members],
    )


class Engine:
    """A fitted forecaster at work: its networks rebuilt on a device.

    Parameters
    ----------
    fitted : what predict needs
    device : where the networks run

    Attributes
    ----------
    networks : the members of each group of networks that has a share in the forecast
    """

    def __init__(self, fitted: Fitted, device: torch.device) -> None:
        self.fitted, self.device = fitted, device
        self.networks: list[list[RecurrentModel]] = []
        config, saved = fitted.config, iter(fitted.weights)
        for group in config.members():
            shape = network_shape(
                config.table,
                config.horizon,
                group[0].lookback,
                config.lags,
                config.levels,
                len(fitted.history),
                fitted.settings().loss,
            )
            weights = [{name: torch.from_numpy(array) for name, array in next(saved).items()} for _ in group]
            self.networks.append([rebuild(group[0], shape, one, device) for one in weights])

    def quantiles(
        self,
        panel: Panel,
        series: NDArray[np.int64],
        position: NDArray[np.int64] | None = None,
        joint: bool = False,
    ) -> NDArray[np.float64]:
        """Quantiles of what comes after windows, [windows, horizon, levels], in the target's own unit.

        Parameters
        ----------
        panel : of any series, values as they were read
        series, position : [windows], each a series and the slot that its past ends before; default the newest
        joint : widen the intervals so that they hold whole paths
        """
        inputs, config = self._inputs(panel), self.fitted.config
        place = panel.lengths[series] if position is None else position
        places = np.ascontiguousarray(series), np.ascontiguousarray(place)
        seed = self.fitted.settings().seed
        parts = [np.zeros((0, config.horizon, len(config.levels)))]
        for start in range(0, len(series), CHUNK):
            some = places[0][start : start + CHUNK], places[1][start : start + CHUNK]
            with threads(1):
                networks = [
                    median_of_members([network_quantiles(one, inputs.windows(members[0]), some, seed) for one in group])
                    for members, group in zip(config.members(), self.networks, strict=True)
                ]
            mixed = self.fitted.mixture.quantiles(inputs, some, inputs.numbers[some[0]], networks, joint)
            parts.append(undo_power(mixed, config.power))
        return np.concatenate(parts)

    def attention(self, panel: Panel, series: NDArray[np.int64]) -> NDArray[np.float64]:
        """The weight of each step of the newest past of each of `series`, [series, lookback].

        Raises
        ------
        UsageError
            If no network has attention.
        """
        for members, networks in zip(self.fitted.config.members(), self.networks, strict=True):
            weigh = getattr(networks[0], "attention", None)
            if weigh is not None:
                windows = self._inputs(panel).windows(members[0])
                index = torch.from_numpy(np.ascontiguousarray(series)).to(windows.device)
                with torch.no_grad():
                    weights = weigh(windows.batch(index, windows.lengths[index]))
                return np.asarray(weights.cpu().double().numpy())
        raise UsageError("no network with attention forecasts here; fit --model attention-lstm --no-guard")

    def _inputs(self, panel: Panel) -> Inputs:
        config = self.fitted.config
        return Inputs.of(
            panel,
            config.table,
            self.fitted.statistics,
            power=config.power,
            lags=config.lags,
            levels=config.levels,
            ids=self.fitted.history.ids,
            loss=self.fitted.settings().loss,
            horizon=config.horizon,
            device=self.device,
        )
