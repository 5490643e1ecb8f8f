"""Write a chart to a file: PNG, SVG, PDF, or a page of HTML that needs no other file; or hand it to a notebook."""

from html import escape
from pathlib import PurePath
from typing import Any

from forecast.durable import replace_file
from forecast.errors import INSTALL, Setting, Unavailable, UsageError
from forecast.report.chart import Chart
from forecast.report.gallery import as_json
from forecast.report.vega import vega_lite

SUFFIXES = (".png", ".svg", ".pdf", ".html")
SHARPNESS = 2.0  # pixels of a PNG for each unit of the drawing
NEEDED = f"the packages altair and vl-convert-python; {INSTALL.format('plot')}"

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
        problem = f"pictures are written as {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
        raise UsageError(problem, setting=Setting("output", output), cure="name such a file")
    try:
        import vl_convert  # noqa: F401
    except ImportError:
        raise Unavailable(f"needs {NEEDED}", setting=Setting("output", output)) from None


def altair_chart(chart: Chart) -> Any:
    """A chart for a notebook; `Unavailable` if Altair is not installed."""
    try:
        import altair
    except ImportError:
        raise Unavailable(f"pictures need {NEEDED}") from None
    kind = altair.LayerChart if len(chart.series) == 1 else altair.ConcatChart
    return kind.from_dict(vega_lite(chart))


def write_chart(chart: Chart, output: str) -> None:
    """Write a chart to a file that `check_chart_file` takes, and fetch nothing; the file is replaced at once."""
    import vl_convert

    convert: Any = vl_convert  # its stub asks for an argument that it does not need
    spec, suffix = vega_lite(chart, hover=False), PurePath(output).suffix.lower()
    if suffix == ".png":
        content = convert.vegalite_to_png(spec, scale=SHARPNESS, allowed_base_urls=[])
    elif suffix == ".pdf":
        content = convert.vegalite_to_pdf(spec, allowed_base_urls=[])
    else:
        content = svg = convert.vegalite_to_svg(spec, allowed_base_urls=[])
        if suffix == ".html":
            title = escape("Forecast of " + ", ".join(series.name for series in chart.series))
            library = convert.javascript_bundle().replace("</script", "<\\/script")
            content = PAGE.format(title=title, svg=svg, library=library, spec=as_json(vega_lite(chart)))
    replace_file(output, content.encode() if isinstance(content, str) else bytes(content))
