"""Write a picture to a file: PNG, SVG, PDF, or a page of HTML that needs no other file."""

import json
from html import escape
from pathlib import PurePath
from typing import Any

from forecast.durable import replace_file
from forecast.errors import Setting, Unavailable, UsageError
from forecast.report.drawing import chart
from forecast.report.picture import Picture

SUFFIXES = (".png", ".svg", ".pdf", ".html")
SHARPNESS = 2.0  # pixels of a PNG for each unit of the drawing

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
vegaEmbed("#live", spec, {{actions: false, renderer: "svg"}}).then(
  () => document.getElementById("still").remove(),
  () => document.getElementById("live").remove(),
);
</script>
</body>
</html>
"""


def check_picture(output: str) -> None:
    """Refuse an output file whose suffix is none of a picture, and say if the packages that draw are missing."""
    if _suffix(output) not in SUFFIXES:
        raise UsageError(
            f"pictures are written as {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}",
            setting=Setting("output", output),
            cure="name such a file",
        )
    _converter(output)


def write_picture(picture: Picture, output: str) -> None:
    """Write a picture to a file, whose suffix decides the format; the file is replaced at once, or stays as it was.

    Raises
    ------
    UsageError
        If the suffix is none of a picture.
    Unavailable
        If the packages that draw are not installed.
    """
    check_picture(output)
    replace_file(output, picture_bytes(picture, _suffix(output)))


def picture_bytes(picture: Picture, suffix: str) -> bytes:
    """A picture as the content of a file with one of `SUFFIXES`; nothing is fetched."""
    convert = _converter(suffix)
    spec = chart(picture, hover=False).to_dict(validate=False)
    how: dict[str, Any] = {"vl_version": _version(spec), "allowed_base_urls": []}
    if suffix == ".png":
        png: bytes = convert.vegalite_to_png(spec, scale=SHARPNESS, **how)
        return png
    if suffix == ".pdf":
        pdf: bytes = convert.vegalite_to_pdf(spec, **how)
        return pdf
    svg: str = convert.vegalite_to_svg(spec, **how)
    if suffix == ".svg":
        return svg.encode()
    title = escape("Forecast of " + ", ".join(drawn.name for drawn in picture.series))
    live = json.dumps(chart(picture).to_dict(validate=False)).replace("<", "\\u003c")  # no tag ends the script
    library = convert.javascript_bundle(vl_version=how["vl_version"]).replace("</script", "<\\/script")
    return PAGE.format(title=title, svg=svg, library=library, spec=live).encode()


def _suffix(output: str) -> str:
    return PurePath(output).suffix.lower()


def _version(spec: dict[str, Any]) -> str:
    """The version of Vega-Lite that a chart is written for, such as 6.1."""
    return ".".join(str(spec["$schema"]).rsplit("/v", 1)[1].split(".")[:2])


def _converter(output: str) -> Any:
    """The package that turns charts into files."""
    try:
        import altair  # noqa: F401
        import vl_convert
    except ImportError:
        problem = "needs the packages altair and vl-convert-python: pip install forecast[plot]"
        raise Unavailable(problem, setting=Setting("output", output)) from None
    return vl_convert
