"""The command `models`."""

from forecast.baselines.shared.method import baseline_method
from forecast.cli._command import Request
from forecast.cli._console import put, suggest
from forecast.errors import INSTALL
from forecast.models import model_class, model_names
from forecast.registry import baseline_names, find_entry, is_baseline, plugins


def run(request: Request) -> None:
    if request.name is None:
        _put_all()
        return
    name = request.name
    if is_baseline(name):
        method = baseline_method(name)
        notes = [f"{name}: a baseline, without settings"]
        if method.extra:
            notes.append(f"it needs {INSTALL.format(method.extra)}")
        if method.about:
            notes.append(method.about())
        put("; ".join(filter(None, notes)))
    else:
        put(find_entry("models", name).summary())
        for setting, field in model_class(name).Params.model_fields.items():
            put(f"  -p {setting}={field.default}  {field.description}")
    suggest("fit", "DATA", "--model", name)


def _put_all() -> None:
    packages = {name: f" ({entry.package})" for name, entry in plugins().items()}
    names = model_names()
    width = max(map(len, names))
    for name in names:
        summary = find_entry("models", name).summary()
        put(f"{name:<{width}}  {summary}{packages.get(name, '')}")
    baselines = ", ".join(f"{name}{packages.get(name, '')}" for name in baseline_names())
    put(f"baselines, which are models too: {baselines}")
    suggest("models", names[0])
