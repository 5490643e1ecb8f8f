"""Write a chart to a file: PNG, SVG, PDF, or a page of HTML that needs no other file; or hand it to a notebook."""

import json
from html import escape
from pathlib import PurePath
from typing import Any

from forecast.durable import replace_file
from forecast.errors import Setting, Unavailable, UsageError
from forecast.report.chart import Chart
from forecast.report.vega import vega_lite

SUFFIXES = (".png", ".svg", ".pdf", ".html")
SHARPNESS = 2.0  # pixels of a PNG for each unit of the drawing
NEEDED = "the packages altair and vl-convert-python: pip install forecast[plot]"

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; \
script-src 'unsafe-inline' 'unsafe-eval'; img-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ margin: 1.5rem; background: white; font-family: Helvetica, Arial, sans-serif; }}
svg {{ max-width: 100%; height: auto; }}
</style>
</head>
<body>
<div id="still">{svg}</div>
<div id="live"></div>
<script>{library}</script>
<script id="picture" type="application/json">{spec}</script>
<script>
const spec = JSON.parse(document.getElementById("picture").textContent);
vegaEmbed("#live", spec, {{actions: false, renderer: "svg", mode: "vega-lite"}}).then(
  () => document.getElementById("still").remove(),
  () => document.getElementById("live").remove(),
);
</script>
</body>
</html>
"""


def check_chart_file(output: str) -> None:
    """Refuse an output file whose suffix is none of a chart, and say if the package that draws is missing."""
    if PurePath(output).suffix.lower() not in SUFFIXES:
        raise UsageError(
            f"pictures are written as {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}",
            setting=Setting("output", output),
            cure="name such a file",
        )
    try:
        import vl_convert  # noqa: F401
    except ImportError:
        raise Unavailable(f"needs {NEEDED}", setting=Setting("output", output)) from None


def write_chart(chart: Chart, output: str) -> None:
    """Write a chart to a file that `check_chart_file` takes; the file is replaced at once, or stays as it was."""
    replace_file(output, _content(chart, PurePath(output).suffix.lower()))


def altair_chart(chart: Chart) -> Any:
    """A chart for a notebook.

    Raises
    ------
    Unavailable
        If Altair is not installed.
    """
    try:
        import altair
    except ImportError:
        raise Unavailable(f"pictures need {NEEDED}") from None
    kind = altair.LayerChart if len(chart.series) == 1 else altair.ConcatChart
    return kind.from_dict(vega_lite(chart))


def _content(chart: Chart, suffix: str) -> bytes:
    """A chart as the content of a file; nothing is fetched."""
    import vl_convert

    convert: Any = vl_convert  # its stub asks for an argument that it does not need
    spec = vega_lite(chart, hover=False)
    if suffix == ".png":
        return bytes(convert.vegalite_to_png(spec, scale=SHARPNESS, allowed_base_urls=[]))
    if suffix == ".pdf":
        return bytes(convert.vegalite_to_pdf(spec, allowed_base_urls=[]))
    svg = convert.vegalite_to_svg(spec, allowed_base_urls=[])
    if suffix == ".svg":
        return str(svg).encode()
    title = escape("Forecast of " + ", ".join(one.name for one in chart.series))
    live = json.dumps(vega_lite(chart)).replace("<", "\\u003c")  # no tag ends the script
    library = convert.javascript_bundle().replace("</script", "<\\/script")
    return PAGE.format(title=title, svg=svg, library=library, spec=live).encode()
