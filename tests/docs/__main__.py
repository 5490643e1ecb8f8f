"""Write the generated parts of the documentation: python -m tests.docs; with `outputs` also what its commands print."""

import sys
import tempfile
from pathlib import Path

from tests.docs._outputs import refresh
from tests.docs._pages import SITE
from tests.docs._tables import updated

for page in SITE:
    page.write_text(updated(page.read_text(encoding="utf-8")), encoding="utf-8")
if sys.argv[1:] == ["outputs"]:
    with tempfile.TemporaryDirectory() as folder:
        refresh(Path(folder))
