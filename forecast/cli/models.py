"""List the models, or the settings of one."""

from forecast.baselines.shared.method import baseline_method
from forecast.cli._command import Request
from forecast.cli._console import put, suggest
from forecast.errors import INSTALL
from forecast.models import model_class, model_names
from forecast.registry import baseline_names, entry_of, is_baseline, plugins


def run(request: Request) -> None:
    name = request.name
    if name is None:
        names = model_names()
        width, packages = (
            max(map(len, names)),
            {name: f" ({entry.package})" for name, entry in plugins().items()},
        )
        put(
            *(
                f"{name:<{width}}  {entry_of('models', name).summary()}{packages.get(name, '')}"
                for name in names
            )
        )
        baselines = ", ".join(f"{name}{packages.get(name, '')}" for name in baseline_names())
        put(f"baselines, which are models too: {baselines}")
        suggest("models", names[0])
        return
    if is_baseline(name):
        method = baseline_method(name)
        extra = f"it needs {INSTALL.format(method.extra)}" if method.extra else ""
        notes = extra, method.about() if method.about else ""
        put("; ".join([f"{name}: a baseline, without settings", *filter(None, notes)]))
    else:
        put(entry_of("models", name).summary())
        for setting, field in model_class(name).Params.model_fields.items():
            put(f"  -p {setting}={field.default}  {field.description}")
    suggest("fit", "DATA", "--model", name)
