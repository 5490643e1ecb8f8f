"""Which backend runs the networks of a forecaster, and why none can."""

import importlib

from forecast.errors import INSTALL, Setting, Unavailable, UsageError, Words, raise_if_interrupted
from forecast.inference.fitted import CPU_DEVICES, Fitted
from forecast.models import model_class
from forecast.registry import has
from forecast.settings import EngineName

EXTRA, EXTRA_PACKAGES = "onnx", ("onnx", "onnxruntime")  # of this package; the second is enough to forecast


def pick_engine(fitted: Fitted, engine: EngineName = "auto", device: str = "auto") -> str:
    """The name of the backend that runs the networks of a fitted forecaster.

    Auto takes onnx where it is installed, the device is the CPU and all networks have exports, else torch.
    """
    if engine == "onnx" and device not in CPU_DEVICES:
        instead = Words("leave out ", Setting("device", device))
        raise UsageError("it runs on the CPU only", setting=Setting("engine", engine), cure=instead)
    reason = "" if device in CPU_DEVICES else "it runs on the CPU only"
    reason = reason or _missing_export(fitted) or ("" if installed("onnxruntime") else "onnxruntime is not installed")
    if engine != "torch" and not reason:
        return "onnx"
    cure = INSTALL.format(EXTRA)
    if engine == "onnx":
        again = Words("pass ", Setting("engine", "torch"), ", or fit again")
        problem = f"onnx cannot run the networks of this forecaster: {reason}"
        raise Unavailable(problem, cure=cure if reason.endswith("installed") else again)
    if installed("torch"):
        return "torch"
    if engine == "torch":
        asked = Setting("engine", engine)
        raise Unavailable("torch is not installed", setting=asked, cure="install it with `pip install torch`")
    raise Unavailable(
        f"the networks of this forecaster need torch, which is not installed, since onnx cannot run them: {reason}",
        cure="`pip install torch`" + (f", or {cure}" if reason.endswith("installed") else ""),
    )


def require_engine(engine: EngineName, model: str) -> None:
    """Refuse to train a model for an engine that is not installed, or cannot run it."""
    if engine != "onnx":
        return
    if has("models", model) and (reason := model_class(model).no_export):
        instead = Words("leave out ", Setting("engine", engine))
        raise UsageError(f"{model} has no export, as {reason}", setting=Setting("model", model), cure=instead)
    if not all(map(installed, EXTRA_PACKAGES)):
        asked = Setting("engine", engine)
        raise Unavailable("onnx and onnxruntime are not installed", setting=asked, cure=INSTALL.format(EXTRA))


def _missing_export(fitted: Fitted) -> str:
    """Why not all networks have an export; empty where they do."""
    exports, count = fitted.exports, sum(map(len, fitted.config.members()))
    if len(exports.files) == count:
        return ""
    if not exports.missing:
        return f"it was saved without exports; {INSTALL.format(EXTRA)} and fit again to have them"
    models = [member.model for members in fitted.config.members() for member in members]
    number, why = min(exports.missing.items())
    return f"{models[number]} has no export, as {why}"


def installed(package: str) -> bool:
    """Whether a package can be imported."""
    try:
        importlib.import_module(package)
    except ImportError:
        raise_if_interrupted()
        return False
    return True
