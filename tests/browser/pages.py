"""Pages that are open in a browser, with what went wrong and what they asked for."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
AXE = Path(os.environ.get("AXE", ROOT / "node_modules" / "axe-core" / "axe.min.js"))
SERIOUS = ("serious", "critical")
WIDE, NARROW = (1280, 900), (360, 740)  # pixels

HORIZON = 48  # of the report by the hour
NAMES = ("</script><b>shop", "a & 'b' \"c\"")  # of its first series
# resolves once the first picture of the page is on the screen
DRAWN = "() => new Promise((done) => requestAnimationFrame(() => setTimeout(() => done(performance.now()))))"


@dataclass
class Opened:
    """A page in the browser, with what went wrong and what it asked for since it was opened.

    Attributes
    ----------
    page : of playwright
    seconds : from the start of loading until it was drawn
    """

    page: Any
    seconds: float = 0.0
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def titles(self) -> list[str]:
        """Of the series that are drawn."""
        found: list[str] = self.page.locator("#series h3").all_text_contents()
        return found


class Browser:
    """Opens files."""

    def __init__(self, chromium: Any) -> None:
        self.chromium, self.contexts = chromium, []

    def open(
        self, path: Path, size: tuple[int, int] = WIDE, colours: str = "light", script: bool = True
    ) -> Opened:
        """Open a file; `colours` are those that the system prefers."""
        screen = {"width": size[0], "height": size[1]}
        context = self.chromium.new_context(
            viewport=screen, color_scheme=colours, java_script_enabled=script
        )
        self.contexts.append(context)
        opened = Opened(context.new_page())
        opened.page.on(
            "console", lambda one: opened.errors.append(one.text) if one.type == "error" else None
        )
        opened.page.on("pageerror", lambda error: opened.errors.append(str(error)))
        opened.page.on("request", lambda one: opened.requests.append(one.url))
        opened.page.goto(path.resolve().as_uri(), wait_until="load")
        if script:
            after_frame = "requestAnimationFrame(() => setTimeout(() => done(performance.now())))"
            drawn = f"() => new Promise((done) => {after_frame})"
            opened.seconds = opened.page.evaluate(drawn) / 1000
        return opened

    def close(self) -> None:
        """Close all pages."""
        for context in self.contexts:
            context.close()
        self.contexts = []


def faults(page: Any) -> list[str]:
    """What an accessibility checker finds serious."""
    if not AXE.exists():
        pytest.skip(f"axe-core is not installed: {AXE}")
    page.evaluate(
        AXE.read_text(encoding="utf-8")
    )  # not as a script of the page, which its policy would refuse
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    return [
        f"{one['id']} ({one['impact']}): {node['target']} {node['failureSummary']}"
        for one in found
        if one["impact"] in SERIOUS
        for node in one["nodes"]
    ]
