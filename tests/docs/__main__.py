"""Write the generated tables of the documentation: python -m tests.docs."""

from tests.docs._tables import ROOT, updated

for page in (ROOT / "docs").glob("*.md"):
    page.write_text(updated(page.read_text(encoding="utf-8")), encoding="utf-8")
