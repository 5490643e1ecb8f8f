"""List the models, or the settings of one."""

import click

from forecast.cli._console import put, style_options


@click.command()
@click.argument("name", required=False)
@style_options
def command(name: str | None) -> None:
    """List the models; with NAME, list that model's own settings, which `-p KNOB=VALUE` sets."""
    from forecast.baselines.baselines import AUTOMATIC, BASELINES
    from forecast.models import model_knobs, model_names, model_summary

    if name in (*BASELINES, *AUTOMATIC):
        put(f"{name}: a baseline, without settings")
        return
    if name is None:
        names = model_names()
        width = max(map(len, names))
        for each in names:
            put(f"{each:<{width}}  {model_summary(each)}")
        put(f"baselines, which are models too: {', '.join([*BASELINES, *AUTOMATIC])}")
        return
    put(model_summary(name))
    for knob, field in model_knobs(name).model_fields.items():
        put(f"  -p {knob}={field.default}  {field.description}")
