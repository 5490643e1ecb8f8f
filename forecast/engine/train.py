"""The stage of a fit that trains networks.

Of the stages of a fit, only this one imports torch.
"""

import time
from typing import TYPE_CHECKING

import numpy as np

from forecast.engine.holdout import HeldOut, hold_out, too_short
from forecast.engine.requests import FitTask
from forecast.ensemble.candidates import candidates_for, compared_with
from forecast.ensemble.names import AUTO, check_model, is_baseline
from forecast.errors import Setting
from forecast.logs import log
from forecast.models import model_class
from forecast.training.plan import Member, Plan, TrainingContext, WarmStart

if TYPE_CHECKING:
    from forecast.training.fitting import Fitter
    from forecast.training.loop import Trained

FEW_STEPS = 100  # a network to which a budget leaves fewer has learned nothing, and is left out
CUT_EARLY = "the budget is too short for networks to learn; pass a larger %s"


def held_out_and_start(task: FitTask) -> tuple[HeldOut, WarmStart | None]:
    """What is held out, and the networks that training continues, if an earlier fit has some."""
    settings = task.settings
    earlier = task.request.earlier
    start = None
    if not settings.warm_start or is_baseline(settings.model):
        earlier = None
    held_out = hold_out(task, earlier)
    if earlier is not None:
        from forecast.engine.warm_start import find_start

        continued = find_start(earlier, _fitter(task, held_out), task.schema, task.panel.ids)
        if isinstance(continued, WarmStart):
            start = continued
        else:
            text = "training starts from scratch: the earlier fit cannot be continued, since %s"
            log.warning(text, continued)
            held_out = hold_out(task, None)
    return held_out, start


def train(
    task: FitTask, held_out: HeldOut, start: WarmStart | None
) -> "tuple[Plan, list[Trained]]":
    """Train networks; the returned plan describes those that have learned.

    If none has, it is empty, unless there is no baseline either.
    """
    compares = bool(compared_with(task.settings))
    if compares and task.deadline is not None and time.monotonic() > task.deadline:
        log.warning(CUT_EARLY, Setting("budget"))
        return Plan(members=()), []
    from forecast.training.devices import one_thread
    from forecast.training.halving import train_networks

    settings = task.settings
    inputs = held_out.inputs
    longest = inputs.panel.longest
    if longest < inputs.horizon + 2:
        raise too_short(task, longest, longest - 2, AUTO)
    fitter = _fitter(task, held_out)
    check_model(settings.model)
    candidates = candidates_for(
        settings,
        task.schema,
        held_out.lookback,
        int(np.median(held_out.split.train_end)) // 2,
        inputs.season,
        fitter.count,
    )
    context = TrainingContext(
        task.deadline,
        task.request.callbacks.on_step,
    )
    with one_thread():
        plan, trained = train_networks(
            fitter, candidates, held_out.validation.mean_loss, context, start
        )
    if task.deadline is None:
        return plan, trained
    pairs = list(zip(plan.members, trained, strict=True))
    learned = [pair for pair in pairs if _has_learned(*pair, settings.steps)]
    if not learned:
        log.warning(CUT_EARLY, Setting("budget"))
    if learned or compares:
        pairs = learned
    members = tuple(member for member, _ in pairs)
    return plan.model_copy(update={"members": members}), [result for _, result in pairs]


def _has_learned(member: Member, result: "Trained", steps_asked: int | None) -> bool:
    """Whether a network was trained for long enough, or needs no long training."""
    model = model_class(member.model)
    quick = model.rows_at_once or model.starts_trained or member.warm
    steps = result.cut or steps_asked or member.steps
    return bool(quick) or steps >= FEW_STEPS or steps == steps_asked


def _fitter(task: FitTask, held_out: HeldOut) -> "Fitter":
    from forecast.training.fitting import Fitter

    return Fitter.prepare(held_out.inputs, held_out.split, task.settings)
