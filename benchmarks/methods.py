"""What can be measured: a bare fit, `forecast now`, all our models and baselines, and the peers that are installed."""

import importlib
import json
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from forecast.errors import did_you_mean
from forecast.models import model_names

DEFAULT, NOW = "default", "now"


@dataclass(frozen=True)
class Method:
    """One way to forecast.

    Attributes
    ----------
    model : the name of the model, ours or the peer's; None is what a bare fit takes
    module : of `benchmarks.peers`, None where it is our own
    package : import name of the peer
    python : the interpreter that it runs by
    random : another seed gives other forecasts
    bounded : it takes a budget in seconds
    windows : a frozen fit forecasts from thousands of origins in acceptable time
    known : of a peer: it takes columns that are known in advance
    at_once : one command forecasts, and there is no fit
    """

    name: str
    model: str | None = None
    module: str | None = None
    package: str | None = None
    python: str = sys.executable
    random: bool = True
    bounded: bool = True
    windows: bool = True
    known: bool = False
    at_once: bool = False

    def model_flags(self) -> list[str]:
        """The options of a fit or a backtest that choose the model; a named model forecasts alone."""
        if self.model is None:
            return []
        return ["--model", self.model, *([] if self.at_once else ["--no-guard"])]


PEERS = (
    Method("neuralforecast-gru", "GRU", "neuralforecast", "neuralforecast", bounded=False),
    Method("neuralforecast-lstm", "LSTM", "neuralforecast", "neuralforecast", bounded=False),
    Method("darts-block-lstm", "LSTM", "darts", "darts", bounded=False),
    Method("gluonts-deepar", "DeepAR", "gluonts", "gluonts", bounded=False, windows=False),
    Method(
        "lightgbm-lags",
        "levels",
        "mlforecast",
        "mlforecast",
        bounded=False,
        random=False,
        known=True,
    ),
    Method(
        "lightgbm-differences",
        "differences",
        "mlforecast",
        "mlforecast",
        bounded=False,
        random=False,
        known=True,
    ),
    Method("autogluon", None, "autogluon", "autogluon.timeseries", windows=False),
    Method(
        "statsforecast-mstl",
        "MSTL",
        "statsforecast",
        "statsforecast",
        bounded=False,
        random=False,
        windows=False,
    ),
    Method(
        "statsforecast-theta",
        "DynamicOptimizedTheta",
        "statsforecast",
        "statsforecast",
        bounded=False,
        random=False,
        windows=False,
    ),
)


def own_methods() -> list[Method]:
    """A bare fit, `forecast now`, the models of the registry, and the baselines.

    `pretrained` is the pretrained network alone; in `now` it shares the forecast with the other baselines.
    """
    baselines = baseline_names()
    networks = [Method(name, name) for name in model_names() if name not in baselines]
    slow = ("arima", "ces", "ets", "auto-theta")  # they choose a model anew for each window
    classical = [
        Method(name, name, random=False, bounded=False, windows=name not in slow)
        for name in baselines
    ]
    at_once = Method(NOW, "pretrained", random=False, bounded=False, windows=False, at_once=True)
    return [Method(DEFAULT), at_once, *networks, *classical]


def baseline_names() -> list[str]:
    """The classical methods of this project; none where its version has none."""
    try:
        module = importlib.import_module("forecast.registry")
    except ModuleNotFoundError:
        return []
    return list(module.baseline_names())


def installed_peers(pythons: Sequence[str]) -> tuple[list[Method], list[str]]:
    """The peers that an interpreter can import, each with the first such one; and the names of the others."""
    found: dict[str, str] = {}
    packages = sorted({str(peer.package) for peer in PEERS})
    for python in pythons:
        for package in _importable(python, packages):
            found.setdefault(package, python)
    there = [
        replace(peer, python=found[str(peer.package)]) for peer in PEERS if peer.package in found
    ]
    return there, [peer.name for peer in PEERS if peer.package not in found]


def choose(methods: Iterable[Method], names: Sequence[str]) -> list[Method]:
    """Those that are named, in that order; all where none is.

    Raises
    ------
    ValueError
        If a name is unknown.
    """
    by_name = {method.name: method for method in methods}
    for name in names:
        if name not in by_name:
            hint = did_you_mean(name, list(by_name))
            raise ValueError(
                f"--methods {name}: unknown or not installed{hint}; methods: {', '.join(by_name)}"
            )
    return [by_name[name] for name in names] if names else list(by_name.values())


_ASK = """
import importlib.util, json, sys
def there(name):
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False
print(json.dumps([name for name in sys.argv[1:] if there(name)]))
"""


def _importable(python: str, packages: Sequence[str]) -> list[str]:
    try:
        # isolated, so that the folders here are not taken for packages of the same name
        asked = subprocess.run(
            [python, "-I", "-c", _ASK, *packages], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise ValueError(
            f"--peers-python {python}: does not run as a Python interpreter ({error})"
        ) from error
    names: list[str] = json.loads(asked.stdout)
    return names
