"""Show the charts of the examples."""

from typing import Any

import altair as alt
from sphinx_gallery.scrapers import figure_rst


def scrape(block: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """Save the chart that a block of an example ends with, and return the reST that shows it."""
    names = block_vars["example_globals"]
    chart = names.get("___")  # the value of the last expression
    if not isinstance(chart, alt.TopLevelMixin):
        return ""
    path = next(block_vars["image_path_iterator"]).replace(".png", ".svg")
    chart.save(path)
    names["___"] = None  # the chart has no other form to be shown in
    return str(figure_rst([path], gallery_conf["src_dir"], "history and forecasts"))
