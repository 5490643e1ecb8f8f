"""Names that the setting `model` takes: networks, baselines, and auto."""

from contextlib import suppress

from forecast.baselines.shared.method import baseline_method
from forecast.errors import Setting, UsageError, did_you_mean
from forecast.metrics.metrics import find_measure
from forecast.models import model_class, model_names
from forecast.registry import baseline_names
from forecast.registry import is_baseline as is_baseline
from forecast.settings import TrainSettings

AUTO = "auto"
# the pretrained network, which counts as a baseline; as the model of a fit, it is compared with the
# other baselines
PRETRAINED = "pretrained"
FINETUNED = "finetuned"  # the pretrained network as a candidate, trained further
# baselines from an optional package, which a fit compares as well where it is installed
FROM_PACKAGE = ("arima", "ces", "ets")
# the network that auto trains if hyperparameters or steps of a network are given
FIRST_NETWORK = "segrnn"


def check_names(settings: TrainSettings, models: tuple[str, ...] = ()) -> None:
    """Refuse models, hyperparameters and baselines that do not exist (`UsageError`).

    `models`, if given, are checked instead of the model in the settings.
    """
    check_models(settings, models)
    find_measure(settings.metric)
    for name in models or (settings.model,):
        if settings.params and not is_baseline(name):
            network = FIRST_NETWORK if name == AUTO else name
            with suppress(ModuleNotFoundError):  # without torch no network is fitted
                model_class(network).Params.check(
                    settings.params, f"model {network}: ", within="params"
                )


def check_models(settings: TrainSettings, models: tuple[str, ...] = ()) -> None:
    """Do what `check_names` does, except for the hyperparameters of networks."""
    for name in models or (settings.model,):
        check_model(name)
        if settings.params and is_baseline(name) and not models:
            raise UsageError(
                f"the baseline '{name}' has no hyperparameters", setting=Setting("params")
            )
    for name in settings.baselines:
        baseline_method(name)


def check_model(name: str) -> None:
    """Refuse a model that does not exist, with the nearest name (`UsageError`)."""
    known = [AUTO, *model_names(), *baseline_names()]
    if name not in known:
        raise UsageError(
            f"unknown model '{name}'{did_you_mean(name, known)} (models: {', '.join(known)})"
        )
