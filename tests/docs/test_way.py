"""The way of one value, as the page on development tells it, is the way that a call takes."""

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "development.md").read_text(encoding="utf-8")
STEPS = re.findall(
    r"^    ([\w/]+\.py) +([\w.]+)$",
    PAGE[PAGE.index("## The way of one value") : PAGE.index("## Add a model")],
    re.MULTILINE,
)

WATCH = """
import json, sys
from pathlib import Path
import forecast
root, seen = str(Path(forecast.__file__).parent) + "/", {}
def look(frame, event, arg):
    code = frame.f_code
    if event == "call" and code.co_filename.startswith(root):
        seen.setdefault((code.co_filename.removeprefix(root), code.co_qualname))
from forecast.cli import main
sys.argv[1:] = ["predict", "tonight.csv", "--artifact", sys.argv[1], "--output", "out.csv", "--quiet"]
sys.setprofile(look)
try:
    main()
except SystemExit as ended:
    sys.setprofile(None)
    print(json.dumps([ended.code, *seen]))
"""


def test_the_way_of_a_value_is_short() -> None:
    assert 30 < len(STEPS) <= 60
    assert len({file for file, _ in STEPS}) <= 35


def test_a_value_goes_the_way_that_is_told(tmp_path: Path, store: Path) -> None:
    table = ROOT / "data" / "air_passengers.csv"
    (tmp_path / "tonight.csv").write_bytes(table.read_bytes())
    words = [sys.executable, "-c", WATCH, str(store)]
    ran = subprocess.run(words, cwd=tmp_path, check=True, capture_output=True, text=True)
    code, *called = json.loads(ran.stdout)
    assert code == 0, ran.stderr
    places = [
        called.index([file, function]) for file, function in STEPS
    ]  # raises where one is not called
    assert places == sorted(places)
