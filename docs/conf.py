"""Build the site: `sphinx-build -W --keep-going docs build/site`; with `-D plot_gallery=0` no example is run."""

import sys
from importlib.metadata import version as version_of
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

project = "forecast"
version = release = version_of("forecast")
root_doc = "index"
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
    "repository",
    "llms",
]
exclude_patterns = ["examples"]  # the gallery holds the examples
highlight_language = "text"
myst_heading_anchors = 4  # the anchors that code hosts give to headings

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # numpydoc shows what the docstrings say
numpydoc_class_members_toctree = False
numpydoc_show_class_members = False

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"\.py$",  # all are run
    "ignore_pattern": r"(airflow_dag|serve)\.py$",  # docs/how-to/serving.md shows these
    "image_scrapers": ["charts.scrape"],
    "reset_modules": (),
    "remove_config_comments": True,
    "min_reported_time": 1e9,
    "show_signature": False,
    "download_all_examples": False,
    "write_computation_times": False,
    "within_subsection_order": "FileNameSortKey",
    "plot_gallery": "True",
}

html_theme = "pydata_sphinx_theme"
html_title = f"forecast {version}"
html_show_sphinx = False
html_static_path = ["_static"]
html_sidebars = {"tutorial": []}  # without pages below it, a sidebar would list nothing
html_css_files = ["site.css"]
html_copy_source = True  # llms.txt names the sources
html_show_sourcelink = False
html_theme_options = {
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "show_toc_level": 2,
    "header_links_before_dropdown": 7,
    "navbar_persistent": ["search-button"],  # the wider button shows other words than its label has
    "footer_start": [],
    "footer_end": [],
}
