"""Tables are read alike with and without pyarrow, the messages included."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT

PARQUET = "44_parquet_named.csv"  # whatever its name says
READ = """
import hashlib, json, logging, sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "pyarrow":
            raise ModuleNotFoundError(name)

if sys.argv.pop(1) == "without":
    sys.meta_path.insert(0, Hidden())
from forecast.errors import ForecastError
from forecast.reading.reading import read
from forecast.settings import TableSettings, TextSettings
from forecast.tables.files import load_table
from forecast.tables.texts import ARROW

messages = []
class Listed(logging.Handler):
    def emit(self, record):
        messages.append(record.getMessage())
logging.getLogger("forecast").addHandler(Listed())
found = {"arrow": ARROW}
for path in sys.argv[1:]:
    messages.clear()
    try:
        table, defaults = load_table(path, TextSettings())
        reading = read(table, TableSettings.check(defaults))
        panel = reading.panel
        arrays = [panel.values, panel.observed, panel.known, panel.past, panel.static, panel.starts, panel.offsets]
        digest = hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()
        result = [digest, reading.schema.model_dump_json(), repr(panel.ids)[:2000]]
    except ForecastError as error:
        result = [type(error).__name__, str(error)]
    found[path] = [*result, *messages]
print(json.dumps(found))
"""


def test_every_table_is_read_alike_with_and_without_arrow() -> None:
    folder = Path("tests/bad_input/files")
    tables = [path for path in sorted((ROOT / folder).glob("*.csv")) if path.name != PARQUET]
    paths = [*map(str, tables), str(ROOT / "data" / "air_passengers.csv")]

    def read(how: str) -> dict[str, object]:
        command = [sys.executable, "-c", READ, how, *paths]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False)
        assert done.returncode == 0, done.stderr
        found: dict[str, object] = json.loads(done.stdout)
        return found

    whole, plain = read("with"), read("without")
    assert (whole.pop("arrow"), plain.pop("arrow")) == (True, False)
    assert {path: (plain[path], whole[path]) for path in paths if plain[path] != whole[path]} == {}
    assert len(whole) > 50
