"""List the models, or the settings of one."""

from forecast.baselines import baseline_method, baseline_names
from forecast.cli._command import Request
from forecast.cli._console import put, suggest
from forecast.models import model_names, model_params, model_summary


def run(request: Request) -> None:
    """Print a line for each model, or the settings of one."""
    name = request.name
    if name is None:
        names = model_names()
        width = max(map(len, names))
        put(*(f"{model:<{width}}  {model_summary(model)}" for model in names))
        put(f"baselines, which are models too: {', '.join(baseline_names())}")
        suggest("models", names[0])
        return
    if name in baseline_names():
        method = baseline_method(name)
        notes = f"it needs the extra {method.extra}" if method.extra else "", method.about() if method.about else ""
        put("; ".join([f"{name}: a baseline, without settings", *filter(None, notes)]))
    else:
        put(model_summary(name))
        for setting, field in model_params(name).model_fields.items():
            put(f"  -p {setting}={field.default}  {field.description}")
    suggest("fit", "DATA", "--model", name)
