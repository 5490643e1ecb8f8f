"""List the models, or the settings of one."""

import click

from forecast.cli._console import put, say_next, style_options
from forecast.cli._help import with_examples


@with_examples(
    "forecast models",
    "forecast models segrnn",
)
@click.argument("name", required=False)
@style_options
def command(name: str | None) -> None:
    """List the models; with NAME, list that model's own settings, which `-p KNOB=VALUE` sets."""
    from forecast.baselines import baseline_method, baseline_names
    from forecast.models import model_names, model_params, model_summary

    if name in baseline_names():
        method = baseline_method(name)
        more = [f"it needs the extra {method.extra}"] if method.extra else []
        more += [method.about()] if method.about else []
        put("; ".join([f"{name}: a baseline, without settings", *more]))
        say_next("fit", "DATA", "--model", name)
        return
    if name is None:
        names = model_names()
        width = max(map(len, names))
        for each in names:
            put(f"{each:<{width}}  {model_summary(each)}")
        put(f"baselines, which are models too: {', '.join(baseline_names())}")
        say_next("models", names[0])
        return
    put(model_summary(name))
    for knob, field in model_params(name).model_fields.items():
        put(f"  -p {knob}={field.default}  {field.description}")
    say_next("fit", "DATA", "--model", name)
