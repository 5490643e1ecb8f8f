"""llms.txt, a line for each page of the site, and llms-full.txt, the text of all pages."""

from collections.abc import Iterator
from pathlib import Path

from docutils import nodes
from repository import page_text
from sphinx.application import Sphinx

ABOUT = "A CSV in, calibrated forecasts out: recurrent networks and baselines, on the command line and in Python."


def _pages(app: Sphinx, docname: str) -> Iterator[str]:
    """The pages in the order of the site."""
    yield docname
    for below in app.env.toctree_includes.get(docname, []):
        yield from _pages(app, below)


def _first_sentence(app: Sphinx, docname: str) -> str:
    paragraphs = app.env.get_doctree(docname).findall(nodes.paragraph)
    first = next(
        (each for each in paragraphs if isinstance(each.parent, nodes.section | nodes.list_item)),
        None,
    )
    text = " ".join(first.astext().split()) if first else ""
    return text.partition(". ")[0].rstrip(".:")


def _text(app: Sphinx, docname: str) -> str:
    path = Path(app.env.doc2path(docname))
    return page_text(app, path) if path.suffix == ".md" else path.read_text(encoding="utf-8")


def _write(app: Sphinx, exception: Exception | None) -> None:
    if exception is not None or app.builder.name != "html":
        return
    names = list(dict.fromkeys(_pages(app, app.config.root_doc)))
    lines = [
        f"- [{app.env.titles[name].astext()}]({name}.html): {_first_sentence(app, name)}."
        for name in names
    ]
    index = f"# {app.config.project}\n\n> {ABOUT}\n\nllms-full.txt holds the text of all pages.\n\n## Pages\n\n"
    out = Path(app.outdir)
    (out / "llms.txt").write_text(index + "\n".join(lines) + "\n", encoding="utf-8")
    texts = (f"<!-- {name} -->\n\n{_text(app, name).strip()}\n" for name in names)
    (out / "llms-full.txt").write_text("\n".join(texts), encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Write both files after the pages."""
    app.connect("build-finished", _write)
    return {"parallel_read_safe": True}
